//go:build !linux

package netio

// AfterEnd is Settled: only Linux tells.
func AfterEnd(Conn) Fate { return Settled }
