package client

import (
	"runtime"

	"github.com/thriftloom/thriftloom/netio"
)

// longBody is the length from which on the memory of a reply is counted on its way to the caller. Shorter ones lie in chunks that their
// connections count.
const longBody = 32 << 10

// claim holds a lease until it is released, or collected: a reply that comes too late, or is one of two, is dropped without a word.
type claim struct {
	lease   *netio.Lease
	cleanup runtime.Cleanup
}

func newClaim(l *netio.Lease) *claim {
	c := &claim{lease: l}
	c.cleanup = runtime.AddCleanup(c, (*netio.Lease).Release, l)
	return c
}

// Release implements rpc.Memory.
func (c *claim) Release() {
	c.cleanup.Stop()
	c.lease.Release()
}
