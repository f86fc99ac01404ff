package cluster

import (
	"cmp"
	"context"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/quantile"
	"github.com/thriftloom/thriftloom/rpc"
)

// node is an endpoint with its connections. The cluster's lock guards it.
type node struct {
	*balance.Node
	cluster  *Cluster
	free     []*link       // connections without a call, the last used at the end
	limit    int           // slots that others leave to this cluster, where it is Leased
	wakes    time.Time     // when it is looked at though nothing happens to it; zero: nobody needs that
	quiet    chan struct{} // once removed: closed when no call is in flight and no connection open
	calls    int64
	failures int64
	lastErr  rpc.Outcome
	latency  quantile.Sketch // of attempts that were answered
	told     string          // the last state that OnState was told; "" is up
	lessons  lessons
	plainTil time.Time // it closes connections that begin with tracking's handshake, and is not asked until then
	sharing  sharing
	sight
}

// open returns how many connections there are, or may be: those that are being made and those that are not quite closed count.
func (n *node) open() int { return n.InFlight + len(n.free) + n.Closing }

// takeFree takes up to k free connections out, those first that were used longest ago. They count until closeAll has closed them.
func (n *node) takeFree(k int) []*link {
	k = max(0, min(k, len(n.free)))
	out := n.free[:k:k]
	n.free = n.free[k:]
	n.Closing += k
	return out
}

func (n *node) count(o rpc.Outcome) {
	n.calls++
	if rpc.Classes[o].Failure {
		n.failures++
		n.lastErr = o
	}
}

// link is a connection with the slot that it serves. It is the connection's Owner.
type link struct {
	node   *node
	conn   conn
	since  time.Time      // when it became free
	waited time.Duration  // it was free for, before this call; zero before the first
	result balance.Result // of the attempt; zero until Handle has returned
	freed  bool           // the peer is done with the call
	usable bool           // … and the connection can take another one
	unused bool           // … and the peer has not heard of the call
	gone   bool           // closed; it may be so before it becomes free
	short  bool           // made for a check, and closed behind it
}

// conn is a connection that takes one call at a time, or a share of one that takes many.
type conn interface {
	rpc.Handler
	Usable() bool
	Created() time.Time
	Close()
}

// connect makes a connection for a slot that is held, or takes a share of one.
func (c *Cluster) connect(ctx context.Context, call *rpc.Call, n *node) (*link, *rpc.Error) {
	if c.opts.Load().Shared {
		return c.share(ctx, call, n)
	}
	return c.serial(ctx, call, n)
}

// dial makes a connection. Without an owner it is one that is to be greeted.
func (c *Cluster) dial(ctx context.Context, call *rpc.Call, n *node, owner client.Owner) (*client.Conn, *rpc.Error) {
	opts := c.opts.Load()
	timeout := opts.DialTimeout
	if left, ok := call.Remaining(time.Now()); ok {
		timeout = min(timeout, left)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := client.Dial(ctx, opts.Engine, n.Endpoint.Address, client.Config{
		Wire: opts.Wire, Limits: opts.Limits, Budget: opts.Budget, Dialer: opts.Dialer, Linger: c.linger, Owner: owner, Greets: owner == nil,
	})
	if err != nil {
		e := rpc.AsError(err, "upstream "+c.Name())
		if left, ok := call.Remaining(time.Now()); ok && left <= 0 {
			e.Code, e.Text = rpc.DeadlineExceeded, "no connection in time"
		}
		return nil, e
	}
	return conn, nil
}

// pick takes a slot, and what take returns with it. c.mu is held.
func (c *Cluster) pick(call *rpc.Call, now time.Time) (g grant, err error) {
	bn, err := c.picker.Pick(call, now)
	if err != nil {
		return grant{}, err
	}
	c.busy()
	g = c.nodes[bn].take(now)
	g.mark = bn.Mark()
	return g, nil
}

// take returns, with a slot that is taken, the free connection that was used last, if there is one. Those that are too old, or worn out, are
// to be closed before another one is made. c.mu is held.
func (n *node) take(now time.Time) (g grant) {
	idle, age := n.limits(now)
	for len(n.free) > 0 {
		l := n.free[len(n.free)-1]
		n.free = n.free[:len(n.free)-1]
		if now.Before(l.end(idle, age)) && l.conn.Usable() {
			l.freed, l.usable, l.unused, l.result, l.waited = false, false, false, balance.Result{}, now.Sub(l.since)
			g.node, g.link = n, l
			return g
		}
		g.old = append(g.old, l)
		n.Closing++
	}
	g.node = n
	return g
}

// Freed implements client.Owner.
func (l *link) Freed(reusable bool) {
	c := l.node.cluster
	c.mu.Lock()
	l.freed, l.usable = true, reusable
	if l.result.Outcome != 0 { // Handle has returned before: nobody else puts it back
		c.put(l, time.Now())
	}
	state := l.node.news()
	c.mu.Unlock()
	c.tell(l.node, state)
}

// news returns the node's state where OnState does not know it, else "". An endpoint that is only doubted is no news: it may be up again in a
// tenth of a second, and down again. c.mu is held.
func (n *node) news() string {
	state := n.State()
	if state == cmp.Or(n.told, balance.Up) || state == balance.Down && !n.Lost() || state == balance.Drained {
		return ""
	}
	n.told = state
	return state
}

// put ends an attempt whose peer is done: the connection becomes free, then its slot. c.mu is held.
func (c *Cluster) put(l *link, now time.Time) {
	n := l.node
	if l.usable && !l.gone && !l.short && !c.yielding && !n.Endpoint.Drained && c.nodes[n.Node] == n && n.open() <= n.Slots {
		if !l.unused {
			l.since = now
			n.lessons.lived(times{idle: l.waited, age: now.Sub(l.conn.Created())})
		}
		n.free = append(n.free, l)
		c.reapAt(l.end(n.limits(now)), now)
	} else if l.usable {
		n.Closing++
		go c.closeAll([]*link{l}) // of a removed endpoint, or beyond fewer slots; not under the lock
	}
	if l.result.Held {
		if l.usable { // it has answered, though late
			l.result.Outcome = rpc.Success
		}
		c.picker.Free(n.Node, l.result, now)
		c.handOn(n, now)
	} else {
		c.release(n, l.result, now)
		l.result.Call = nil // a free connection keeps no call
	}
}
