//go:build !linux

package netio

// TellsReset is false: only Linux tells.
func TellsReset(Conn) bool { return false }

// ResetAfterEnd is false: only Linux tells.
func ResetAfterEnd(Conn) bool { return false }
