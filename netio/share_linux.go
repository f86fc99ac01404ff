package netio

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ListenShared is Listen of a TCP address that other processes of the same user may have open as well, all of them with this call: the kernel
// spreads new connections over them, and over those that are left when one ends.
func ListenShared(ctx context.Context, address string) (net.Listener, error) {
	network, addr, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		return nil, fmt.Errorf("address %q: a unix socket cannot be shared", address)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		if err == nil {
			err = failed
		}
		return err
	}}
	return config.Listen(ctx, network, addr)
}
