package server

import (
	"time"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/wire"
)

// Config says how a listener serves. Only Route is needed.
type Config struct {
	// Limits bound each request.
	Limits wire.Limits
	// MaxConnections bounds the open connections; one more is closed as soon as it is accepted. Default 10,000.
	MaxConnections int
	// MaxPerCaller bounds the open connections of one caller's address: an IPv4 address, or the /64 network of an IPv6 address. One more is
	// closed as soon as it is accepted. Callers on unix sockets have no address. Default seven eighths of MaxConnections, for callers on
	// other machines: here all have the same.
	MaxPerCaller int
	// StallTimeout bounds how long a caller may take in mid-message: a request that began has to come whole within it, and a second more
	// for each 64 KiB; and of what waits to be written to it, some has to be taken. Between messages a connection may be idle for ever.
	// Default 60s.
	StallTimeout time.Duration
	// MaxPipelined bounds the calls of one connection that are in flight or wait for their turn to be answered; reading pauses there.
	// Default 128.
	MaxPipelined int
	// Ordered starts a call only when the one before it on its connection has ended. Replies are in order then, whatever the caller asks.
	Ordered bool
	// Budget is what the bytes of all connections are counted in, shared with other listeners and with the clients of the upstreams. nil:
	// not counted.
	Budget *netio.Budget
	// Engine drives the connections, and somebody else runs it. Default: a portable engine that Serve runs.
	Engine netio.Engine
	// Route finds who answers a message, and fills call.Service, Name, Method and Oneway; Name and Oneway stand as the message has them.
	// Its error is what the caller is told. It is called for each message that has come whole, and for the head of a malformed one to
	// learn whether the caller waits for an answer. It must be quick and is called concurrently.
	Route func(head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error)
	// OnMalformed, if set, is told of bytes that are no message. It must be quick and is called concurrently.
	OnMalformed func(reason wire.Reason, err error)
	// Crash, if set, reports whether a call that failed with HandlerFailed closes its connection without an answer, as ThriftPy does,
	// instead of being answered with an exception.
	Crash func(call *rpc.Call) bool

	countLocal bool // MaxPerCaller is given: it holds for callers of this machine too
}

// The defaults of Config.
const (
	defaultMaxConnections = 10_000
	defaultMaxPipelined   = 128
	defaultStallTimeout   = time.Minute
)

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	if c.MaxConnections == 0 {
		c.MaxConnections = defaultMaxConnections
	}
	c.countLocal = c.MaxPerCaller > 0
	if c.MaxPerCaller == 0 {
		c.MaxPerCaller = c.MaxConnections - c.MaxConnections/8
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = defaultStallTimeout
	}
	if c.MaxPipelined == 0 {
		c.MaxPipelined = defaultMaxPipelined
	}
	return c
}
