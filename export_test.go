package thriftloom

import (
	"context"
	"net"

	"github.com/thriftloom/thriftloom/internal/memnet"
)

// On returns the config of a client whose servers are in a network in memory.
func (c ClientConfig) On(network *memnet.Network) ClientConfig {
	c.dialer = func(ctx context.Context, address string) (net.Conn, error) { return network.Dial(ctx, address) }
	return c
}
