//go:build !linux

package main

import "syscall"

// successorSignal is none that is ever sent: there are no handovers here.
const successorSignal = syscall.Signal(-1)

func (*running) startSuccessor() {}
