// Package server is a listener for a Handler: it takes calls off connections and writes their replies back in the same wire and, unless
// the caller has asked for them as they are ready (rpc.HelloMethod), in the same order.
package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// Server takes calls off the connections of one listener. Make one with New. Safe for concurrent use.
type Server struct {
	cfg     Config
	options netio.Options
	workers workers

	accepted, rejected, calls, inflight atomic.Int64
	met                                 atomic.Int64 // what the listener has brought and start has returned for

	quiet chan struct{} // holds one: a connection that is to be handed over may have come to rest

	mu        sync.Mutex
	changed   *sync.Cond // conns is empty, or inflight zero
	listener  net.Listener
	serving   *serving // nil before Serve and when it ends
	conns     map[*conn]struct{}
	crowd     crowd
	draining  bool
	malformed map[wire.Reason]int64
}

// serving is what connections are started with while Serve runs.
type serving struct {
	ctx    context.Context
	engine netio.Engine
}

// New returns a server. It serves nothing before Serve.
func New(cfg Config) *Server {
	s := &Server{
		cfg: cfg.withDefaults(), conns: map[*conn]struct{}{}, crowd: crowd{}, malformed: map[wire.Reason]int64{}, quiet: make(chan struct{}, 1),
	}
	s.changed = sync.NewCond(&s.mu)
	limit := s.cfg.Limits.MessageBytes
	s.options = netio.Options{
		Budget: s.cfg.Budget, Yield: true, StallTimeout: s.cfg.StallTimeout,
		MaxBufferBytes: limit + 64<<10,         // a message with what frames it
		MaxQueuedBytes: max(64<<20, limit*5/4), // one reply always fits
	}
	return s
}

// Serve accepts connections from l and answers their calls. Call it once.
//
// It returns when ctx has ended, or Drain is through, and all it started has returned: connections are closed, and calls, whose contexts
// have ended, have come back. The error is nil then, else why l failed. l is closed in each case.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	engine, stopEngine := s.engine(ctx)
	defer stopEngine()

	err := s.begin(l, &serving{ctx, engine})
	if err == nil {
		err = s.accept(ctx, l)
	}
	_ = l.Close()
	if err == nil {
		s.waitIdle(ctx)
	}
	cancel()
	s.closeAll()
	s.workers.end()
	return err
}

// engine returns the configured engine, or one of Serve's own with what ends it.
func (s *Server) engine(ctx context.Context) (netio.Engine, func()) {
	if s.cfg.Engine != nil {
		return s.cfg.Engine, func() {}
	}
	e := netio.NewPortable()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx)
	}()
	return e, func() { cancel(); <-done }
}

// begin makes l the listener.
func (s *Server) begin(l net.Listener, with *serving) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return errors.New("server: Serve was called before")
	}
	s.listener, s.serving = l, with
	if s.draining {
		_ = l.Close()
	}
	return nil
}

// accept starts connections until ctx ends or Drain closes the listener. When the process is out of descriptors it waits a little.
func (s *Server) accept(ctx context.Context, l net.Listener) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	wait := shortest
	for {
		nc, err := l.Accept()
		if err == nil {
			wait = shortest
			s.start(nc)
			s.met.Add(1)
			continue
		}
		if ctx.Err() != nil || s.isDraining() {
			return nil //nolint:nilerr // closed by us
		}
		if t, ok := err.(interface{ Temporary() bool }); !ok || !t.Temporary() {
			return fmt.Errorf("accept: %w", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, longest)
	}
}

// start makes a connection out of a socket, unless there are too many.
func (s *Server) start(nc net.Conn) {
	s.mu.Lock()
	full, with := len(s.conns) >= s.cfg.MaxConnections || s.crowd.full(s.groupOf(nc), s.cfg.MaxPerCaller), s.serving
	s.mu.Unlock()
	if full {
		s.rejected.Add(1)
		_ = nc.Close()
		return
	}
	s.attach(with, nc, s.options, transport.NewDetector(s.cfg.Limits, nil), false, Tracking{})
}

