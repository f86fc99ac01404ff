package server

import (
	"slices"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
)

// What is done without when the budget of bytes is used up. A request is refused as soon as there is no room for more of it: the caller
// is told, the rest is read and dropped, and the connection goes on behind it.

// noRoom is the refusal of what does not fit.
func noRoom(what string) *rpc.Error {
	return &rpc.Error{Code: rpc.ResourceExhausted, Reach: rpc.NotSent, Op: "server", Text: "no room for " + what + ": too much is held already", Err: netio.ErrNoRoom}
}

// Shed implements netio.Shedder: it refuses the request that is on its way.
func (c *conn) Shed(buf []byte) (used int) {
	c.mu.Lock()
	if c.closing { // nothing is read behind the last answer
		c.net.Pause()
		c.mu.Unlock()
		return len(buf)
	}
	c.receiving = true
	c.mu.Unlock()
	m, ok := c.split.Peek(buf)
	used, broken := c.shed(buf)
	if used > 0 && ok {
		x := c.exchange(m)
		_ = x.route()
		c.begin(x, noRoom("the request"))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receiving = false
	c.partial = c.shedding
	c.closing = c.closing || broken
	c.arrival.headOK = false // it is answered
	c.settle()
	return used
}

// shed uses up bytes of a request that was refused. broken says that what follows cannot be trusted.
func (c *conn) shed(buf []byte) (used int, broken bool) {
	used, done, err := c.split.Shed(buf)
	c.shedding = !done && err == nil
	if err != nil {
		c.server.countMalformed(asMalformed(err).Err.Reason, err)
	}
	return used, err != nil
}

// heavy is what an answer that waits costs besides its bytes, and smallBody is the length below which its body is copied: it may be the
// last to hold a chunk of twice that.
const (
	heavy     = 512
	smallBody = 32 << 10
)

// wait counts an answer that others on its connection stand before. Where there is no room for it an exception waits in its place.
func (x *exchange) wait() {
	b := x.conn.server.cfg.Budget
	if b == nil || x.answer.close {
		return
	}
	x.waits = heavy + len(x.answer.head) + len(x.answer.body)
	if !b.Take(x.waits) {
		x.answer = x.exception(noRoom("the reply"))
		x.waits = heavy + len(x.answer.head)
		b.Force(x.waits)
	} else if len(x.answer.body) < smallBody {
		x.answer.body = slices.Clone(x.answer.body)
	}
}

// waited takes it out of the count.
func (x *exchange) waited() {
	x.conn.server.cfg.Budget.Give(x.waits)
	x.waits = 0
}
