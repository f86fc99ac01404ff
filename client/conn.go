// Package client is one connection to a peer as a Handler.
//
// Most peers are serial: they answer one call at a time, in order, as every ThriftPy server does. A Conn therefore has one call in flight;
// the cluster above holds as many as an endpoint has slots. With a peer that answers in any order, which Conn.Greet finds out, many calls
// share one connection: a Shared has a Share for each.
package client

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// FenceMethod is the method that no service has. Its UNKNOWN_METHOD reply proves that the handlers before it on the connection ended.
const FenceMethod = "__thriftloom_fence"

// Dialer makes a socket to an address.
type Dialer func(ctx context.Context, address string) (net.Conn, error)

// multiplexedFence is the same where calls have the service before the method.
const multiplexedFence = FenceMethod + ":" + FenceMethod

// Config says how to speak to a peer.
type Config struct {
	Wire   transport.Wire
	Limits wire.Limits
	// Budget is what the connection's bytes are counted in; nil: not counted. A call whose request or reply does not fit fails with
	// ResourceExhausted.
	Budget *netio.Budget
	// Dialer is nil for the operating system's network.
	Dialer Dialer
	// Linger returns how long a connection whose call has timed out is kept for its late reply. nil: one second.
	Linger func() time.Duration
	// FenceTimeout bounds the wait for the handler of a oneway call that has no deadline. Zero: 60s.
	FenceTimeout time.Duration
	// Owner may be nil.
	Owner Owner
	// Greets says that Greet or Track follows: more than one call may wait to be written.
	Greets bool
}

// maxQueued bounds what waits to be written, in bytes. One request always fits.
func (c Config) maxQueued() int {
	limit := c.Limits.WithDefaults().MessageBytes
	if c.Greets {
		return max(64<<20, limit*5/4)
	}
	return limit + 64<<10
}

// Owner is told what becomes of a connection. Its methods may be called from any goroutine; they must not call the connection's
// methods other than Close.
type Owner interface {
	// Freed is called exactly once for each Handle that began, when the peer is done with the call: before Handle returns, or later
	// where the call has timed out (the peer still works) or was oneway. reusable says whether the connection can take another call.
	Freed(reusable bool)
	// Gone is called when the connection closes while no call is in flight.
	Gone()
}

// state is what a Conn is doing.
type state uint8

const (
	idle    state = iota
	calling       // a Handle waits for the reply
	fencing       // a oneway was sent; the fence's reply is awaited, nobody waits
	retired       // the Handle has given up; the late reply is awaited, nobody waits
	closed
)

// Conn is one connection with at most one call in flight. Make one with Dial. Handle may be called by one goroutine at a time.
type Conn struct {
	cfg     Config
	net     netio.Conn
	split   transport.Splitter
	created time.Time
	shared  atomic.Pointer[Shared] // what the connection is once the peer has granted it

	mu       sync.Mutex
	level    int // of tracking, which Track has set
	state    state
	cause    error              // why it closed
	envelope transport.Envelope // of requests
	seq      int32              // of the call or fence that is awaited
	name     string             // of the method that is awaited
	start    int64              // bytes written before the call's first
	size     int64              // bytes of the call
	partial  bool               // some bytes of a reply have come
	calls    int                // that began
	replied  bool               // the call's reply has come, and Handle has not taken it yet
	early    bool               // it came before the request was written: the rest of that would stand in the way of the next call

	done  chan result // holds the result for Handle; capacity 1
	alarm alarm       // at Handle's deadline
	late  *time.Timer // ends fencing and retired
}

type result struct {
	reply *rpc.Reply
	err   *rpc.Error
}

