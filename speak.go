package thriftloom

import (
	"context"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// Transport is how messages are laid on a connection.
type Transport = transport.Kind

// The transports. A server tells them apart by itself.
const (
	Buffered = transport.Buffered // unframed: ThriftPy's default, and this package's
	Framed   = transport.Framed   // a length before each message
	Header   = transport.Header   // THeader: a frame with key-value headers
	HTTP     = transport.HTTP     // a message is the body of a POST
)

// Protocol is how values are encoded.
type Protocol = wire.Protocol

// The protocols. A server tells them apart by itself.
const (
	Binary     = wire.Binary // ThriftPy's default, and this package's
	Compact    = wire.Compact
	JSON       = wire.JSON       // ThriftPy's own TJSONProtocol
	ApacheJSON = wire.ApacheJSON // Apache Thrift's TJSONProtocol
)

// named puts a service's name before each method's, as multiplexed servers want it.
type named struct {
	service string
	to      rpc.Handler
}

// Handle hands on a copy: everything above keeps the method's own name.
func (n named) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	c := *call
	c.Name = n.service + ":" + call.Name
	return n.to.Handle(ctx, &c)
}

// carried refuses calls whose headers the transport cannot carry.
type carried struct {
	kind Transport
	to   rpc.Handler
}

// Handle hands the call on as it is, or says which header is too much. Nothing of such a call is sent, and it is not tried again.
func (c carried) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	if err := transport.Carries(c.kind, call.Headers); err != nil {
		return nil, &rpc.Error{Code: rpc.Malformed, Reach: rpc.NotSent, Op: call.Service, Text: err.Error(), Err: err}
	}
	return c.to.Handle(ctx, call)
}

// wire returns how the client speaks.
func (c ClientConfig) wire() transport.Wire {
	w := transport.Wire{Kind: c.Transport, Protocol: c.Protocol}
	if w.Kind == 0 {
		w.Kind = Buffered
		if c.Framed {
			w.Kind = Framed
		}
	}
	if w.Protocol == 0 {
		w.Protocol = Binary
	}
	return w
}

// asks reports whether servers are asked for replies in any order. Over HTTP they cannot be; a connection with tracking headers is serial; and a ThriftPy server of Apache JSON answers
// the first call of a connection again and again, so that it may not be the question.
func (c ClientConfig) asks(w transport.Wire) bool {
	return !c.Serial && c.Tracking == "" && w.Kind != HTTP && w.Protocol != ApacheJSON
}
