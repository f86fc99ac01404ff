package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// conn is one caller's connection: the receiver of its bytes and the order of its calls.
//
// Requests are split by the engine's callbacks, one at a time. Each call runs on a goroutine of its own, and its answer waits in order
// until those before it are written.
type conn struct {
	server *Server
	net    netio.Conn
	plain  bool // a socket and nothing over it: it can be handed over
	split  *transport.Detector
	caller rpc.Caller
	group  string          // that its connection is counted in
	serve  context.Context // of oneways: nobody waits for them, so the caller may go
	ctx    context.Context // of the other calls; ends with the connection
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	order     []*exchange // that are not answered yet, as they came; oneways are not among them
	tracking  Tracking    // what was agreed on; written by Receive alone
	unordered bool        // the caller was granted replies as they are ready
	last      int32       // sequence id of the last call that came
	parting   bool        // such a caller is to be told that no further call is taken in
	waiting   []*exchange // Ordered: that have not started
	started   int         // calls whose handler runs
	inflight  int         // calls that came and have not ended or are not answered
	receiving bool        // Receive runs
	full      bool        // paused at MaxPipelined
	left      int         // bytes that Receive left because of that
	held      bool        // Receive stopped because of that, though it may be over by now; Receive's own
	shedding  bool        // the message that is on its way is given up; Receive's own
	partial   bool        // bytes of a request that is not whole have come
	closing   bool        // nothing is read behind left; closed behind the last answer
	leaving   bool        // paused to be handed over between two calls
	gone      bool        // closed, or handed over
	arrival   arrival     // of the request that is on its way
}

// errGone is why the calls of a connection that was closed are cancelled.
var errGone = errors.New("the caller's connection is closed")

func newConn(ctx context.Context, s *Server, n netio.Conn, split *transport.Detector) *conn {
	c := &conn{server: s, net: n, split: split, serve: ctx}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.caller.Address = n.RemoteAddr().String()
	return c
}

// Receive implements netio.Receiver.
func (c *conn) Receive(buf []byte) (used, need int) {
	c.mu.Lock()
	if c.closing {
		if buf = buf[:c.left]; c.left == 0 {
			c.net.Pause()
			c.mu.Unlock()
			return 0, 0
		}
	}
	c.receiving = true
	c.mu.Unlock()

	wasShedding := c.shedding
	used, need, broken := c.splitAll(buf)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.receiving, c.left, c.partial = false, 0, used < len(buf) || c.shedding
	if c.held { // not full: a call may have ended since
		c.left = len(buf) - used
	}
	c.closing = c.closing || broken
	need = c.arriving(buf[used:], need, used > 0 && !wasShedding)
	c.settle()
	return used, need
}

// splitAll takes the messages off buf. broken says that what follows cannot be trusted.
func (c *conn) splitAll(buf []byte) (used, need int, broken bool) {
	c.held = false
	for used < len(buf) {
		if c.shedding {
			n, broken := c.shed(buf[used:])
			if used += n; c.shedding || broken {
				return used, 0, broken
			}
			continue
		}
		if c.held = !c.room(); c.held {
			break
		}
		m, n, least, err := c.split.Split(buf[used:])
		if err != nil {
			if n = c.malformed(err); n == 0 {
				return used, 0, true
			}
		} else if n == 0 {
			return used, least, false
		} else {
			c.take(m)
			broken = m.Envelope.Close // nothing is read behind it
		}
		if used += n; broken {
			return used, 0, true
		}
	}
	return used, 0, false
}

// room reports whether one more call may come, and pauses reading if not. While memory is tight it is one call at a time.
func (c *conn) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inflight >= c.pipelined() {
		c.full = true
		c.net.Pause()
	}
	return !c.full
}

// pipelined is how many calls may be in flight now.
func (c *conn) pipelined() int {
	if c.server.cfg.Budget.Tight() {
		return 1
	}
	return c.server.cfg.MaxPipelined
}

// take begins the call that m carries.
func (c *conn) take(m transport.Message) {
	if isHello(&m) {
		c.hello(m)
		return
	}
	if isHandshake(&m) {
		c.handshake(m)
		return
	}
	c.server.calls.Add(1)
	x := c.exchange(m)
	x.memory = c.net.Hold()
	if m.Head.Type == wire.Reply || m.Head.Type == wire.Exception {
		text := fmt.Sprintf("a server was sent a message of type %s", m.Head.Type)
		c.begin(x, &rpc.Error{Code: rpc.InvalidMessageType, Reach: rpc.NotSent, Op: "server", Text: text})
		return
	}
	refused := x.route()
	if bad := x.tracked(m.Tracking); bad != nil {
		refused = bad
	}
	c.begin(x, refused)
}

// malformed counts bytes that are no message and answers the caller if it can be. It returns how many bytes to go over, 0 if nothing
// tells where the next message begins, or whom to answer: a frame without a head may be a call that waits, and a caller that counts its
// answers would take the next one for it.
func (c *conn) malformed(err error) (skip int) {
	bad := asMalformed(err)
	c.server.countMalformed(bad.Err.Reason, err)
	if !bad.HeadOK {
		c.say(bad.Answer)
		return 0
	}
	x := c.exchange(bad.Message)
	_ = x.route()
	c.begin(x, &rpc.Error{Code: rpc.Malformed, Reach: rpc.NotSent, Op: "server", Text: bad.Err.Text, Err: err})
	return bad.Skip
}

