//go:build !linux && !darwin

package netio

import (
	"errors"
	"net"
	"syscall"
)

// rawConn returns nil: sockets are written to by the background goroutine.
func rawConn(net.Conn) syscall.RawConn { return nil }

func writev(uintptr, [][]byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }
