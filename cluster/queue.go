package cluster

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fair"
	"github.com/thriftloom/thriftloom/rpc"
)

// waiting is a call that waits for a slot.
type waiting struct {
	call  *rpc.Call
	got   chan grant // capacity 1: the dispatcher never waits
	since time.Time
}

// waiter is its place in the queue.
type waiter = fair.Item[waiting]

// class is the queue's class of a call.
func class(call *rpc.Call) int { return int(call.Priority - rpc.Background) }

// grant is a slot, or the reason why there will be none.
type grant struct {
	node *node
	link *link   // a free connection; nil: one has to be made
	old  []*link // connections to be closed first, so that the endpoint never sees more than its slots
	err  *rpc.Error

	waited bool
	mark   balance.Mark // of the node, when it was picked
}

// acquire takes a slot, or waits for one until the call's deadline, the queue's longest wait, or the end of ctx.
func (c *Cluster) acquire(ctx context.Context, call *rpc.Call, now time.Time) (grant, *rpc.Error) {
	if left, ok := call.Remaining(now); ok && left <= 0 {
		return grant{}, errorAt(rpc.DeadlineExceeded, c, "its time was over before it began")
	}
	c.mu.Lock()
	lane := c.picker.Lane(call)
	if !call.Hedge { // which nobody waits for
		c.loadOf(lane).came++
	}
	if c.waiting.Len() == 0 || c.waiting.In(string(lane)) == 0 { // nobody is passed by: those in other lanes have no use for a slot that is free
		g, err := c.pick(call, now)
		if err == nil {
			c.handed(lane, now)
			c.mu.Unlock()
			return g, nil
		}
		if err != balance.ErrBusy {
			c.mu.Unlock()
			return grant{}, c.refusal(err, call)
		}
	}
	if call.Hedge {
		c.mu.Unlock()
		return grant{}, errorAt(rpc.ResourceExhausted, c, "no slot to spare for a second attempt")
	}
	if e := c.noRoom(call, lane); e != nil {
		c.mu.Unlock()
		return grant{}, e
	}
	w := c.waiting.AddIn(string(lane), waiting{call, make(chan grant, 1), now}, class(call), call.Caller.Share())
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
	case g := <-w.Value.got:
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
	case g := <-w.Value.got: // a slot came at the same moment: for somebody else
		c.giveBack(g, time.Now())
	default:
		c.waiting.Remove(w)
	}
	return grant{}, refused
}

// noRoom sees to it that a call may wait: where the queue is full, or while overloaded its lane holds as many calls as are answered in time,
// another call gives way, or this one is refused. c.mu is held.
func (c *Cluster) noRoom(call *rpc.Call, lane rpc.Labels) *rpc.Error {
	var reason int
	var e *rpc.Error
	var victim *waiter
	switch load, share := c.loadOf(lane), call.Caller.Share(); {
	case c.waiting.Len() >= c.opts.Load().Queue.MaxCalls:
		c.refused++
		load.full = true
		reason, e = shedFull, c.refusal(balance.ErrBusy, call)
		victim = c.waiting.Victim(class(call), share)
	case load.crowded(c.waiting.In(string(lane))) && call.Priority != rpc.Probe:
		reason, e = shedCrowd, errorAt(rpc.ResourceExhausted, c, "overloaded: more calls come than are answered")
		victim = c.waiting.VictimIn(string(lane), class(call), share)
	default:
		return nil
	}
	if victim != nil {
		c.refuse(victim, reason, e)
		return nil
	}
	c.shed.count(call, reason)
	return e
}

// handed notes that a slot was handed to a call of a lane. c.mu is held.
func (c *Cluster) handed(lane rpc.Labels, now time.Time) {
	q := c.opts.Load().Queue
	if q.Target == 0 {
		return
	}
	oldest, may := time.Duration(0), q.MaxWait
	if w := c.waiting.Oldest(string(lane)); w != nil {
		oldest = now.Sub(w.Value.since)
		if left, ok := w.Value.call.Remaining(w.Value.since); ok {
			may = min(may, left)
		}
	}
	load := c.loadOf(lane)
	was := load.on
	load.handed(oldest, may, now, q, func() int { return c.picker.Slots(lane) })
	if load.on != was {
		c.loads.judge()
	}
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
	if over := n.takeFree(n.open() - n.Slots); len(over) > 0 { // it was found out that fewer slots are better
		go c.closeAll(over) // not under the lock
	}
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

// dispatch hands free slots to waiting calls: to those of the highest class, one of each caller in turn. A caller's oldest call goes first;
// while overloaded, and more wait than are answered in time, its newest: the old ones would be late. A call that only some endpoints may take
// waits for these alone: where they have no free slot, those behind it that may go elsewhere do. Without an endpoint that is up it refuses them.
//
// It looks at one call of each lane that stays, besides those that go. c.mu is held.
func (c *Cluster) dispatch(now time.Time) {
	c.shedOld(now)
	for w := c.waiting.Front(); w != nil; w = c.waiting.Front() {
		lane := rpc.Labels(w.Lane())
		if load := c.loadOf(lane); load.on && c.waiting.In(string(lane)) > load.room {
			w = w.Newest()
		}
		if c.late(w.Value.call, now) {
			c.refuse(w, shedLate, errorAt(rpc.DeadlineExceeded, c, "no free slot in time"))
			continue
		}
		g, err := c.pick(w.Value.call, now)
		if err == balance.ErrBusy {
			g, err = c.insist(&w.Value, now)
		}
		if err == balance.ErrBusy {
			c.stay(w, lane)
			continue
		}
		if err != nil {
			g.err = c.refusal(err, w.Value.call)
		} else {
			c.handed(lane, now)
		}
		c.waiting.Take(w)
		w.Value.got <- g
	}
	c.waiting.Reset()
}

// stay has a call wait on, with all of its lane. Where endpoints with its labels have come, or the last has gone, it belongs to another one.
// c.mu is held.
func (c *Cluster) stay(w *waiter, lane rpc.Labels) {
	if now := c.picker.Lane(w.Value.call); now != lane {
		c.waiting.Move(w, string(now))
		return
	}
	c.waiting.Pass(w)
}
