//go:build !linux

package netio

import (
	"context"
	"fmt"
	"net"
)

// ListenShared is for Linux: elsewhere the kernel does not spread connections over those who share a port.
func ListenShared(_ context.Context, address string) (net.Listener, error) {
	return nil, fmt.Errorf("address %q: a port is shared on Linux only", address)
}
