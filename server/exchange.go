package server

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// exchange is one call of a connection and its answer.
type exchange struct {
	conn    *conn
	request transport.Message // but for its body
	call    rpc.Call
	handler rpc.Handler
	memory  *netio.Lease // that the request lies in
	answer  answer       // once ended
	ended   bool
	waits   int // bytes that are counted while the answer waits for its turn

	unordered bool // it waits for no turn
	header    bool // a tracking header stands before the answer

	place [placeBytes]byte // where the head of most answers is made
}

// placeBytes is a head of an answer to a method whose name has up to 32 letters.
const placeBytes = headBytes + 32

// headBytes is what a head takes besides the method's name, in any protocol.
const headBytes = 48

// answer is what is written for a call: head and body, or the end of the connection.
type answer struct {
	head, body []byte
	memory     rpc.Memory // that the body lies in; may be nil
	close      bool
}

// exchange makes the call of m, named as the message has it.
func (c *conn) exchange(m transport.Message) *exchange {
	x := &exchange{conn: c, request: m, header: c.tracking.Level >= 2}
	x.request.Body, x.request.Tracking = nil, nil // the call has it, and may let it go
	_, name, _ := transport.SplitName(m.Head.Name)
	x.call = rpc.Call{
		ID: rpc.NewID(), Name: name, Oneway: m.Head.Type == wire.Oneway,
		Protocol: m.Wire.Protocol, Body: m.Body, Headers: m.Headers, Caller: c.caller, Start: time.Now(),
	}
	if m.Wire.Kind == transport.Header {
		if d, ok := rpc.Timeout(m.Headers); ok {
			x.call.Deadline = x.call.Start.Add(d)
		}
		if name := rpc.Identity(m.Headers); !c.caller.Verified && usable(name) {
			x.call.Caller.Name = name
		}
	}
	return x
}

// route finds the handler.
func (x *exchange) route() (refused *rpc.Error) {
	x.handler, refused = x.conn.server.cfg.Route(&x.request.Head, &x.call)
	return refused
}

// run calls the handler of x and ends x, even where the handler panics or ends its goroutine.
func (c *conn) run(x *exchange) {
	var reply *rpc.Reply
	var err error
	returned := false
	defer func() {
		if !returned {
			failed := &rpc.Error{Code: rpc.HandlerFailed, Reach: rpc.Unknown, Op: x.op(), Text: "the handler ended without an answer"}
			if p := recover(); p != nil {
				failed.Err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			err = failed
		}
		a := x.replyTo(reply, err)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.started--
		c.end(x, a)
		c.next()
	}()
	ctx := c.ctx
	if x.call.Oneway {
		ctx = c.serve
	}
	reply, err = x.handler.Handle(ctx, &x.call)
	returned = true
}

// replyTo makes the answer out of what the handler returned.
func (x *exchange) replyTo(reply *rpc.Reply, err error) answer {
	switch {
	case x.call.Oneway:
		return answer{}
	case err != nil:
		return x.exception(rpc.AsError(err, x.op()))
	case reply == nil:
		return x.exception(x.internal(errors.New("the handler returned neither reply nor error")))
	case reply.Protocol != x.call.Protocol:
		return x.exception(x.internal(fmt.Errorf("the reply is in %s, the call in %s", reply.Protocol, x.call.Protocol)))
	}
	if err := transport.Carries(x.request.Wire.Kind, reply.Headers); err != nil {
		if reply.Memory != nil {
			reply.Memory.Release()
		}
		return x.exception(&rpc.Error{Code: rpc.Internal, Reach: rpc.Answered, Op: x.op(), Text: "the reply: " + err.Error(), Err: err})
	}
	m := x.reply(reply.Meta)
	m.Headers, m.Body = reply.Headers, reply.Body
	a := answer{memory: reply.Memory}
	a.head, a.body = transport.Encode(x.room(0), m)
	return a
}

// exception makes the answer out of a failure.
func (x *exchange) exception(e *rpc.Error) answer {
	crash := x.conn.server.cfg.Crash
	if e.Code == rpc.HandlerFailed && crash != nil && crash(&x.call) {
		return answer{close: true}
	}
	public := e.Public(x.call.ID)
	m := transport.Exception(x.reply(nil), public.Type, public.Message)
	if m.Wire.Kind == transport.Header && e.Code == rpc.Unavailable && e.Reach == rpc.NotSent {
		m.Headers = unserved
	}
	return answer{head: transport.Append(x.room(len(m.Tracking)+len(m.Body)), m)}
}

// unserved tells a gateway that it may try another.
var unserved = []transport.KV{{Key: rpc.UnservedHeader, Value: rpc.Unserved}}

func (x *exchange) internal(cause error) *rpc.Error {
	return &rpc.Error{Code: rpc.Internal, Reach: rpc.Answered, Op: x.op(), Text: cause.Error()}
}

// op names who failed: the service, where one was found.
func (x *exchange) op() string {
	if x.call.Service == "" {
		return "server"
	}
	return x.call.Service
}

// reply is the request turned around: its wire, sequence id and strictness, and the method's name without a multiplexed prefix. Where the
// caller takes tracking headers one stands before it, also before an exception: ThriftPy's client would wait for ever without.
func (x *exchange) reply(meta map[string]string) transport.Message {
	m := x.request
	_, m.Head.Name, _ = transport.SplitName(m.Head.Name)
	m.Head.Type, m.Headers = wire.Reply, nil
	if x.header {
		if m.Head.NonStrict && meta == nil { // a header without fields would be taken for the length of a name
			meta = map[string]string{}
		}
		m.Tracking = tracking.AppendResponse(nil, m.Wire.Protocol, meta)
	}
	return m
}

// room returns an empty slice in which a head, and text bytes besides, fit without growing.
func (x *exchange) room(text int) []byte {
	if n := headBytes + len(x.request.Head.Name) + text; n > placeBytes {
		return make([]byte, 0, n)
	}
	return x.place[:0]
}
