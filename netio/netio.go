// Package netio moves bytes: connections that call back with what came and queue what is sent, and the loops that drive them.
//
// Server and client use Conn only, so that another engine (epoll beside the portable one) can drive the same code. An engine passes
// netiotest, the conformance kit.
package netio

import (
	"context"
	"errors"
	"net"
	"time"
)

// Conn is one connection.
//
// Send queues head and body, in this order, as one piece; it does not wait for the peer. Inside a Receiver's callback what is sent is
// written once, when the callback returns; elsewhere it is written before Send returns as far as the kernel takes it, and the rest in
// the background. The bytes are not changed after Send and may be shared. Methods are safe for concurrent use.
type Conn interface {
	// Send returns ErrClosed after Close, or ErrBacklog (and closes the connection) where more than Options.MaxQueuedBytes wait to be
	// written: a peer that does not read. It returns ErrNoRoom, and the connection goes on without these bytes, where the budget has no
	// room for them; a few KiB always fit where nothing else waits.
	Send(head, body []byte) error
	// Written returns how many bytes the kernel has taken so far. What it is being handed at the moment counts, so that no byte can have
	// left that does not count; from Closed on the number is exact.
	Written() int64
	// Hold, called inside Receive, keeps the memory of that callback's bytes counted in the budget until the lease is released.
	Hold() *Lease
	// Pause stops reading; Resume goes on. Bytes that came before are still delivered: a paused connection gets no callback but Closed,
	// and Resume hands the receiver once more what it did not use. Pause and Resume do not count: one Resume ends any number of Pauses.
	Pause()
	Resume()
	// Finish writes what is queued, then closes. It does not wait. New Sends get ErrClosed.
	Finish()
	// Close drops what is queued and closes at once. cause is what Receiver.Closed gets.
	Close(cause error)
	// Detach stops the engine and hands out the socket and the bytes that came and were not used. Call it at a quiet point: nothing
	// queued, no callback running (ErrBusy otherwise). Receiver.Closed is not called.
	Detach() (net.Conn, []byte, error)
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// Receiver is handed what happens on one connection. Its methods are called one at a time, Closed last and exactly once.
type Receiver interface {
	// Receive is handed every byte that came and was not used yet, and returns how many from the front it used up. need, if above
	// len(buf)-used, is the least length worth another call. It is called again at once where it used some and need allows, so it may use
	// up one message a call or all of them. The bytes are immutable, owned by the garbage collector, and may be kept (buf's capacity ends
	// with it, so that an append copies); a long-term holder of a small slice copies it (chunks are 64 KiB).
	Receive(buf []byte) (used, need int)
	// Ended is called when the peer has sent its last byte (a half-close); the connection can still be written to. What was not used
	// will not become more.
	Ended()
	// Closed is called when the connection is gone: after Close (with its cause), Finish (with nil), or a failure.
	Closed(err error)
}

// Shedder is a Receiver that can do without bytes. One that cannot, or uses none up, is closed with ErrNoRoom.
type Shedder interface {
	// Shed is called instead of Receive where the budget has no room for more than buf, of which no byte was used: it is to use some up.
	Shed(buf []byte) (used int)
}

// Options bound a connection.
type Options struct {
	// Budget is what the connection's bytes are counted in, shared with others; nil: not counted.
	Budget *Budget
	// Yield leaves a part of the budget to connections that do not: those that bring the answers.
	Yield bool
	// StallTimeout is how long a peer may take none of what waits to be written; past it the connection is closed with ErrStalled. Zero:
	// for ever.
	StallTimeout time.Duration
	// MaxQueuedBytes bounds what waits to be written, in bytes. Default 64 MiB.
	MaxQueuedBytes int
	// MaxBufferBytes bounds what came and was not used, in bytes; past it the connection is closed with ErrBufferFull. It has to be
	// above the longest message. Default 17,000,000.
	MaxBufferBytes int
	// Received is what came on the socket before it is started: delivered first, as if it came now. The engine owns it.
	Received []byte
}

// Engine makes connections out of sockets.
type Engine interface {
	// Start takes c over: attach is called once, with the new connection, for its receiver, before anything is read.
	Start(c net.Conn, opts Options, attach func(Conn) Receiver) Conn
	// Run drives the engine until ctx ends and all of its connections are closed (it closes them).
	Run(ctx context.Context) error
}

// Errors of connections.
var (
	ErrClosed     = errors.New("connection closed")
	ErrBacklog    = errors.New("the peer does not read: too much waits to be written")
	ErrBusy       = errors.New("connection busy")
	ErrBufferFull = errors.New("too many bytes came that are no message")
	ErrNoRoom     = errors.New("no room: too many bytes are held already")
	ErrStalled    = errors.New("the peer does not read: none of what waits to be written was taken in time")
)
