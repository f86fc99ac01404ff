package faults

import "testing"

func backlogOfUnixSocket(t *testing.T) {}
func dnsFail(t *testing.T)             {}
func dnsEmpty(t *testing.T)            {}
func dnsChanged(t *testing.T)          {}
func dnsSlow(t *testing.T)             {}
func fdLimit(t *testing.T)             {}
func portsGone(t *testing.T)           {}
func socketGone(t *testing.T)          {}
func socketRecreated(t *testing.T)     {}
