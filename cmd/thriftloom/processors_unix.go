//go:build unix

package main

import (
	"syscall"
	"time"
)

// processTime returns how long the process has been on processors so far.
func processTime() (spent time.Duration, ok bool) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err == nil
}
