package server

import (
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// arrival is a request that has begun and is not whole. A caller that does not finish what it has begun is let go of: it holds memory and
// a connection. Between requests a connection may stay idle for ever.
type arrival struct {
	since  time.Time         // when it began; zero: there is none
	size   int               // bytes that have come, or are announced
	known  transport.Message // what is known of it, where its head is there (headOK)
	headOK bool
	timer  *time.Timer // nil until the first request that comes in pieces
	armed  bool
}

// slowest is the rate, in bytes a second, at which a request may come however long it takes.
const slowest = 64 << 10

// limit is how long the request may take.
func (a *arrival) limit(timeout time.Duration) time.Duration {
	return timeout + time.Duration(a.size/slowest)*time.Second
}

// arriving is called at the end of each Receive with the bytes that are left of a request, of which need are announced; begun says that
// they are the first of it. It returns the least length of rest that is worth another call: no more than one byte more, until the head is
// there by which the request could be refused. c.mu is held, as in all that follows.
func (c *conn) arriving(rest []byte, need int, begun bool) int {
	a := &c.arrival
	if !c.partial || c.full || c.closing {
		a.since, a.headOK = time.Time{}, false
		return need
	}
	if a.since.IsZero() || begun {
		a.since, a.size, a.headOK = time.Now(), 0, false
	}
	a.size = max(a.size, need, len(rest))
	if !a.headOK && !c.shedding {
		a.known, a.headOK = c.split.Peek(rest)
	}
	if !a.armed {
		a.armed = true
		c.watch(c.server.cfg.StallTimeout)
	}
	if !a.headOK {
		return min(need, len(rest)+1)
	}
	return need
}

// stop ends the watch for good.
func (a *arrival) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

func (c *conn) watch(d time.Duration) {
	if c.arrival.timer == nil {
		c.arrival.timer = time.AfterFunc(d, c.overdue)
	} else {
		c.arrival.timer.Reset(d)
	}
}

// overdue looks whether a request takes too long. One that does is refused, and its connection closed behind the answers to those before.
func (c *conn) overdue() {
	c.mu.Lock()
	a := &c.arrival
	if c.leaving && !a.since.IsZero() { // it is we who do not read
		a.since = time.Now()
	}
	left := time.Until(a.since.Add(a.limit(c.server.cfg.StallTimeout)))
	switch {
	case a.since.IsZero() || c.closing || c.gone:
		a.armed = false
		c.mu.Unlock()
		return
	case left > 0:
		c.watch(left)
		c.mu.Unlock()
		return
	case c.receiving: // it may have come whole
		c.watch(10 * time.Millisecond)
		c.mu.Unlock()
		return
	}
	c.closing, c.left, c.receiving = true, 0, true // not before the refusal is written
	m, ok := a.known, a.headOK
	c.mu.Unlock()

	c.server.countMalformed(wire.Stalled, errStalled)
	if ok {
		x := c.exchange(m)
		_ = x.route()
		c.begin(x, &rpc.Error{Code: rpc.DeadlineExceeded, Reach: rpc.NotSent, Op: "server", Text: errStalled.Text, Err: errStalled})
	}
	c.mu.Lock()
	c.receiving = false
	c.settle()
	c.mu.Unlock()
}

// errStalled is what OnMalformed is told of a request that comes too slowly.
var errStalled = wire.Errorf(wire.Stalled, 0, "the request did not come whole in time")