// Dial connects to address, as ParsePlace reads it; TLS is the Dialer's. The error is an *rpc.Error with Reach NotSent and no endpoint name.
func Dial(ctx context.Context, engine netio.Engine, address string, cfg Config) (*Conn, error) {
	split, err := transport.NewSplitter(cfg.Wire, cfg.Limits)
	if err != nil {
		return nil, &rpc.Error{Code: rpc.Internal, Op: "client", Err: err}
	}
	if cfg.FenceTimeout == 0 {
		cfg.FenceTimeout = time.Minute
	}
	place, err := ParsePlace(address)
	if err != nil && cfg.Dialer == nil {
		return nil, dialError(err)
	}
	if err == nil {
		address = place.Socket
	}
	c := &Conn{cfg: cfg, split: split, done: make(chan result, 1), alarm: newAlarm(), created: time.Now()}
	if cfg.Wire.Kind == transport.HTTP {
		c.envelope = transport.Envelope{Host: place.Host, Path: place.Path}
	}
	limit := cfg.Limits.WithDefaults().MessageBytes
	opts := netio.Options{MaxBufferBytes: limit + 64<<10, MaxQueuedBytes: cfg.maxQueued(), Budget: cfg.Budget}
	if cfg.Dialer == nil {
		cfg.Dialer = dialSystem
	}
	socket, err := cfg.Dialer(ctx, address)
	if err != nil {
		return nil, dialError(err)
	}
	engine.Start(socket, opts, func(nc netio.Conn) netio.Receiver {
		c.net = nc
		return (*receiver)(c)
	})
	return c, nil
}

// dialSystem uses the operating system's network.
func dialSystem(ctx context.Context, address string) (net.Conn, error) {
	network, addr, err := netio.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func dialError(err error) *rpc.Error {
	if e, ok := handshakeError(err); ok {
		return e
	}
	if e, ok := loginError(err); ok {
		return e
	}
	e := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "client", Text: "connection refused", Err: err, Outcome: rpc.Refused}
	var ne net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() {
		e.Text, e.Outcome = "no connection in time", rpc.ConnectTimeout
	}
	if errors.Is(err, context.Canceled) {
		e.Code, e.Text, e.Outcome = rpc.Cancelled, "", rpc.Abandoned
	}
	var unnamed *net.DNSError
	if errors.As(err, &unnamed) && !unnamed.IsTimeout {
		e.Text = "no address for its name"
	}
	if localLimit(err) {
		e.Code, e.Text, e.Outcome = rpc.ResourceExhausted, "this machine can make no further connection", rpc.LocalLimit
	}
	return e
}

// localLimit reports whether this machine, and not the peer, is at its end: out of descriptors, memory or ports. A host without IPv6 says
// of IPv6 addresses what it says when the ports are gone, so that is believed of IPv4 only.
func localLimit(err error) bool {
	for _, limit := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, limit) {
			return true
		}
	}
	var op *net.OpError
	if !errors.As(err, &op) || !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return false
	}
	to, ok := op.Addr.(*net.TCPAddr)
	return ok && to.IP.To4() != nil
}

// Handle sends the call and waits for its reply, until the call's deadline or the end of ctx.
func (c *Conn) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	reply, err := c.handle(ctx, call)
	return named(call, reply), err
}

func (c *Conn) handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	if err := c.begin(call); err != nil {
		return nil, err
	}
	if call.Oneway {
		return &rpc.Reply{Protocol: call.Protocol}, nil
	}
	c.alarm.set(call.Deadline)
	defer c.alarm.clear()
	select {
	case r := <-c.done:
		return c.end(r)
	case <-c.alarm.rings:
		return c.giveUp(&rpc.Error{Code: rpc.DeadlineExceeded, Text: "no reply in time", Outcome: rpc.ReplyTimeout})
	case <-ctx.Done():
		return c.giveUp(&rpc.Error{Code: rpc.Cancelled, Text: "the caller has gone", Outcome: rpc.Abandoned, Err: context.Cause(ctx)})
	}
}

