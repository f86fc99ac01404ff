package client

import (
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// receiver is a Conn as the engine sees it.
type receiver Conn

// Receive takes replies out of what came.
func (r *receiver) Receive(buf []byte) (used, need int) {
	c := (*Conn)(r)
	if shared := c.shared.Load(); shared != nil {
		return shared.receive(buf)
	}
	if isAlert(buf) {
		c.net.Close(errSpeaksTLS)
		return len(buf), 0
	}
	for used < len(buf) {
		m, n, want, err := c.split.Split(buf[used:])
		if err != nil {
			c.net.Close(err)
			return len(buf), 0
		}
		if n == 0 {
			c.mu.Lock()
			c.partial = true
			unasked := c.state == idle || c.replied
			c.mu.Unlock()
			if unasked { // the next reply would be read as its end
				c.net.Close(errBadReply)
			}
			return used, want
		}
		used += n
		if !c.take(m) {
			c.net.Close(errBadReply)
			return len(buf), 0
		}
	}
	return used, 0
}

// Shed implements netio.Shedder. A connection with one call in flight is of no use without its reply: it is closed.
func (r *receiver) Shed(buf []byte) (used int) {
	if shared := (*Conn)(r).shared.Load(); shared != nil {
		return shared.shed(buf)
	}
	return 0
}

// take gives one message to whoever waits for it, and reports whether the stream can still be trusted.
func (c *Conn) take(m transport.Message) bool {
	c.mu.Lock()
	switch c.state {
	case calling:
		defer c.mu.Unlock()
		if c.replied || m.Head.Seq != c.seq || m.Head.Name != c.name { // a second reply would be taken for the next call's
			return false
		}
		meta, ok := c.meta(&m)
		if !ok {
			return false
		}
		reply, err, ok := parse(m, m.Wire.Protocol, c.cfg.Limits)
		if reply != nil {
			reply.Meta = meta
		}
		if reply != nil && c.cfg.Budget != nil && len(reply.Body) >= longBody {
			reply.Memory = newClaim(c.net.Hold())
		}
		if ok {
			c.replied, c.early = true, c.net.Written() < c.start+c.size || m.Envelope.Close
			c.done <- result{reply, err}
		}
		return ok
	case fencing:
		if c.acknowledged() {
			c.late.Stop()
			c.state = idle
			if m.Envelope.Close {
				c.state = closed
			}
			c.mu.Unlock()
			if m.Envelope.Close {
				c.net.Close(nil)
			}
			c.freed(!m.Envelope.Close)
			return true
		}
		if m.Head.Seq != c.seq { // a stray answer to the oneway: some servers send one
			stray := m.Head.Seq == c.seq-1
			c.mu.Unlock()
			return stray
		}
		c.late.Stop()
		c.state = idle
		c.mu.Unlock()
		c.freed(true)
		return true
	case retired: // the late reply: the peer is free again, the connection is not used any more
		c.mu.Unlock()
		c.net.Close(nil)
		return true
	}
	c.mu.Unlock()
	return false // nobody asked
}

// named finds out which declared exception a reply carries whose protocol says names and no ids.
func named(call *rpc.Call, reply *rpc.Reply) *rpc.Reply {
	if reply == nil || reply.Protocol != wire.JSON || call.Method == nil {
		return reply
	}
	_, name, _ := message.ResultField(reply.Protocol, reply.Body)
	if f := call.Method.Result.FieldByName(name); f != nil {
		reply.Exception = f.ID
	}
	return reply
}

// parse makes a reply or an error of a message; ok is false where it is neither, or in another protocol than was asked in.
func parse(m transport.Message, p wire.Protocol, limits wire.Limits) (reply *rpc.Reply, e *rpc.Error, ok bool) {
	if m.Wire.Protocol != p { // THeader's frames name their own
		return nil, nil, false
	}
	switch m.Head.Type {
	case wire.Reply:
		id, _, _ := message.ResultField(p, m.Body)
		return &rpc.Reply{Protocol: p, Body: m.Body, Headers: m.Headers, Exception: id}, nil, true
	case wire.Exception:
		typ, text, err := message.ParseApplication(p, m.Body, limits)
		if err != nil {
			return nil, nil, false //nolint:nilerr // what cannot be read is no reply; the connection says so
		}
		peer := &rpc.Application{Type: typ, Message: text}
		if m.Wire.Kind == transport.Header && rpc.HeaderOf(m.Headers, rpc.UnservedHeader) == rpc.Unserved {
			return nil, &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "client", Peer: peer, Outcome: rpc.NotServed}, true
		}
		return nil, &rpc.Error{Code: rpc.CodeOfException(typ), Reach: rpc.Answered, Op: "client", Peer: peer, Outcome: rpc.AppException}, true
	}
	return nil, nil, false
}

// Closed settles what was in flight.
func (r *receiver) Closed(err error) {
	c := (*Conn)(r)
	c.mu.Lock()
	if shared := c.shared.Load(); shared != nil {
		c.mu.Unlock()
		shared.closedBy(err)
		return
	}
	was := c.state
	c.state, c.cause = closed, err
	c.alarm.stop()
	if c.late != nil {
		c.late.Stop()
	}
	if was == calling && !c.replied {
		c.done <- result{err: c.closedError(err)}
	}
	c.mu.Unlock()
	switch was {
	case fencing, retired:
		c.freed(false)
	case idle:
		if c.cfg.Owner != nil {
			c.cfg.Owner.Gone()
		}
	}
}
