package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/gateway/handover"
	"github.com/thriftloom/thriftloom/scale/process"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// Giver is the session with the process that takes over.
type Giver interface {
	Give(ctx context.Context, c handover.Connection) error
	End(ctx context.Context) error
	Failed() (ended bool)
}

// errHandingOver is the answer to a change while another process takes over, which has begun with the config as it was.
var errHandingOver = errors.New("another process is taking this gateway's place: it changes no more")

// Offer returns what another process can take over, and keeps all of it as it is until HandOver or Keep. The files of unix sockets are the
// other process's from here on: should this one have to end, they stay. The caller closes o.Replicas when they are sent.
func (g *Gateway) Offer() (o handover.Offer, err error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	if g.draining.Load() {
		return o, errDraining
	}
	g.handing.Store(true)
	for id, l := range g.current.Load().listeners {
		if item, ok := l.gate.Item(id); ok {
			o.Listeners = append(o.Listeners, item)
			l.gate.Own(false)
		}
	}
	o.Replicas = g.replicas()
	for _, t := range g.current.Load().services {
		if ok, _ := g.Ready(t.Name()); ok {
			o.Up = append(o.Up, t.Name())
		}
	}
	return o, nil
}

// Keep ends Offer where nobody took over: the gateway can be changed again.
func (g *Gateway) Keep() {
	for _, l := range g.current.Load().listeners {
		l.gate.Own(true)
	}
	g.handing.Store(false)
}

// HandOver gives the callers' connections to the process that took the listeners, each behind its last answer, within drain.timeout, and
// the replicas that it took; then Run ends. What cannot be handed over is drained: connections of listeners that the other process does
// not have, or over TLS. It returns an error, and serves on with all that it has not given, where the other process has ended midway.
func (g *Gateway) HandOver(ctx context.Context, to Giver, took handover.Taken) error {
	limit, cancel := context.WithTimeout(ctx, g.config().Drain.Timeout)
	defer cancel()
	g.draining.Store(true)
	listeners := g.current.Load().listeners
	for _, l := range listeners {
		l.shut()
	}
	g.yield(true)
	s := &giving{to: to, ctx: ctx}
	var all sync.WaitGroup
	for _, id := range took.Listeners {
		if l := listeners[id]; l != nil {
			all.Go(func() {
				if err := l.server.HandOver(limit, func(h server.Handed) error { return s.give(id, h) }); err != nil {
					g.log.Warn("not every connection was handed over", "address", l.address(), "error", err)
				}
			})
		}
	}
	all.Wait()
	g.eachSet(func(set *process.Set) { set.Give(took.Replicas) })
	if err := s.end(); err != nil {
		if ctx.Err() == nil { // else Run is draining
			g.serveOn(listeners)
		}
		return err
	}
	g.stopSharing() // not before: the calls that were answered meanwhile had these slots
	err := g.drainListeners(limit)
	g.awaitWorkers(limit)
	if ctx.Err() == nil {
		g.replaced <- err
	}
	return nil
}

// awaitWorkers waits until no worker is at work for this gateway, or ctx ends: the handler of a oneway that nobody waits for may run still,
// and would be cut with its replica. Copies of calls are not waited for.
func (g *Gateway) awaitWorkers(ctx context.Context) {
	st := g.current.Load()
	for key, u := range st.upstreams {
		for ctx.Err() == nil && st.answers(key) {
			if taken, _ := u.cluster.InFlight(); taken == 0 {
				break
			}
			wait(ctx, 5*time.Millisecond)
		}
	}
}

// serveOn undoes what HandOver has begun.
func (g *Gateway) serveOn(listeners map[string]*listener) {
	g.yield(false)
	g.eachSet((*process.Set).Own)
	for _, l := range listeners {
		l.gate.Open()
	}
	g.draining.Store(false)
	g.Keep()
}

// shut lets nobody in any more, and returns when the server knows of all that were let in; or soon, where it is short of descriptors or
// greets somebody over TLS, whose connections stay here.
func (l *listener) shut() {
	l.gate.Shut()
	ctx, cancel := context.WithTimeout(context.Background(), shutTime)
	defer cancel()
	for l.keys.Load() == nil && l.server.Met() < l.gate.let.Load() && ctx.Err() == nil {
		wait(ctx, time.Millisecond)
	}
}