// begin writes the request, for a oneway with its fence behind it.
func (c *Conn) begin(call *rpc.Call) error {
	c.mu.Lock()
	c.calls++
	if c.state != idle {
		e := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "client", Text: "connection closed", Outcome: c.unsent(), Err: c.cause}
		if c.calls <= 1 && refusedLate(c.cause) {
			e.Outcome, e.Text = rpc.TLSFailed, handshakeTexts[netio.RefusedByPeer]
		}
		c.mu.Unlock()
		c.freed(false)
		return e
	}
	c.seq++
	head := wire.Head{Name: call.Name, Seq: c.seq, Type: wire.Call}
	_, bare, multiplexed := transport.SplitName(call.Name)
	c.state, c.name, c.partial, c.replied, c.early = calling, bare, false, false, false // multiplexed servers answer by the bare name
	if call.Oneway {
		head.Type = wire.Oneway
		if !c.acknowledged() {
			c.seq++
		}
		c.state, c.name = fencing, FenceMethod
		c.late = c.expireAfter(fenceTime(call, c.cfg.FenceTimeout))
	}
	seq := c.seq
	header := c.header(call)
	before, body := transport.Encode(room(call), transport.Message{Wire: c.cfg.Wire, Envelope: c.envelope, Head: head, Headers: c.cfg.headers(call), Tracking: header, Body: call.Body})
	c.start, c.size = c.net.Written(), int64(len(before)+len(body))
	c.mu.Unlock()

	// Any other failure of Send closes the connection, and Closed tells what became of the call.
	if c.net.Send(before, body) == netio.ErrNoRoom {
		return c.unsend(call.Oneway)
	}
	if call.Oneway && !c.acknowledged() {
		fence := transport.Message{
			Wire: c.cfg.Wire, Head: wire.Head{Name: FenceMethod, Seq: seq, Type: wire.Call}, Tracking: header, Body: message.Empty(c.cfg.Wire.Protocol),
		}
		if multiplexed { // an unknown method of a known service would close the connection; an unknown service does not
			fence.Head.Name = multiplexedFence
		}
		if c.net.Send(transport.Append(nil, fence), nil) == netio.ErrNoRoom {
			c.net.Close(netio.ErrNoRoom) // without its fence nothing tells when the handler has ended
		}
	}
	return nil
}

// room returns an empty slice in which the head of a call fits without growing, unless it carries headers.
func room(call *rpc.Call) []byte { return make([]byte, 0, 32+len(call.Name)) }

// acknowledged reports whether the peer answers oneways too, so that they need no fence: over HTTP each request has its response.
func (c *Conn) acknowledged() bool { return c.cfg.Wire.Kind == transport.HTTP }

// unsend takes back a call of which there is no room to write a byte.
func (c *Conn) unsend(oneway bool) *rpc.Error {
	c.mu.Lock()
	open := c.state != closed
	if open {
		c.state = idle
	}
	if oneway {
		c.late.Stop()
	}
	c.mu.Unlock()
	if open || !oneway { // of a oneway whose connection was closed meanwhile Closed has said that it is done
		c.freed(open)
	}
	return noRoom("too much is held already", netio.ErrNoRoom)
}

// fenceTime is how long the handler of a oneway is waited for: until the call's deadline, or most.
func fenceTime(call *rpc.Call, most time.Duration) time.Duration {
	if d, ok := call.Remaining(time.Now()); ok {
		return max(d, time.Second)
	}
	return most
}

// end hands the result out and the connection back.
func (c *Conn) end(r result) (*rpc.Reply, error) {
	c.mu.Lock()
	open := c.state == calling
	reusable := open && !c.early
	switch {
	case reusable:
		c.state = idle
	case open:
		c.state = closed
	}
	c.mu.Unlock()
	if open && !reusable {
		c.net.Close(errEarly)
	}
	c.freed(reusable)
	if r.err != nil {
		return nil, r.err
	}
	return r.reply, nil
}

// giveUp retires the connection: the peer is still at work, so its slot stays taken until the late reply, a close, or Linger.
func (c *Conn) giveUp(e *rpc.Error) (*rpc.Reply, error) {
	c.mu.Lock()
	select {
	case r := <-c.done: // the result came at the same moment
		c.mu.Unlock()
		return c.end(r)
	default:
	}
	e.Op, e.Reach = "client", rpc.Unknown // what still waits to be written goes out later
	c.state = retired
	linger := time.Second
	if c.cfg.Linger != nil {
		linger = c.cfg.Linger()
	}
	c.late = c.expireAfter(linger)
	c.mu.Unlock()
	return nil, e
}

