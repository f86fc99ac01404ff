package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const address = "10.0.0.1:6100"

// rig is a server with the methods of answer on a network in memory. Use it inside a bubble.
type rig struct {
	*testing.T
	*server.Server
	network *memnet.Network
	stop    context.CancelFunc
	served  chan error
	running atomic.Int64  // handlers
	begun   chan rpc.Call // that a handler was called with, in order
	ended   chan string   // names of calls whose handler has returned, "NAME cancelled" where its context had ended
}

// serve runs test in a bubble against a server with cfg.
func serve(t *testing.T, cfg server.Config, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &rig{T: t, network: memnet.New(), stop: cancel, served: make(chan error, 1),
			begun: make(chan rpc.Call, 1000), ended: make(chan string, 1000)}
		if cfg.Route == nil {
			cfg.Route = r.route
		}
		r.Server = server.New(cfg)
		l, err := r.network.Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			r.served <- r.Serve(ctx, l)
			close(r.served)
		}()
		defer func() {
			cancel()
			if err := <-r.served; err != nil {
				t.Errorf("Serve: %v", err)
			}
			if s := r.Snapshot(); s.Connections != 0 || s.Inflight != 0 {
				t.Errorf("left behind: %+v", s)
			}
		}()
		test(r)
	})
}

// route knows every method but "unknown". Methods whose name begins with "notify" are oneway, as the IDL would say.
func (r *rig) route(head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
	call.Service = "Users"
	if strings.HasPrefix(call.Name, "unknown") {
		return nil, &rpc.Error{Code: rpc.UnknownMethod, Op: "route", Text: "no method " + call.Name}
	}
	call.Oneway = strings.HasPrefix(call.Name, "notify")
	return rpc.HandlerFunc(r.answer), nil
}

// answer does what the method's name says; a digit at its end is how many seconds it takes.
func (r *rig) answer(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	r.begun <- *call
	r.running.Add(1)
	name := call.Name
	defer func() {
		r.running.Add(-1)
		if ctx.Err() != nil {
			name += " cancelled"
		}
		r.ended <- name
	}()
	if d := name[len(name)-1]; d >= '0' && d <= '9' {
		select {
		case <-time.After(time.Duration(d-'0') * time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	switch {
	case strings.HasPrefix(name, "crash"):
		return nil, &rpc.Error{Code: rpc.HandlerFailed, Op: "cluster Users", Text: "connection closed", Err: errors.New("at 10.9.9.9:6000")}
	case strings.HasPrefix(name, "fail"):
		return nil, fmt.Errorf("wrapped: %w", &rpc.Error{Code: rpc.Unavailable, Op: "cluster Users", Err: errors.New("at 10.9.9.9:6000")})
	case name == "peer":
		return nil, &rpc.Error{Code: rpc.OtherException, Peer: &rpc.Application{Type: 42, Message: "the peer's own"}}
	case name == "panic", name == "notifyPanic":
		panic("at 10.9.9.9:6000")
	case name == "goexit":
		runtime.Goexit()
	case name == "nothing":
		return nil, nil
	case name == "headers":
		return &rpc.Reply{Protocol: call.Protocol, Body: call.Body, Headers: make([]transport.KV, 257)}, nil
	case name == "compact":
		return &rpc.Reply{Protocol: wire.Compact, Body: call.Body}, nil
	}
	return &rpc.Reply{Protocol: call.Protocol, Body: call.Body}, nil
}

// called returns the names of the calls that have begun, in order.
func (r *rig) called() (names []string) {
	synctest.Wait()
	for len(r.begun) > 0 {
		names = append(names, (<-r.begun).Name)
	}
	return names
}

// caller is a connection to the server that writes and reads messages byte by byte as it is told to.
type caller struct {
	*rig
	conn  *memnet.Conn
	wire  transport.Wire
	old   bool // non-strict heads
	split transport.Splitter
	buf   []byte
}

var buffered = transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}

// dial connects a caller of this machine that speaks w.
func (r *rig) dial(w transport.Wire) *caller { r.Helper(); return r.dialFrom("127.0.0.1", w) }

// dialFrom connects a caller at host.
func (r *rig) dialFrom(host string, w transport.Wire) *caller {
	r.Helper()
	conn, err := r.network.DialFrom(r.Context(), host, address)
	if err != nil {
		r.Fatal(err)
	}
	split, err := transport.NewSplitter(w, wire.Limits{})
	if err != nil {
		r.Fatal(err)
	}
	return &caller{rig: r, conn: conn.(*memnet.Conn), wire: w, split: split}
}

// body is a struct that tells one call from another.
func body(n int) []byte {
	return []byte{
		0x08, 0, 1, // i32, field 1
		byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n),
		0, // stop
	}
}

// message returns the bytes of one message.
func (c *caller) message(t wire.MessageType, name string, seq int) []byte {
	b := body(seq)
	return transport.Append(nil, transport.Message{Wire: c.wire, Head: wire.Head{Name: name, Seq: int32(seq), Type: t, NonStrict: c.old}, Body: b})
}

func (c *caller) write(p []byte) {
	c.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.Fatalf("write: %v", err)
	}
}

