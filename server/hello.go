package server

import (
	"slices"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// isHello reports whether m asks for replies as they are ready. That is between a caller and this server: no service is called.
func isHello(m *transport.Message) bool {
	if m.Head.Type != wire.Call {
		return false
	}
	_, name, _ := transport.SplitName(m.Head.Name)
	return name == rpc.HelloMethod
}

// hello grants it, unless calls are to start one after the other, or the transport has no way to tell whose a reply is. The answers to
// calls that came before are written first, in their order; two calls in flight with one sequence id are answered both, in any order.
func (c *conn) hello(m transport.Message) {
	x := c.exchange(m)
	x.memory = c.net.Hold()
	granted := !c.server.cfg.Ordered && m.Wire.Kind != transport.HTTP
	reply, refused := &rpc.Reply{Protocol: m.Wire.Protocol}, error(nil)
	if granted {
		reply.Body = message.Empty(m.Wire.Protocol)
	} else {
		reply, refused = nil, &rpc.Error{Code: rpc.UnknownMethod, Reach: rpc.NotSent, Op: "server", Text: "replies are in the order of the calls"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(x)
	c.end(x, x.replyTo(reply, refused))
	c.unordered = c.unordered || granted
}

// endUnordered is end where the caller was granted replies as they are ready. One that closes the connection waits for the others: they are
// owed an answer.
func (c *conn) endUnordered(x *exchange) {
	i := slices.Index(c.order, x)
	c.order = slices.Delete(c.order, i, i+1)
	if !x.answer.close {
		c.write(x)
	}
	c.answered(1)
}

// goodbye tells a caller which of its calls were the last that are answered, so that none that comes too late has an unknown fate.
func (c *conn) goodbye() {
	c.parting = false
	w := c.split.Wire()
	_ = c.net.Send(transport.Append(nil, transport.Message{ // without room for it the caller learns of the close alone
		Wire: w, Head: wire.Head{Name: rpc.GoodbyeMethod, Seq: c.last, Type: wire.Reply}, Body: message.Empty(w.Protocol),
	}), nil)
}