// expireAfter closes the connection after d, unless what it waits for now has come. c.mu is held.
func (c *Conn) expireAfter(d time.Duration) *time.Timer {
	seq := c.seq
	return time.AfterFunc(d, func() {
		c.mu.Lock()
		still := c.seq == seq && (c.state == fencing || c.state == retired)
		c.mu.Unlock()
		if still {
			c.net.Close(errLate)
		}
	})
}

var errEarly = errors.New("the peer answered before it had the whole request")

var errLate = errors.New("the peer did not come back in time")

func (c *Conn) freed(reusable bool) {
	if c.cfg.Owner != nil {
		c.cfg.Owner.Freed(reusable)
	}
}

// Close closes the connection. A call in flight fails with Unavailable.
func (c *Conn) Close() { c.net.Close(nil) }

// Created returns when the connection was made.
func (c *Conn) Created() time.Time { return c.created }

// Usable reports whether the connection can take another call when it is free: it always can, unless its owner is told otherwise.
func (c *Conn) Usable() bool { return true }

// Waiting reports whether the connection waits for a peer that nobody waits for any more: a late reply or a fence.
func (c *Conn) Waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == retired || c.state == fencing
}

// closedError says what became of a call whose connection closed.
func (c *Conn) closedError(cause error) *rpc.Error {
	if cause == nil {
		cause = io.EOF
	}
	e := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.Unknown, Op: "client", Err: cause}
	switch written := c.net.Written(); {
	case errors.Is(cause, netio.ErrNoRoom):
		e.Code, e.Outcome, e.Reach = rpc.ResourceExhausted, rpc.LocalLimit, rpc.Answered
		e.Text = "no room for the reply: too much is held already"
	case errors.Is(cause, errSpeaksTLS):
		e.Reach, e.Outcome, e.Text = rpc.NotSent, rpc.TLSFailed, "the server speaks TLS, and is called without"
	case refusedLate(cause) && c.calls <= 1 && !c.partial:
		e.Reach, e.Outcome, e.Text = rpc.NotSent, rpc.TLSFailed, handshakeTexts[netio.RefusedByPeer]
	case written <= c.start:
		e.Reach, e.Outcome, e.Text = rpc.NotSent, c.unsent(), "connection closed before the request was sent"
	case written < c.start+c.size:
		e.Outcome, e.Text = rpc.WriteCut, "connection closed while the request was sent"
	case c.partial:
		e.Outcome, e.Text = rpc.BadReply, "connection closed inside the reply"
	case c.unread(cause):
		e.Reach, e.Outcome, e.Text = rpc.NotSent, c.unsent(), "connection closed before the request was read"
	default:
		// An undeclared exception and a crash look the same: ThriftPy closes, and says nothing.
		e.Code, e.Outcome, e.Text = rpc.HandlerFailed, rpc.ClosedNoReply, "the handler ended without a reply"
		if c.calls > 1 { // … and so does the close of a connection that the server would not keep
			e.Outcome = rpc.ClosedReused
		}
	}
	var bad *transport.Malformed
	if errors.As(cause, &bad) || errors.Is(cause, errBadReply) {
		e.Code, e.Outcome, e.Text = rpc.Unavailable, rpc.BadReply, "what came back is no reply to the call"
		if bad != nil && c.acknowledged() {
			e.Text += ": " + bad.Err.Text // HTTP's status
		}
	}
	return e
}

// unsent is the class of a close before the request was sent, or read. Of a fresh connection it is one of its own: without a pause an
// endpoint that hangs up would get every call again at once, for it is always free. c.mu is held.
func (c *Conn) unsent() rpc.Outcome {
	if c.calls <= 1 {
		return rpc.HungUp
	}
	return rpc.WriteCut
}

var errBadReply = errors.New("wrong sequence id, method or message type")
