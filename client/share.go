package client

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// Share is one call in flight of a Shared. Its Owner is told what becomes of it as of a connection of its own. Handle may be called by one
// goroutine at a time.
type Share struct {
	shared *Shared
	owner  Owner
	done   chan result // holds the result for Handle; capacity 1
	alarm  alarm       // at Handle's deadline

	// Guarded by shared.mu.
	state   state
	seq     int32  // of the call or fence that is awaited
	stray   int32  // of the oneway before the fence: some servers answer one; zero: none
	name    string // of the method that is awaited
	start   int64  // bytes sent before the call's first
	size    int64  // bytes of the call
	heard   int64  // Shared.received when the call was sent
	replied bool   // the call's reply has come, and Handle has not taken it yet
	late    *time.Timer
}

// Handle sends the call and waits for its reply, until the call's deadline or the end of ctx.
func (s *Share) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	reply, err := s.handle(ctx, call)
	return named(call, reply), err
}

func (s *Share) handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	if e := s.begin(call); e != nil {
		return nil, e
	}
	if call.Oneway {
		return &rpc.Reply{Protocol: call.Protocol}, nil
	}
	s.alarm.set(call.Deadline)
	defer s.alarm.clear()
	select {
	case r := <-s.done:
		return s.end(r)
	case <-s.alarm.rings:
		return s.giveUp(&rpc.Error{Code: rpc.DeadlineExceeded, Text: "no reply in time", Outcome: rpc.ReplyTimeout})
	case <-ctx.Done():
		return s.giveUp(&rpc.Error{Code: rpc.Cancelled, Text: "the caller has gone", Outcome: rpc.Abandoned, Err: context.Cause(ctx)})
	}
}

// begin writes the request. Behind a oneway goes a fence: it is no proof that the handler has ended, as it is with a serial peer, but that
// the peer has taken the oneway in. That bounds how many oneways are on their way.
func (s *Share) begin(call *rpc.Call) *rpc.Error {
	c := s.shared
	c.mu.Lock()
	c.calls++
	if c.worn.Load() || s.state != idle {
		e := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "client", Text: "connection closed", Outcome: rpc.WriteCut, Err: c.cause}
		if c.closed {
			e.Outcome = c.unsent()
		}
		if s.state == idle {
			c.drop(s)
		}
		c.mu.Unlock()
		s.owner.Freed(false)
		return e
	}
	head := wire.Head{Name: call.Name, Seq: c.nextSeq(), Type: wire.Call}
	if call.Oneway {
		head.Type = wire.Oneway
	}
	before, body := transport.Encode(room(call), transport.Message{Wire: c.cfg.Wire, Head: head, Headers: c.cfg.headers(call), Body: call.Body})
	_, bare, multiplexed := transport.SplitName(call.Name)
	s.seq, s.stray, s.name, s.heard, s.replied = head.Seq, 0, bare, c.received, false
	s.start, s.size = c.sent, int64(len(before)+len(body))
	e := c.send(before, body)
	open := true // the share can take another call
	switch {
	case e != nil:
	case call.Oneway:
		open = !s.fence(call, multiplexed)
	default:
		s.state, c.asked[s.seq], open = calling, s, false
	}
	c.mu.Unlock()
	if open {
		s.owner.Freed(true)
	}
	return e
}

// fence follows a oneway; false where there is no room for it: then nothing is awaited. shared.mu is held.
func (s *Share) fence(call *rpc.Call, multiplexed bool) bool {
	c := s.shared
	m := transport.Message{Wire: c.cfg.Wire, Head: wire.Head{Name: FenceMethod, Seq: c.nextSeq(), Type: wire.Call}, Body: message.Empty(c.cfg.Wire.Protocol)}
	if multiplexed {
		m.Head.Name = multiplexedFence
	}
	if c.send(transport.Append(nil, m), nil) != nil {
		return false
	}
	s.state, s.name, s.stray, s.seq = fencing, FenceMethod, s.seq, m.Head.Seq
	c.asked[s.stray], c.asked[s.seq] = s, s
	s.expireAfter(fenceTime(call, c.cfg.FenceTimeout))
	return true
}

// end hands the result out and the share back.
func (s *Share) end(r result) (*rpc.Reply, error) {
	c := s.shared
	c.mu.Lock()
	reusable := s.rest()
	c.mu.Unlock()
	s.owner.Freed(reusable)
	if r.err != nil {
		return nil, r.err
	}
	return r.reply, nil
}

// rest makes the share idle behind a call, and reports whether it can take another one. shared.mu is held, as in all that follows.
func (s *Share) rest() bool {
	if s.state == closed {
		return false
	}
	s.state = idle
	if s.shared.worn.Load() {
		s.shared.drop(s)
		return false
	}
	return true
}

// giveUp leaves the peer at work: the slot stays taken until the late reply, a close, or Linger. A peer of which nothing has come since
// the call was sent is asked nothing more on this connection.
func (s *Share) giveUp(e *rpc.Error) (*rpc.Reply, error) {
	c := s.shared
	linger := time.Second
	if c.cfg.Linger != nil {
		linger = c.cfg.Linger()
	}
	c.mu.Lock()
	select {
	case r := <-s.done: // the result came at the same moment
		c.mu.Unlock()
		return s.end(r)
	default:
	}
	e.Op, e.Reach = "client", rpc.Unknown // what still waits to be written goes out later
	s.state = retired
	if e.Outcome == rpc.ReplyTimeout && s.heard == c.received {
		c.worn.Store(true)
	}
	s.expireAfter(linger)
	c.mu.Unlock()
	return nil, e
}

// expireAfter gives the slot back after d, whatever the peer does; the reply may still come.
func (s *Share) expireAfter(d time.Duration) {
	c, seq := s.shared, s.seq
	s.late = time.AfterFunc(d, func() {
		c.mu.Lock()
		still := s.seq == seq && (s.state == fencing || s.state == retired)
		if still {
			c.forget(s.seq)
			if s.stray != 0 {
				c.forget(s.stray)
			}
			c.drop(s)
		}
		c.mu.Unlock()
		if still {
			s.owner.Freed(false)
		}
	})
}

// Close gives the share up; the connection is closed behind its last one. A call in flight fails with Unavailable.
func (s *Share) Close() {
	c := s.shared
	c.mu.Lock()
	was, replied := s.state, s.replied
	if was == closed {
		c.mu.Unlock()
		return
	}
	if s.late != nil {
		s.late.Stop()
	}
	if was != idle && !replied {
		c.forget(s.seq)
	}
	if was == calling && !replied {
		s.done <- result{err: c.closedError(s, false)}
	}
	c.drop(s)
	c.mu.Unlock()
	if was == fencing || was == retired {
		s.owner.Freed(false)
	}
}

// Created returns when the connection was made.
func (s *Share) Created() time.Time { return s.shared.created }

// Usable reports whether the share can take another call when it is free: its connection has not worn out.
func (s *Share) Usable() bool {
	return !s.shared.worn.Load()
}
