package client

import (
	"errors"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

const (
	// MaxShares bounds the calls in flight of one shared connection: as many as a Thriftloom server takes in of one before it stops reading.
	MaxShares = 128
	// maxForgotten bounds the calls whose reply never came, and may still come, on a connection that takes new ones.
	maxForgotten = 4 * MaxShares
	// lastSeq is the last sequence id that is used on a connection, so that a later call always has a greater one.
	lastSeq = math.MaxInt32 - 1
)

// Shared is one connection to a peer that answers in any order: many calls in flight, told apart by their sequence ids. Calls go through
// its shares. Conn.Greet makes one. Safe for concurrent use.
//
// A call that is given up leaves the connection as it was: its reply is dropped when it comes. A connection that has worn out takes no
// new call, and is closed behind the last one.
type Shared struct {
	cfg       Config
	net       netio.Conn
	split     transport.Splitter
	created   time.Time
	maxQueued int64
	shedding  bool // a reply that is on its way was given up; the receiver's own

	mu       sync.Mutex
	shares   map[*Share]struct{} // that are open
	asked    map[int32]*Share    // by sequence id; nil: nobody waits for that reply any more
	forgot   int                 // entries of asked that are nil
	seq      int32               // the last that was used
	sent     int64               // bytes of all calls, written or not
	received int64               // messages that have come
	calls    int                 // that began
	worn     atomic.Bool         // it does not answer, has forgotten too much, is being closed, or the peer has said goodbye
	partial  bool                // some bytes of a reply have come
	closed   bool
	cause    error // why
}

// Open returns a share; nil where there are as many as may be, or the connection has worn out.
func (c *Shared) Open(owner Owner) *Share {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.worn.Load() || len(c.shares) >= MaxShares {
		return nil
	}
	s := &Share{shared: c, owner: owner, done: make(chan result, 1), alarm: newAlarm()}
	c.shares[s] = struct{}{}
	return s
}

// Load returns how many shares are open; more says whether there may be another one.
func (c *Shared) Load() (open int, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.shares), !c.closed && !c.worn.Load() && len(c.shares) < MaxShares
}

// nextSeq returns the sequence id of another message. c.mu is held, as in all that follows.
func (c *Shared) nextSeq() int32 {
	c.seq++
	if c.seq >= lastSeq-2 { // a oneway takes two
		c.worn.Store(true)
	}
	return c.seq
}

// send queues a call. Where there is no room for it nothing of it is sent.
func (c *Shared) send(before, body []byte) *rpc.Error {
	n := int64(len(before) + len(body))
	if waits := c.sent - c.net.Written(); waits > 0 && waits+n > c.maxQueued {
		return noRoom("too much waits to be written", netio.ErrBacklog)
	}
	// Any other failure of Send closes the connection, and Closed tells what became of the call.
	if c.net.Send(before, body) == netio.ErrNoRoom {
		return noRoom("too much is held already", netio.ErrNoRoom)
	}
	c.sent += n
	return nil
}

func noRoom(why string, cause error) *rpc.Error {
	return &rpc.Error{
		Code: rpc.ResourceExhausted, Reach: rpc.NotSent, Op: "client", Text: "no room for the request: " + why, Err: cause, Outcome: rpc.LocalLimit,
	}
}

// forget keeps in mind that the reply to a message is to be dropped.
func (c *Shared) forget(seq int32) {
	c.asked[seq] = nil
	if c.forgot++; c.forgot > maxForgotten {
		c.worn.Store(true)
	}
}

// drop takes a share out, and closes a connection that has worn out behind its last one; one without any has nothing to do.
func (c *Shared) drop(s *Share) {
	s.state = closed
	s.alarm.stop()
	delete(c.shares, s)
	if len(c.shares) == 0 && !c.closed {
		c.worn.Store(true)
		c.net.Close(nil)
	}
}

// unsent is the class of a close before a call was sent.
func (c *Shared) unsent() rpc.Outcome {
	if c.calls <= 1 {
		return rpc.HungUp
	}
	return rpc.WriteCut
}

// closedError says what became of a call whose connection closed, with others in flight or alone.
func (c *Shared) closedError(s *Share, alone bool) *rpc.Error {
	e := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.Unknown, Op: "client", Err: c.cause}
	if e.Err == nil {
		e.Err = io.EOF
	}
	var bad *transport.Malformed
	switch written := c.net.Written(); {
	case written <= s.start:
		e.Reach, e.Outcome, e.Text = rpc.NotSent, c.unsent(), "connection closed before the request was sent"
	case written < s.start+s.size:
		e.Outcome, e.Text = rpc.WriteCut, "connection closed while the request was sent"
	case errors.As(c.cause, &bad) || errors.Is(c.cause, errBadReply):
		e.Outcome, e.Text = rpc.BadReply, "what came back is no reply to a call"
	case !alone:
		e.Outcome, e.Text = rpc.ClosedShared, "connection closed with several calls in flight"
	case errors.Is(c.cause, netio.ErrNoRoom):
		e.Code, e.Outcome, e.Reach = rpc.ResourceExhausted, rpc.LocalLimit, rpc.Answered
		e.Text = "no room for the reply: too much is held already"
	case c.partial:
		e.Outcome, e.Text = rpc.BadReply, "connection closed inside the reply"
	default:
		e.Code, e.Outcome, e.Text = rpc.HandlerFailed, rpc.ClosedNoReply, "the handler ended without a reply"
		if c.calls > 1 {
			e.Outcome = rpc.ClosedReused
		}
	}
	return e
}