func (c *caller) call(name string, seq int) { c.Helper(); c.write(c.message(wire.Call, name, seq)) }

// read returns the next message.
func (c *caller) read() transport.Message {
	c.Helper()
	m, err := c.tryRead()
	if err != nil {
		c.Fatalf("no message: %v", err)
	}
	return m
}

func (c *caller) tryRead() (transport.Message, error) {
	chunk := make([]byte, 4096)
	for {
		if m, used, _, err := c.split.Split(c.buf); err != nil {
			return m, err
		} else if used > 0 {
			c.buf = c.buf[used:]
			return m, nil
		}
		n, err := c.conn.Read(chunk)
		if err != nil {
			return transport.Message{}, err
		}
		c.buf = append(bytes.Clone(c.buf), chunk[:n]...)
	}
}

// reply checks that the next message is the result of the call.
func (c *caller) reply(name string, seq int) {
	c.Helper()
	m := c.read()
	want := wire.Head{Name: name, Seq: int32(seq), Type: wire.Reply, NonStrict: c.old}
	if m.Head != want || !bytes.Equal(m.Body, body(seq)) {
		c.Fatalf("read %+v % x, want %+v", m.Head, m.Body, want)
	}
}

// exception checks that the next message is a TApplicationException of that type, and returns its text.
func (c *caller) exception(name string, seq int, typ int32) string {
	c.Helper()
	m := c.read()
	want := wire.Head{Name: name, Seq: int32(seq), Type: wire.Exception, NonStrict: c.old}
	got, text, err := binary.ParseApplication(m.Body, wire.Limits{})
	if m.Head != want || got != typ || err != nil {
		c.Fatalf("read %+v type %d %q, want %+v type %d", m.Head, got, text, want, typ)
	}
	return text
}

// silent checks that nothing comes for ten seconds, and that the connection stays open.
func (c *caller) silent() {
	c.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.conn.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.Fatalf("read %d bytes, %v; want silence", n, err)
	}
	_ = c.conn.SetReadDeadline(time.Time{})
}

// end checks that the server closes the connection without another byte.
func (c *caller) end() {
	c.Helper()
	if m, err := c.tryRead(); err != io.EOF {
		c.Fatalf("read %+v, %v; want the end", m, err)
	}
}

// eachWire runs test over everything that a caller can speak.
func eachWire(t *testing.T, cfg server.Config, test func(*caller)) {
	for _, kind := range []transport.Kind{transport.Buffered, transport.Framed} {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("transport=%s/strict=%t", kind, !old), func(t *testing.T) {
				serve(t, cfg, func(r *rig) {
					c := r.dial(transport.Wire{Kind: kind, Protocol: wire.Binary})
					c.old = old
					test(c)
				})
			})
		}
	}
}
