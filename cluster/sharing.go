package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// asksAgain is after what time an endpoint that has refused to answer in any order is asked anew: it may be another server by now.
const asksAgain = time.Minute

// sharing is what a node knows of the connections that its calls share. The cluster's lock guards it.
type sharing struct {
	conns      []*client.Shared
	greeting   *greeting // of the connection that is being made; nil: none is
	granted    bool      // the last answer was yes
	serialTill time.Time // calls share nothing until then
	told       bool      // of an endpoint that refuses
}

// greeting is one attempt to get a connection that is shared, for all who wait for it.
type greeting struct {
	over chan struct{}
	err  *rpc.Error // why there is none; nil also where the peer is serial
}

// share takes a share of a connection, the one with the most room, and makes one where none has any; or a connection of the call's own
// where the endpoint answers in order. Who comes while one is being made waits for it.
func (c *Cluster) share(ctx context.Context, call *rpc.Call, n *node) (*link, *rpc.Error) {
	for {
		c.mu.Lock()
		if time.Now().Before(n.sharing.serialTill) {
			c.mu.Unlock()
			return c.serial(ctx, call, n)
		}
		l := &link{node: n}
		if s := n.sharing.open(l); s != nil {
			l.conn = s
			c.mu.Unlock()
			return l, nil
		}
		g := n.sharing.greeting
		if g == nil {
			g = &greeting{over: make(chan struct{})}
			n.sharing.greeting = g
			c.mu.Unlock()
			return c.greet(ctx, call, n, g)
		}
		c.mu.Unlock()
		if e := g.wait(ctx, call); e != nil {
			return nil, e
		}
	}
}

// open takes a share of the connection that has the fewest; nil where none has room.
func (s *sharing) open(owner client.Owner) *client.Share {
	var best *client.Shared
	least := client.MaxShares
	s.conns = slices.DeleteFunc(s.conns, func(x *client.Shared) bool {
		open, more := x.Load()
		if more && open < least {
			best, least = x, open
		}
		return open == 0 // it was closed with its last share
	})
	if best == nil {
		return nil
	}
	return best.Open(owner)
}

// wait waits for the end of another call's greeting, and returns why it failed: with what concerns that call alone, this one tries itself.
func (g *greeting) wait(ctx context.Context, call *rpc.Call) *rpc.Error {
	var late <-chan time.Time
	if left, ok := call.Remaining(time.Now()); ok {
		t := time.NewTimer(left)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-g.over:
	case <-late:
		return &rpc.Error{Code: rpc.DeadlineExceeded, Reach: rpc.NotSent, Op: "client", Text: "no connection in time", Outcome: rpc.ConnectTimeout}
	case <-ctx.Done():
		return &rpc.Error{Code: rpc.Cancelled, Reach: rpc.NotSent, Op: "client", Text: "the caller has gone", Outcome: rpc.Abandoned, Err: context.Cause(ctx)}
	}
	if e := g.err; e != nil && e.Code != rpc.Cancelled && e.Code != rpc.DeadlineExceeded {
		own := *e
		return &own
	}
	return nil
}

// greet makes a connection and asks the endpoint whether calls may share it. A serial endpoint that is busy answers that as late as it
// would answer the call, so the call's deadline bounds it.
func (c *Cluster) greet(ctx context.Context, call *rpc.Call, n *node, g *greeting) (*link, *rpc.Error) {
	l := &link{node: n}
	shared, own, e := c.ask(ctx, call, n, l)
	if e != nil {
		others := *e // e gets a name
		g.err = &others
	}
	c.mu.Lock()
	n.sharing.greeting = nil
	close(g.over)
	var stale []*link
	tell := false
	switch {
	case shared != nil:
		n.sharing.conns = append(n.sharing.conns, shared)
		stale = c.grant(n, true)
		s := shared.Open(l)
		if s == nil { // closed since
			e = &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "client", Text: "connection closed", Outcome: rpc.WriteCut}
			break
		}
		l.conn = s
	case e == nil:
		n.sharing.serialTill = time.Now().Add(asksAgain)
		stale = c.grant(n, false)
		tell, n.sharing.told = !n.sharing.told, true
	}
	c.mu.Unlock()
	c.closeAll(stale)
	if on := c.opts.Load().OnSerial; tell && on != nil {
		on(n.Endpoint.Name)
	}
	switch {
	case e != nil:
		return nil, e
	case l.conn != nil:
		return l, nil
	case own != nil:
		l.conn = own
		return l, nil
	}
	return c.serial(ctx, call, n)
}

// ask makes the connection. Without an error it is shared, or own, or the endpoint has closed it: the answer of some that are serial.
func (c *Cluster) ask(ctx context.Context, call *rpc.Call, n *node, l *link) (shared *client.Shared, own *client.Conn, e *rpc.Error) {
	conn, e := c.dial(ctx, call, n, nil)
	if e != nil {
		return nil, nil, e
	}
	until := call.Deadline
	if until.IsZero() {
		until = time.Now().Add(time.Minute)
	}
	_, _, multiplexed := transport.SplitName(call.Name)
	shared, err := conn.Greet(ctx, until, multiplexed, l)
	switch {
	case errors.Is(err, client.ErrSerial):
		return nil, nil, nil
	case err != nil:
		return nil, nil, rpc.AsError(err, "upstream "+c.Name())
	case shared == nil:
		return nil, conn, nil
	}
	return shared, nil, nil
}

// serial makes a connection of the call's own.
func (c *Cluster) serial(ctx context.Context, call *rpc.Call, n *node) (*link, *rpc.Error) {
	l := &link{node: n}
	if c.opts.Load().Tracking != "" {
		if ok, e := c.tracked(ctx, call, l); e != nil {
			return nil, e
		} else if ok {
			return l, nil
		}
	}
	conn, e := c.dial(ctx, call, n, l)
	if e != nil {
		return nil, e
	}
	l.conn = conn
	return l, nil
}

// grant notes the endpoint's answer, and gives it the slots that follow from that. It returns connections to be closed without the lock.
// c.mu is held.
func (c *Cluster) grant(n *node, yes bool) (stale []*link) {
	if n.sharing.granted == yes {
		return nil
	}
	n.sharing.granted = yes
	stale = c.resize(n)
	c.dispatch(time.Now())
	return stale
}

// live returns how many connections are shared, those that have worn out and still work among them.
func (s *sharing) live() (n int) {
	for _, x := range s.conns {
		if open, _ := x.Load(); open > 0 {
			n++
		}
	}
	return n
}
