package dns

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// LookAt is Look at several servers, which resolv.conf has on port 53 only.
func (r *Resolver) LookAt(ctx context.Context, servers ...string) ([]rpc.Endpoint, time.Duration, error) {
	a, err := newAsker(r.config)
	if err != nil {
		return nil, 0, err
	}
	a.servers = servers
	return r.look(ctx, a)
}
