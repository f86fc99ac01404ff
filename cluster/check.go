package cluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// Checks say how endpoints without traffic are asked for a sign of life. The zero value is that none is.
type Checks struct {
	Method   string        // that is called, as the servers know it, without arguments; "": one that no service has
	Interval time.Duration // without an answer to a call, after which an endpoint is asked; zero: none is
	Timeout  time.Duration // of one check; default 1s
}

func (k Checks) withDefaults() Checks {
	if k.Timeout == 0 {
		k.Timeout = time.Second
	}
	return k
}

const (
	maxChecks = 16                     // of one cluster, at one time
	checkSlot = 250 * time.Millisecond // after which an endpoint is looked at again that is to be checked and has no free slot
	overrun   = time.Second            // more than Timeout, after which a check of an endpoint that is down is not waited for: a call finds out
)

// sight is when a node was heard, and what its checks came to.
type sight struct {
	heard     time.Time // an answer to a call
	checking  bool
	next      time.Time // not checked before then; zero: not known yet
	checked   rpc.Outcome
	checkedAt time.Time
}

// grace is for how long calls wait for the check of an endpoint that is down. c.mu is held.
func (c *Cluster) grace() time.Duration {
	if k := c.opts.Load().Checks; c.watched && k.Interval > 0 {
		return k.Timeout + overrun
	}
	return 0
}

// Watch checks endpoints, as Checks says, until ctx ends and its last check has ended. It is called once.
//
// A check takes a free slot of its endpoint and makes a connection for itself, where none is free. Any answer will do. An endpoint that has
// answered a call within the interval is not asked, nor one that has no free slot: it is at work.
// One that cannot be reached, or hangs, is down, and asked again with the pauses after which calls would have tried it: no call does while
// that goes on.
func (c *Cluster) Watch(ctx context.Context) {
	c.watch(true)
	defer c.watch(false)
	var checks sync.WaitGroup
	defer checks.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		due, wait := c.due(time.Now())
		for _, g := range due {
			checks.Go(func() { c.check(ctx, g) })
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-c.look:
		case <-ctx.Done():
		}
	}
}

func (c *Cluster) watch(on bool) {
	c.mu.Lock()
	c.watched = on
	c.picker.Grace = c.grace()
	c.mu.Unlock()
}

// lookAgain has Watch look at the endpoints now.
func (c *Cluster) lookAgain() {
	select {
	case c.look <- struct{}{}:
	default:
	}
}

// due takes a slot of each endpoint that is to be checked, and returns after what time to look again.
func (c *Cluster) due(now time.Time) (due []grant, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait = time.Hour
	every := c.opts.Load().Checks.Interval
	if every == 0 {
		return nil, wait
	}
	running := 0
	for _, n := range c.nodes {
		if n.checking {
			running++
		}
	}
	for _, bn := range c.picker.Nodes() {
		n := c.nodes[bn]
		left := c.untilCheck(n, every, now)
		switch {
		case n.checking || n.Endpoint.Drained:
			continue
		case left > 0:
		case running < maxChecks && c.picker.Take(bn):
			n.checking = true
			running++
			due = append(due, n.take(now))
			continue
		default:
			left = checkSlot
		}
		wait = min(wait, left)
	}
	return due, wait
}

// untilCheck returns after what time a node is to be checked. The first time is anywhere within an interval, and later ones are up to a tenth
// late, so that endpoints and gateways do not beat time together. c.mu is held.
func (c *Cluster) untilCheck(n *node, every time.Duration, now time.Time) time.Duration {
	if left, down := c.picker.Due(n.Node, now); down {
		return left
	}
	if n.next.IsZero() {
		n.next = now.Add(rand.N(every))
	}
	if alive := n.heard.Add(every); alive.After(n.next) {
		n.next = alive.Add(rand.N(every/10 + 1))
	}
	return n.next.Sub(now)
}

// check asks one endpoint, on the slot that was taken.
func (c *Cluster) check(ctx context.Context, g grant) {
	c.closeAll(g.old)
	opts := c.opts.Load()
	now := time.Now()
	call := client.ProbeCall(opts.Checks.Method, opts.Wire.Protocol, now.Add(opts.Checks.Timeout))
	reply, l, e := c.attempt(ctx, call, g)
	if l != nil && e != nil && e.Reach != rpc.Answered {
		l.conn.Close() // nobody waits for a late answer to a check
	}
	now = time.Now()
	every := opts.Checks.Interval
	c.mu.Lock()
	g.node.checking, g.node.next = false, now.Add(every+rand.N(every/10+1))
	if l != nil {
		l.short = g.link == nil
	}
	c.mu.Unlock()
	c.settle(g.node, l, balance.Result{Outcome: rpc.OutcomeOf(reply, e), Method: -1, Check: true}, 0, now)
	c.lookAgain()
}
