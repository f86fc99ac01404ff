package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/rpc"
)

// plainFor is how long an endpoint is not asked for tracking that has closed a connection because of that. One that says no is asked anew
// on each connection: it costs no connection.
const plainFor = time.Minute

// tracked makes a connection for l and asks for tracking on it. ok is false without an error where the endpoint is not to be asked: it
// closes such connections, as multiplexed servers do.
func (c *Cluster) tracked(ctx context.Context, call *rpc.Call, l *link) (ok bool, e *rpc.Error) {
	c.mu.Lock()
	plain := time.Now().Before(l.node.plainTil)
	c.mu.Unlock()
	if plain {
		return false, nil
	}
	conn, e := c.dial(ctx, call, l.node, nil)
	if e != nil {
		return false, e
	}
	l.conn = conn
	until := call.Deadline
	if until.IsZero() {
		until = time.Now().Add(time.Minute)
	}
	err := conn.Track(ctx, until, c.opts.Load().Tracking, l)
	if errors.Is(err, client.ErrPlain) {
		c.mu.Lock()
		l.node.plainTil = time.Now().Add(plainFor)
		c.mu.Unlock()
		l.conn = nil
		return false, nil
	}
	if err != nil {
		e = rpc.AsError(err, "upstream "+c.Name())
		e.Reach = rpc.NotSent // of the call that was to follow
		return false, e
	}
	return true, nil
}