// attach starts a connection.
func (s *Server) attach(with *serving, nc net.Conn, options netio.Options, split *transport.Detector, unordered bool, tracked Tracking) {
	number := s.accepted.Add(1)
	var ended bool
	n := with.engine.Start(nc, options, func(n netio.Conn) netio.Receiver {
		c := newConn(with.ctx, s, n, split)
		c.plain, c.unordered = plain(nc), unordered
		c.caller.Identities, c.caller.Verified = identities(nc)
		if len(c.caller.Identities) > 0 {
			c.caller.Name = c.caller.Identities[0]
		}
		c.track(tracked)
		c.group, c.caller.Group = s.groupOf(nc), shareOf(nc, number)
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.crowd.add(c.group)
		draining := s.draining
		ended = s.serving == nil
		s.mu.Unlock()
		if draining {
			c.drain()
		}
		return c
	})
	if ended {
		n.Close(netio.ErrClosed)
	}
}

// closed takes a connection out that is gone.
func (s *Server) closed(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.crowd.remove(c.group)
	s.changed.Broadcast()
	s.mu.Unlock()
}

// ended counts a call that has ended.
func (s *Server) ended() {
	if s.inflight.Add(-1) == 0 {
		s.mu.Lock()
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

// waitIdle waits until there is neither a connection nor a call, or ctx has ended; it returns how many of each are left.
func (s *Server) waitIdle(ctx context.Context) (conns int, calls int64) {
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		s.changed.Broadcast()
		s.mu.Unlock()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		conns, calls = len(s.conns), s.inflight.Load()
		if conns == 0 && calls == 0 && s.draining || ctx.Err() != nil {
			return conns, calls
		}
		s.changed.Wait()
	}
}

// closeAll closes every connection, and waits until they are gone.
func (s *Server) closeAll() {
	s.mu.Lock()
	s.serving = nil
	s.mu.Unlock()
	for _, c := range s.connections() {
		c.net.Close(netio.ErrClosed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 {
		s.changed.Wait()
	}
}

// Drain stops accepting, answers the calls that were read whole, and closes each connection behind its last answer, idle ones at once.
// A request that has not come whole is not waited for. It returns nil when every connection is closed, or, when ctx has ended before,
// an error that says what is left; Serve goes on with that until its own context ends.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	if s.listener != nil {
		_ = s.listener.Close()
	}
	s.mu.Unlock()
	for _, c := range s.connections() {
		c.drain()
	}
	if conns, calls := s.waitIdle(ctx); conns > 0 || calls > 0 {
		return fmt.Errorf("drain: %d connections and %d calls left: %w", conns, calls, context.Cause(ctx))
	}
	return nil
}

func (s *Server) connections() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// countMalformed counts bytes that are no message.
func (s *Server) countMalformed(reason wire.Reason, err error) {
	s.mu.Lock()
	s.malformed[reason]++
	s.mu.Unlock()
	if s.cfg.OnMalformed != nil {
		s.cfg.OnMalformed(reason, err)
	}
}

// Snapshot is what a server looks like at one moment.
type Snapshot struct {
	Address     string // where it listens, "" before Serve
	Draining    bool
	Connections int                   // open
	Inflight    int64                 // calls that were read and have not ended
	Accepted    int64                 // connections, from the start
	Rejected    int64                 // connections past MaxConnections or MaxPerCaller
	Calls       int64                 // read whole, from the start
	Malformed   map[wire.Reason]int64 // messages, from the start
}

// Snapshot returns how the server is doing.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := Snapshot{
		Draining: s.draining, Connections: len(s.conns), Inflight: s.inflight.Load(),
		Accepted: s.accepted.Load(), Rejected: s.rejected.Load(), Calls: s.calls.Load(), Malformed: maps.Clone(s.malformed),
	}
	if s.listener != nil {
		snapshot.Address = s.listener.Addr().String()
	}
	return snapshot
}
