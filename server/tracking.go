package server

import (
	"fmt"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// Tracking is what a caller and a server agreed on by ThriftPy's handshake.
type Tracking struct {
	Level int    // 0: nothing; from 2 on a header stands before each answer
	App   string // what the caller calls itself; "" if it did not say, or said what cannot be shown
}

// isHandshake reports whether m asks for tracking. As with hello no service is called. A multiplexed name is no handshake: ThriftPy does
// not know it either.
func isHandshake(m *transport.Message) bool {
	return m.Head.Type == wire.Call && m.Head.Name == tracking.Method
}

// handshake grants it. Its answer has no header, and stands behind the answers to the calls that came before. Where the wire cannot carry
// headers the answer is what a server without tracking gives, and ThriftPy's client goes on without; nor may a server behind this one
// grant it, since its headers would end here.
func (c *conn) handshake(m transport.Message) {
	x := c.exchange(m)
	x.header, x.memory = false, c.net.Hold()
	if !m.Wire.Tracks() {
		text := fmt.Sprintf("ThriftPy's tracking is not spoken over %s in %s", m.Wire.Kind, m.Wire.Protocol)
		c.begin(x, &rpc.Error{Code: rpc.UnknownMethod, Reach: rpc.NotSent, Op: "server", Text: text})
		return
	}
	h, err := tracking.ParseHandshake(m.Wire.Protocol, m.Body)
	if err != nil {
		c.server.countMalformed(reasonOf(err), err)
		c.begin(x, malformedHeader(err))
		return
	}
	reply := &rpc.Reply{Protocol: m.Wire.Protocol, Body: tracking.AppendGrant(nil, m.Wire.Protocol, h)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(x)
	c.end(x, x.replyTo(reply, nil))
	granted := Tracking{Level: h.Level()}
	if usable(h.AppID) {
		granted.App = h.AppID
	}
	c.track(granted)
}

// track holds from now on what was agreed on. What the caller calls itself is its name where no certificate says it.
func (c *conn) track(t Tracking) {
	c.tracking = t
	if t.App != "" && len(c.caller.Identities) == 0 {
		c.caller.Name = t.App
	}
}

// tracked takes the header that stood before the request.
func (x *exchange) tracked(header []byte) *rpc.Error {
	if header == nil || !tracking.Known(x.request.Wire.Protocol) {
		return nil
	}
	h, err := tracking.ParseRequest(x.request.Wire.Protocol, header)
	if err != nil {
		x.conn.server.countMalformed(reasonOf(err), err)
		return malformedHeader(err)
	}
	x.call.Tracking = h
	return nil
}

func malformedHeader(err error) *rpc.Error {
	return &rpc.Error{Code: rpc.Malformed, Reach: rpc.NotSent, Op: "server", Text: "the tracking header cannot be read", Err: err}
}

func reasonOf(err error) wire.Reason {
	if e, ok := err.(*wire.Error); ok { //nolint:errorlint // tracking's errors are exactly that
		return e.Reason
	}
	return wire.BadValue
}
