package netio

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// TellsReset reports whether ResetAfterEnd can ever be true of a connection.
func TellsReset(c Conn) bool {
	own, ok := c.(*conn)
	return ok && own.raw != nil && own.RemoteAddr().Network() == "tcp"
}

// ResetAfterEnd reports whether the peer of a TCP connection, after it had sent its last byte, has reset what came: it had closed before it
// had read all that was written to it. To be asked after Receiver.Ended. False where nothing says so: the peer may still do it.
//
// Linux keeps the two apart: a reset behind the end leaves EPIPE, one without an end ECONNRESET. The latter proves nothing, for who closes
// a socket that does not linger resets it though all was read.
func ResetAfterEnd(c Conn) bool {
	if !TellsReset(c) {
		return false
	}
	left := 0
	err := c.(*conn).raw.Control(func(fd uintptr) { left, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) })
	return err == nil && errors.Is(syscall.Errno(left), syscall.EPIPE)
}
