package cluster

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// waiter is a call that waits for a slot.
type waiter struct {
	call  *rpc.Call
	got   chan grant // capacity 1: the dispatcher never waits
	turn  uint64     // when it is its turn; among equals the one that came first
	came  uint64
	since time.Time // when it began to wait
	at    int       // in the heap; below zero once it waits no more
}

// grant is a slot, or the reason why there will be none.
type grant struct {
	node *node
	link *link   // a free connection; nil: one has to be made
	old  []*link // connections to be closed first, so that the endpoint never sees more than its slots
	err  *rpc.Error

	waited bool
}

// acquire takes a slot, or waits for one until the call's deadline, the queue's longest wait, or the end of ctx.
func (c *Cluster) acquire(ctx context.Context, call *rpc.Call, now time.Time) (grant, *rpc.Error) {
	c.mu.Lock()
	if c.waiting.Len() == 0 { // nobody is passed by
		g, err := c.pick(call, now)
		if err == nil {
			c.mu.Unlock()
			return g, nil
		}
		if err != balance.ErrBusy {
			c.mu.Unlock()
			return grant{}, c.refusal(err)
		}
	}
	if call.Hedge {
		c.mu.Unlock()
		return grant{}, errorAt(rpc.ResourceExhausted, c, "no slot to spare for a second attempt")
	}
	if c.waiting.Len() >= c.opts.Load().Queue.MaxCalls {
		c.refused++
		if !c.makeRoom(call) {
			c.mu.Unlock()
			return grant{}, c.refusal(balance.ErrBusy)
		}
	}
	w := &waiter{call: call, got: make(chan grant, 1), since: now}
	c.waiting.add(w)
	if n := c.waiting.Len(); n&(n-1) == 0 { // the first, or twice as many as when it was told last
		c.changed(true)
	}
	c.busy()
	c.mu.Unlock()

	wait, late := c.opts.Load().Queue.MaxWait, errorAt(rpc.ResourceExhausted, c, "no free slot within the queue's longest wait")
	if left, ok := call.Remaining(now); ok && left < wait {
		wait, late = left, errorAt(rpc.DeadlineExceeded, c, "no free slot in time")
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var refused *rpc.Error
	select {
	case g := <-w.got:
		g.waited = true
		return g, g.err
	case <-timer.C:
		refused = late
	case <-ctx.Done():
		refused = errorAt(rpc.Cancelled, c, "the caller has gone")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case g := <-w.got: // a slot came at the same moment: for somebody else
		c.giveBack(g, time.Now())
	default:
		c.waiting.remove(w)
	}
	return grant{}, refused
}

// makeRoom refuses a call that waits, of whoever has most of them, for one of a caller that has fewer; false where there is none.
// c.mu is held.
func (c *Cluster) makeRoom(call *rpc.Call) bool {
	w := c.waiting.noisier(call.Caller.Share())
	if w == nil {
		return false
	}
	c.waiting.remove(w)
	w.got <- grant{err: c.refusal(balance.ErrBusy)}
	return true
}

// giveBack undoes a grant that nobody uses. c.mu is held.
func (c *Cluster) giveBack(g grant, now time.Time) {
	go c.closeAll(g.old) // not under the lock
	switch {
	case g.link != nil:
		g.link.usable, g.link.unused = true, true
		c.put(g.link, now)
	case g.node != nil:
		c.release(g.node, balance.Result{}, now)
	}
}

// release ends an attempt. c.mu is held.
func (c *Cluster) release(n *node, r balance.Result, now time.Time) {
	c.picker.Done(n.Node, r, now)
	c.wake(n, now)
	c.handOn(n, now)
}

// wake sees to it that calls which wait for other endpoints notice when this one may be tried again, or may take more. c.mu is held.
func (c *Cluster) wake(n *node, now time.Time) {
	wait, ok := c.picker.Waits(n.Node, now)
	if at := now.Add(wait); ok && (n.wakes.IsZero() || at.Before(n.wakes)) {
		n.wakes = at
		time.AfterFunc(wait, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if n.wakes.Equal(at) {
				now := time.Now()
				n.wakes = time.Time{}
				c.dispatch(now)
				c.wake(n, now)
			}
		})
	}
}

// handOn hands a slot that n has given back to whose turn it is. c.mu is held.
func (c *Cluster) handOn(n *node, now time.Time) {
	c.leave(n)
	c.dispatch(now)
	c.changed(false)
}

// leave lets a removed node go that has nothing left. c.mu is held.
func (c *Cluster) leave(n *node) {
	if n.open() == 0 && c.leaving[n] {
		delete(c.leaving, n)
		close(n.quiet)
	}
}

// dispatch hands free slots to waiting calls, one of each caller in turn. Without an endpoint that is up it refuses them. c.mu is held.
func (c *Cluster) dispatch(now time.Time) {
	for w := c.waiting.front(); w != nil; w = c.waiting.front() {
		g, err := c.pick(w.call, now)
		if err == balance.ErrBusy {
			g, err = c.insist(w, now)
		}
		if err == balance.ErrBusy {
			return
		}
		c.waiting.take()
		if err != nil {
			g.err = c.refusal(err)
		}
		w.got <- g
	}
}
