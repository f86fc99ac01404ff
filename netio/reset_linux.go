package netio

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// AfterEnd says what became of the bytes that were written last. To be asked after Receiver.Ended.
//
// Of TCP, Linux keeps two resets apart: one behind the end leaves EPIPE, one without an end ECONNRESET. The latter proves nothing, for who
// closes a socket that does not linger resets it though all was read. Of a unix socket it tells how many bytes wait unread, and ECONNRESET
// is what a close leaves behind that found some.
func AfterEnd(c Conn) Fate {
	own, ok := c.(interface{ control(func(fd uintptr)) error })
	if !ok {
		return Settled
	}
	local := c.RemoteAddr().Network() == "unix"
	left, waiting := 0, 0
	err := own.control(func(fd uintptr) {
		left, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if local {
			waiting, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		}
	})
	reset := syscall.Errno(left)
	switch {
	case err != nil:
		return Settled
	case local && errors.Is(reset, syscall.ECONNRESET), !local && errors.Is(reset, syscall.EPIPE):
		return Unread
	case local && waiting == 0:
		return Settled
	}
	return Unsettled
}