// yield lets the endpoints have their slots back as soon as no call is on them, for the process that takes over. What that makes void
// nobody knows until it is heard.
func (g *Gateway) yield(on bool) {
	for _, u := range g.current.Load().upstreams {
		u.cluster.Yield(on)
	}
	if l := g.lender.Load(); l != nil {
		l.runner.SetFollowed(on)
	}
}

// giving is what became of the session with the other process. Safe for concurrent use.
type giving struct {
	to  Giver
	ctx context.Context

	mu     sync.Mutex
	failed error // why it ended early
	dead   bool  // the other process has ended: this one serves on
	given  int
}

// give hands one connection over. An error means that it stays.
func (s *giving) give(id string, h server.Handed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	socket, ok := h.Conn.(handover.File)
	if !ok {
		return fmt.Errorf("hand over: a connection of %T is no socket", h.Conn)
	}
	err := s.to.Give(s.ctx, handover.Connection{
		Listener: id, Transport: uint8(h.Wire.Kind), Protocol: uint8(h.Wire.Protocol), Unordered: h.Unordered,
		Tracking: h.Tracking.Level, App: h.Tracking.App, Rest: h.Rest, Socket: socket,
	})
	if err == nil {
		s.given++
		return socket.Close()
	}
	s.fail(err)
	if s.dead {
		return err
	}
	_ = socket.Close() // whether it was taken is not known, and two may not read from it
	return nil
}

func (s *giving) fail(err error) { s.failed, s.dead = err, s.to.Failed() }

// end ends the session. An error means that the other process has ended.
func (s *giving) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		if err := s.to.End(s.ctx); err != nil {
			s.fail(err)
		}
	}
	if s.dead {
		return fmt.Errorf("the process that was taking over has ended, with %d connections: %w", s.given, s.failed)
	}
	return nil
}

// Taken says what this gateway has taken of what was offered.
func (g *Gateway) Taken() (t handover.Taken) {
	for id, l := range g.current.Load().listeners {
		if l.keys.Load() == nil { // else a caller that has not greeted would go on as if it had
			t.Listeners = append(t.Listeners, id)
		}
	}
	t.Replicas = g.adopted()
	return t
}

// Matches reports whether every service of this gateway that is up at the one before it is up here too. Where slots are lent that cannot be
// told: that one has them still.
func (g *Gateway) Matches(up []string) (ok bool, reasons []string) {
	st := g.current.Load()
	for _, label := range up {
		p, has := st.plans[label]
		if !has || st.upstreams[p.upstream].plan.Load().cluster.Leased {
			continue
		}
		if ok, why := g.Ready(label); !ok {
			reasons = append(reasons, why...)
		}
	}
	return len(reasons) == 0, reasons
}

// Open lets callers in where Options.Sockets kept them waiting.
func (g *Gateway) Open() {
	g.changing.Lock()
	defer g.changing.Unlock()
	if g.opts.Sockets != nil {
		g.opts.Sockets.Shut = false
	}
	for _, l := range g.current.Load().listeners {
		l.gate.Open()
	}
}

// Own makes this gateway the one that everything belongs to that it has taken over.
func (g *Gateway) Own() {
	g.changing.Lock()
	defer g.changing.Unlock()
	for _, l := range g.current.Load().listeners {
		l.gate.Own(true)
	}
	g.eachSet((*process.Set).Own)
}

// Take goes on with a caller's connection of the gateway before this one. Where it cannot, the connection is closed.
func (g *Gateway) Take(c handover.Connection) error {
	conn, err := handover.ConnOf(c.Socket)
	if err != nil {
		return err
	}
	l := g.current.Load().listeners[c.Listener]
	if l == nil {
		_ = conn.Close()
		return fmt.Errorf("no listener is %s here", c.Listener)
	}
	return l.server.Take(server.Handed{
		Conn: conn, Rest: c.Rest, Unordered: c.Unordered, Tracking: server.Tracking{Level: c.Tracking, App: c.App},
		Wire: transport.Wire{Kind: transport.Kind(c.Transport), Protocol: wire.Protocol(c.Protocol)},
	})
}

var _ net.Listener = (*Gate)(nil)
