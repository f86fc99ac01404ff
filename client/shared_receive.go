package client

import (
	"io"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// receive takes replies out of what came.
func (c *Shared) receive(buf []byte) (used, need int) {
	for used < len(buf) {
		if c.shedding {
			n := c.shedMore(buf[used:])
			if used += n; n == 0 {
				return used, 0
			}
			continue
		}
		m, n, want, err := c.split.Split(buf[used:])
		if err != nil {
			c.net.Close(err)
			return len(buf), 0
		}
		c.mu.Lock()
		c.partial = n == 0
		unasked := n == 0 && len(c.asked) == 0 && len(c.shares) == 0
		c.mu.Unlock()
		if n == 0 && !unasked {
			return used, want
		}
		used += n
		if unasked || !c.take(m) {
			c.net.Close(errBadReply)
			return len(buf), 0
		}
	}
	return used, 0
}

// take gives one message to whoever waits for it, and reports whether the stream can still be trusted. freed is not called under the lock.
func (c *Shared) take(m transport.Message) bool {
	if m.Head.Name == rpc.GoodbyeMethod {
		c.goodbye(m.Head.Seq)
		return true
	}
	c.mu.Lock()
	c.received++
	s, asked := c.asked[m.Head.Seq]
	delete(c.asked, m.Head.Seq)
	switch {
	case s == nil: // forgotten, or never asked
		if asked {
			c.forgot--
		}
		c.mu.Unlock()
		return asked
	case m.Head.Seq == s.stray:
		s.stray = 0
		c.mu.Unlock()
		return true
	case m.Head.Name != s.name:
		c.asked[m.Head.Seq] = s // it waits still, and is told of the close
		c.mu.Unlock()
		return false
	}
	if s.state == calling {
		defer c.mu.Unlock()
		return c.deliver(s, m)
	}
	s.late.Stop() // the slot is free again: a late reply, or a fence's
	if s.stray != 0 {
		delete(c.asked, s.stray)
	}
	reusable := s.rest()
	c.mu.Unlock()
	s.owner.Freed(reusable)
	return true
}

// deliver hands a reply to Handle. c.mu is held.
func (c *Shared) deliver(s *Share, m transport.Message) bool {
	reply, err, ok := parse(m, m.Wire.Protocol, c.cfg.Limits)
	if !ok {
		c.asked[m.Head.Seq] = s
		return false
	}
	if reply != nil && c.cfg.Budget != nil && len(reply.Body) >= longBody {
		reply.Memory = newClaim(c.net.Hold())
	}
	s.replied = true
	s.done <- result{reply, err}
	return true
}

// goodbye ends the connection in peace: the peer has taken in the calls up to last, and answers them; those after it were not begun.
func (c *Shared) goodbye(last int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worn.Store(true)
	for seq, s := range c.asked {
		if s == nil || seq <= last || s.state != calling || s.replied {
			continue
		}
		c.forget(seq)
		s.done <- result{err: &rpc.Error{
			Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "client", Text: "the server is ending the connection", Outcome: rpc.WriteCut,
		}}
		s.replied = true
	}
}

// shed gives up the reply that is on its way, of which there is no room for more: its call fails, the others go on. It uses nothing up
// where it cannot, and the connection is closed.
func (c *Shared) shed(buf []byte) (used int) {
	split, ok := c.split.(transport.Shedder)
	if !ok {
		return 0
	}
	m, ok := split.Peek(buf)
	if !ok {
		return 0
	}
	c.mu.Lock()
	s := c.asked[m.Head.Seq]
	if s == nil || s.state != calling || s.replied || m.Head.Name != s.name { // nobody waits for that many bytes
		c.mu.Unlock()
		return 0
	}
	delete(c.asked, m.Head.Seq)
	c.received++
	s.replied = true
	s.done <- result{err: &rpc.Error{
		Code: rpc.ResourceExhausted, Reach: rpc.Answered, Op: "client", Text: "no room for the reply: too much is held already",
		Err: netio.ErrNoRoom, Outcome: rpc.LocalLimit,
	}}
	c.mu.Unlock()
	return c.shedMore(buf)
}

// shedMore uses up bytes of a reply that was given up.
func (c *Shared) shedMore(buf []byte) (used int) {
	used, done, err := c.split.(transport.Shedder).Shed(buf)
	if c.shedding = !done; err != nil {
		c.net.Close(err)
		return len(buf)
	}
	return used
}

// ended closes: a peer that sends no more bytes answers no more calls.
func (c *Shared) ended() { c.net.Close(io.EOF) }

// closedBy settles what was in flight.
func (c *Shared) closedBy(err error) {
	var idlers, workers []*Share
	c.mu.Lock()
	c.closed, c.cause = true, err
	c.worn.Store(true)
	alone := len(c.asked) <= 1
	for s := range c.shares {
		switch s.state {
		case idle:
			idlers = append(idlers, s)
		case calling:
			if !s.replied {
				s.done <- result{err: c.closedError(s, alone)}
			}
		case fencing, retired:
			s.late.Stop()
			workers = append(workers, s)
		}
		s.state = closed
	}
	clear(c.shares)
	clear(c.asked)
	c.mu.Unlock()
	for _, s := range workers {
		s.owner.Freed(false)
	}
	for _, s := range idlers {
		s.owner.Gone()
	}
}
