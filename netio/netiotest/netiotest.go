// Package netiotest is the conformance kit of netio engines: what server and client rely on, a test each.
package netiotest

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/netio"
)

// patience bounds each wait of a test: only a failing test ever waits so long.
const patience = 10 * time.Second

// Test runs the kit. newEngine returns an engine that nobody runs yet; pair returns the two ends of a new connection, the first of them
// for the engine. The kit closes both.
func Test(t *testing.T, newEngine func() netio.Engine, pair func(t *testing.T) (net.Conn, net.Conn)) {
	for _, group := range []map[string]func(*rig){reading, writing, ending} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				before := goleak.IgnoreCurrent()
				r := newRig(t, newEngine(), pair)
				defer goleak.VerifyNone(t, before)
				defer r.end()
				test(r)
			})
		}
	}
}

// rig is one test's engine and what it started.
type rig struct {
	*testing.T
	engine netio.Engine
	pair   func(t *testing.T) (net.Conn, net.Conn)
	stop   context.CancelFunc
	ended  chan error
	peers  []net.Conn
}

func newRig(t *testing.T, engine netio.Engine, pair func(t *testing.T) (net.Conn, net.Conn)) *rig {
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{T: t, engine: engine, pair: pair, stop: cancel, ended: make(chan error, 1)}
	go func() {
		r.ended <- engine.Run(ctx)
		close(r.ended)
	}()
	return r
}

// stopEngine stops the engine and waits for it.
func (r *rig) stopEngine() {
	r.Helper()
	r.stop()
	if err := receive(r, r.ended, "the engine's end"); err != nil {
		r.Errorf("Run: %v", err)
	}
}

// end leaves nothing behind.
func (r *rig) end() {
	r.Helper()
	r.stopEngine()
	for _, c := range r.peers {
		_ = c.Close()
	}
}

// start starts a connection on the engine and returns it with the other end.
func (r *rig) start(opts netio.Options, rec *recorder) (netio.Conn, net.Conn) {
	r.Helper()
	own, peer := r.pair(r.T)
	_ = peer.SetDeadline(time.Now().Add(patience))
	r.peers = append(r.peers, peer)
	c := r.engine.Start(own, opts, func(c netio.Conn) netio.Receiver {
		rec.conn = c
		rec.t = r.T
		rec.init()
		return rec
	})
	return c, peer
}

// recorder is a receiver that checks the contract of callbacks and reports what happened. Its functions are optional.
type recorder struct {
	onReceive func(buf []byte) (used, need int) // default: uses all
	onEnded   func()
	onClosed  func()

	t      *testing.T
	conn   netio.Conn
	busy   chan struct{} // holds a token while a callback runs
	gone   bool
	kept   []kept      // what was delivered and used, and what it was then
	bytes  chan []byte // a copy of what was used
	ended  chan struct{}
	closed chan error
}

type kept struct {
	delivered []byte
	then      string
}

func (r *recorder) init() {
	r.busy = make(chan struct{}, 1)
	r.bytes = make(chan []byte, 1<<20)
	r.ended = make(chan struct{}, 2)
	r.closed = make(chan error, 2)
}

func (r *recorder) enter(name string) (leave func()) {
	select {
	case r.busy <- struct{}{}:
	default:
		r.t.Errorf("%s is called while another callback runs", name)
	}
	if r.gone {
		r.t.Errorf("%s is called after Closed", name)
	}
	return func() { <-r.busy }
}

// Receive implements netio.Receiver.
func (r *recorder) Receive(buf []byte) (used, need int) {
	defer r.enter("Receive")()
	if len(buf) == 0 {
		r.t.Error("Receive is called without bytes")
	}
	if cap(buf) > len(buf) {
		r.t.Error("an append to what Receive is handed would write behind it")
	}
	used = len(buf)
	if r.onReceive != nil {
		used, need = r.onReceive(buf)
	}
	if used > 0 {
		r.kept = append(r.kept, kept{buf[:used], string(buf[:used])})
		r.bytes <- []byte(string(buf[:used]))
	}
	return used, need
}

// Ended implements netio.Receiver.
func (r *recorder) Ended() {
	defer r.enter("Ended")()
	if r.onEnded != nil {
		r.onEnded()
	}
	r.ended <- struct{}{}
}

// Closed implements netio.Receiver.
func (r *recorder) Closed(err error) {
	defer r.enter("Closed")()
	r.gone = true
	if r.onClosed != nil {
		r.onClosed()
	}
	r.closed <- err
	for _, k := range r.kept {
		if string(k.delivered) != k.then {
			r.t.Errorf("bytes changed after they were delivered: %.40q became %.40q", k.then, k.delivered)
		}
	}
}

// wait returns the next n bytes that the receiver uses.
func (r *recorder) wait(g *rig, n int) string {
	g.Helper()
	var all []byte
	for len(all) < n {
		all = append(all, receive(g, r.bytes, "bytes")...)
	}
	return string(all)
}

// waitClosed checks with what, and that only once, the connection is closed.
func (r *recorder) waitClosed(g *rig, ok func(error) bool) {
	g.Helper()
	if err := receive(g, r.closed, "Closed"); !ok(err) {
		g.Errorf("Closed(%v)", err)
	}
	if len(r.closed) > 0 {
		g.Error("Closed was called twice")
	}
}

// receive returns what comes from ch.
func receive[T any](g *rig, ch <-chan T, what string) T {
	g.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		g.Fatalf("%s did not come within %v", what, patience)
		panic("unreachable")
	}
}

// write writes all of p to a peer.
func (r *rig) write(peer net.Conn, p []byte) {
	r.Helper()
	if _, err := peer.Write(p); err != nil {
		r.Fatalf("the peer writes: %v", err)
	}
}

// read reads n bytes from a peer.
func (r *rig) read(peer net.Conn, n int) string {
	r.Helper()
	buf := make([]byte, n)
	if _, err := io.ReadFull(peer, buf); err != nil {
		r.Fatalf("the peer reads: %v", err)
	}
	return string(buf)
}

// readEnd checks that the peer reads an end, and no byte before it.
func (r *rig) readEnd(peer net.Conn) {
	r.Helper()
	if n, err := peer.Read(make([]byte, 1)); n > 0 || err == nil {
		r.Errorf("the peer reads %d bytes, %v; want an end", n, err)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		r.Error("the peer's connection was not closed")
	}
}

func is(want error) func(error) bool { return func(err error) bool { return err == want } }
