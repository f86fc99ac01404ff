package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/thriftloom/thriftloom/transport"
)

// Handed is a caller's connection between two calls, on its way from one server to another.
type Handed struct {
	Conn net.Conn
	Wire transport.Wire // how it speaks; zero where no message has told yet
	// Unordered says that the caller was granted replies as they are ready. One who does not know that answers in order, which is as good.
	Unordered bool
	Tracking  Tracking
	Rest      []byte // bytes that came and were not taken: no more than the bound of one message and what frames it
}

// handOverPoll is how often connections are looked at that rest without telling: a peer that reads its answers late.
const handOverPoll = 20 * time.Millisecond

// HandOver takes every connection off the server and hands it to give, one at a time: those between two calls at once, the others behind
// their last answer. No new call of theirs is taken meanwhile; what came of it goes along. A oneway that still runs here holds no
// connection. Connections that are accepted meanwhile are handed over too; those that are more than a socket (TLS) stay, for Drain.
//
// It returns nil when none is left. Where give fails, and where ctx ends first, the error says why, and what was not given stays and is
// served on. give owns the connection if it returns nil.
func (s *Server) HandOver(ctx context.Context, give func(Handed) error) error {
	tick := time.NewTicker(handOverPoll)
	defer tick.Stop()
	for {
		left := 0
		for _, c := range s.connections() {
			if !c.plain {
				continue
			}
			left++
			if ctx.Err() != nil {
				continue
			}
			h, ok := c.leave()
			if !ok {
				continue
			}
			if err := give(h); err != nil {
				s.stay()
				return errors.Join(err, s.Take(h))
			}
			left--
		}
		if left == 0 && ctx.Err() == nil {
			return nil
		}
		select {
		case <-s.quiet:
		case <-tick.C:
		case <-ctx.Done():
			s.stay()
			return fmt.Errorf("hand over: %d connections were not between two calls: %w", left, context.Cause(ctx))
		}
	}
}

// Met returns how many connections of the listener the server has dealt with: HandOver sees them, or they were turned away.
func (s *Server) Met() int64 { return s.met.Load() }

// Take goes on with a connection of another server. It does not count against MaxConnections: its caller was let in before. It fails, and
// closes the connection, unless Serve runs, and where the wire is not spoken here.
func (s *Server) Take(h Handed) error {
	s.mu.Lock()
	with := s.serving
	s.mu.Unlock()
	if with == nil {
		_ = h.Conn.Close()
		return errors.New("take over: the server does not serve")
	}
	split, options := transport.NewDetector(s.cfg.Limits, nil), s.options
	if h.Wire != (transport.Wire{}) {
		var err error
		if split, err = transport.Resume(h.Wire, s.cfg.Limits); err != nil {
			_ = h.Conn.Close()
			return fmt.Errorf("take over: %w", err)
		}
	}
	options.Received = h.Rest
	s.attach(with, h.Conn, options, split, h.Unordered && !s.cfg.Ordered, h.Tracking)
	return nil
}

// plain reports whether nc is a socket with nothing over it.
func plain(nc net.Conn) bool {
	_, over := nc.(interface{ NetConn() net.Conn })
	return !over
}

// stay lets the connections go on that were not handed over.
func (s *Server) stay() {
	for _, c := range s.connections() {
		c.stay()
	}
}

// poke wakes HandOver.
func (s *Server) poke() {
	select {
	case s.quiet <- struct{}{}:
	default: // it is awake already
	}
}

// errHanded is why the context of a connection ends that lives on elsewhere.
var errHanded = errors.New("the caller's connection was handed over")

// leave stops reading, and takes the connection off the server where no answer is owed. From here on Closed is not called, so that what
// it does is done here.
func (c *conn) leave() (h Handed, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.closing { // it ends by itself
		return h, false
	}
	if !c.receiving && c.shedding { // the rest of a refused request is read first
		c.resume()
		return h, false
	}
	if !c.leaving {
		c.leaving = true
		c.net.Pause()
	}
	if c.receiving || len(c.order) > 0 || c.server.cfg.Ordered && c.inflight > 0 {
		return h, false
	}
	nc, rest, err := c.net.Detach()
	if err != nil { // a callback is on its way out, an answer is being written, or Closed comes
		return h, false
	}
	c.gone = true
	c.arrival.stop()
	c.cancel(errHanded)
	c.server.closed(c)
	return Handed{Conn: nc, Wire: c.split.Wire(), Unordered: c.unordered, Tracking: c.tracking, Rest: rest}, true
}

// stay ends leaving.
func (c *conn) stay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resume()
}

func (c *conn) resume() {
	if c.leaving && !c.gone {
		c.leaving = false
		if !c.full {
			c.net.Resume()
		}
	}
}