// say answers what is no call, in the transport's own words, behind the answers before it. nil: there are none.
func (c *conn) say(words []byte) {
	if words == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := &exchange{conn: c}
	c.enter(x)
	c.end(x, answer{head: words})
}

func asMalformed(err error) *transport.Malformed {
	bad, ok := errors.AsType[*transport.Malformed](err)
	if !ok {
		panic(fmt.Sprintf("server: a splitter's error is not a *transport.Malformed: %v", err))
	}
	return bad
}

// begin takes x in: it is failed with refused, or starts, or waits until the call before it has ended.
func (c *conn) begin(x *exchange, refused *rpc.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(x)
	if x.call.Oneway && x.request.Wire.Kind == transport.HTTP {
		c.acknowledge(x, refused == nil)
	}
	switch {
	case refused != nil:
		c.end(x, x.replyTo(nil, refused))
	case c.server.cfg.Ordered && c.started > 0:
		c.waiting = append(c.waiting, x)
	default:
		c.start(x)
	}
}

// enter counts x. c.mu is held, as in all that follows.
func (c *conn) enter(x *exchange) {
	c.inflight++
	c.last = x.request.Head.Seq
	c.server.inflight.Add(1)
	if !x.call.Oneway {
		x.unordered = c.unordered
		c.order = append(c.order, x)
	}
}

// acknowledge answers a oneway whose transport wants an answer to everything: at once, for it does not wait for its handler.
func (c *conn) acknowledge(x *exchange, ok bool) {
	words := &exchange{conn: c, request: x.request}
	c.enter(words)
	c.end(words, answer{head: transport.Acknowledge(nil, x.request, ok)})
}

// start runs x.
func (c *conn) start(x *exchange) {
	c.started++
	c.server.workers.run(x)
}

// next starts the call that waits, leaving out those whose caller has gone.
func (c *conn) next() {
	for c.started == 0 && len(c.waiting) > 0 {
		x := c.waiting[0]
		c.waiting = slices.Delete(c.waiting, 0, 1)
		if c.gone && !x.call.Oneway {
			c.end(x, answer{})
			continue
		}
		c.start(x)
	}
}

// end takes the answer of x, and writes all answers whose turn has come. A oneway's is dropped.
func (c *conn) end(x *exchange, a answer) {
	x.memory.Release()
	if x.call.Oneway {
		c.answered(1)
		return
	}
	if a.memory != nil {
		a.memory.Release() // it is counted as an answer that waits, or by Send
	}
	x.answer, x.ended = a, true
	if a.close {
		c.closing, c.left, c.parting = true, 0, c.unordered
	}
	if x.unordered {
		c.endUnordered(x)
		return
	}
	n := 0
	for n < len(c.order) && c.order[n].ended {
		c.write(c.order[n])
		n++
	}
	if n == 0 {
		x.wait()
	}
	c.order = slices.Delete(c.order, 0, n)
	c.answered(n)
}

// write sends one answer; one for which there is no room is replaced by an exception that says so, and a caller that leaves no room for
// that either has its connection closed, as after any failure: Closed does the rest.
func (c *conn) write(x *exchange) {
	x.waited()
	if x.answer.close {
		c.net.Finish()
		return
	}
	if c.net.Send(x.answer.head, x.answer.body) != netio.ErrNoRoom {
		return
	}
	x.answer = x.exception(noRoom("the reply"))
	if c.net.Send(x.answer.head, x.answer.body) == netio.ErrNoRoom {
		c.net.Close(netio.ErrBacklog)
	}
}

// answered counts n calls that are done with, and goes on reading where they were in the way.
func (c *conn) answered(n int) {
	c.inflight -= n
	for range n {
		c.server.ended()
	}
	if c.full && c.inflight < c.pipelined() {
		c.full = false
		if !c.leaving {
			c.net.Resume()
		}
	}
	c.settle()
}

// settle closes a connection that has nothing left to read and to answer.
func (c *conn) settle() {
	if c.parting && !c.receiving && c.left == 0 {
		c.goodbye()
	}
	if c.closing && !c.receiving && c.left == 0 && c.inflight == 0 {
		c.net.Finish()
	}
	if c.leaving {
		c.server.poke()
	}
}

// drain lets the connection answer what was read whole, then closes it.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parting = c.unordered && !c.closing
	c.closing = true
	c.settle()
}

// Ended implements netio.Receiver: a half-closed caller still gets its answers.
func (c *conn) Ended() {
	c.mu.Lock()
	cut := c.partial && !c.closing
	c.closing, c.left = true, 0
	c.settle()
	c.mu.Unlock()
	if cut {
		c.server.countMalformed(wire.Truncated, errCut)
	}
}

// errCut is what OnMalformed is told of a request that the caller did not finish.
var errCut = wire.Errorf(wire.Truncated, 0, "the caller ended the connection inside a request")

// Closed implements netio.Receiver.
func (c *conn) Closed(error) {
	c.mu.Lock()
	c.gone = true
	c.arrival.stop()
	c.cancel(errGone)
	c.mu.Unlock()
	c.server.closed(c)
}
