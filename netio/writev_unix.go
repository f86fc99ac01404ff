//go:build linux || darwin

package netio

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawConn returns nc's socket where it can be written to without waiting, else nil.
func rawConn(nc net.Conn) syscall.RawConn {
	switch nc := nc.(type) {
	case *net.TCPConn:
		raw, _ := nc.SyscallConn()
		return raw
	case *net.UnixConn:
		raw, _ := nc.SyscallConn()
		return raw
	}
	return nil
}

// writev writes what the kernel takes of pieces at once. again says that it takes no more for now.
func writev(fd uintptr, pieces [][]byte) (n int, again bool, err error) {
	for {
		if len(pieces) == 1 {
			n, err = unix.Write(int(fd), pieces[0])
		} else {
			n, err = unix.Writev(int(fd), pieces)
		}
		if err != unix.EINTR {
			return max(n, 0), err == unix.EAGAIN, err
		}
	}
}
