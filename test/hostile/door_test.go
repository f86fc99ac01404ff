package hostile

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// patience bounds what is waited for that has to come.
const patience = 30 * time.Second

// usersIDL is what the door serves: a string, and one of each kind of type.
const usersIDL = `
struct Deep { 1: optional Deep deeper }
service Users {
  string get(1: string key),
  void put(1: required i32 n, 2: bool flag, 3: double ratio, 4: map<string, i32> counts, 5: Deep deep, 6: list<string> names),
  oneway void note(1: string key),
  void blob(1: binary raw),
}`

// form is how a caller lays its messages on the wire.
type form struct {
	kind transport.Kind
	old  bool // non-strict heads
}

func (f form) String() string { return fmt.Sprintf("%s/strict=%t", f.kind, !f.old) }

// forms are what is built.
var forms = []form{{transport.Buffered, false}, {transport.Buffered, true}, {transport.Framed, false}, {transport.Framed, true}}

// message is a whole message.
func (f form) message(h wire.Head, body []byte) []byte {
	h.NonStrict = f.old
	if f.kind == transport.Header {
		return transport.Append(nil, transport.Message{Wire: transport.Wire{Kind: f.kind, Protocol: wire.Binary}, Head: h, Body: body})
	}
	m := append(binary.AppendHead(nil, h), body...)
	if f.kind == transport.Framed {
		m = frame(len(m), m)
	}
	return m
}

// frame puts a length before bytes, true or not.
func frame(n int, b []byte) []byte {
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, b...)
}

// door is a gateway with one peer behind it that writes down what it gets.
type door struct {
	gateway *peertest.Gateway
	at      string
	idl     string       // the file
	tls     *tls.Config  // of its callers; nil: they speak plainly
	bytes   atomic.Int64 // that the peer has read
	mu      sync.Mutex
	bodies  [][]byte // of the calls that the peer got
}

// openDoor starts a gateway. more is further keys of its config, of its listener.
func openDoor(t *testing.T, top, listener string) *door {
	t.Helper()
	d := &door{at: peertest.FreePort(t)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, done := &fakepeer.Peer{Script: d.answer}, make(chan struct{})
	go func() {
		defer close(done)
		p.Serve(counted{l, &d.bytes})
	}()
	t.Cleanup(func() { l.Close(); <-done })
	d.idl = filepath.Join(t.TempDir(), "users.thrift")
	if err := os.WriteFile(d.idl, []byte(usersIDL), 0o600); err != nil {
		t.Fatal(err)
	}
	d.gateway = peertest.StartGateway(t, fmt.Sprintf(`%s
services:
  Users:
    idl: %q
    listen: {address: %q, %s}
    timeout: 20s
    unknown_methods: refuse
    upstream: {endpoints: [%q], server: threaded}
`, top, d.idl, d.at, listener, l.Addr()))
	d.gateway.AwaitReady(t, "")
	return d
}

// answer echoes the argument: its field and the result's differ by their id only.
func (d *door) answer(m transport.Message) fakepeer.Answer {
	body := bytes.Clone(m.Body)
	if !strings.HasPrefix(m.Head.Name, "__thriftloom_") {
		d.mu.Lock()
		d.bodies = append(d.bodies, body)
		d.mu.Unlock()
	}
	switch {
	case m.Head.Name == "put", m.Head.Name == "blob":
		return fakepeer.Answer{Body: []byte{0}}
	case m.Head.Name == "note":
		return fakepeer.Answer{Oneway: true}
	case strings.HasPrefix(m.Head.Name, "__thriftloom_"):
		return fakepeer.Answer{Unknown: true}
	case len(body) > 2:
		body = append([]byte(nil), body...)
		body[2] = 0
	}
	return fakepeer.Answer{Body: body}
}

// got returns the bodies of the calls that came through since it was last asked.
func (d *door) got() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.bodies
	d.bodies = nil
	return got
}

// malformed returns how many malformed messages the gateway's metrics have, by reason.
func (d *door) malformed(t *testing.T) map[wire.Reason]int {
	t.Helper()
	return d.metric(t, "thriftloom_malformed_messages_total")
}

func (d *door) metric(t *testing.T, name string) map[wire.Reason]int {
	t.Helper()
	families, err := d.gateway.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[wire.Reason]int{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			label := ""
			if l := m.GetLabel(); len(l) > 0 {
				label = l[0].GetValue()
			}
			all[wire.Reason(label)] += int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
		}
	}
	return all
}

// counted counts what is read of the connections of a listener.
type counted struct {
	net.Listener
	n *atomic.Int64
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{c, l.n}, nil
}

type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// caller is one connection to the door.
type caller struct {
	net.Conn
	form
	answers *fakepeer.Reader
	seq     int32
}

// call connects a caller.
func (d *door) caller(t *testing.T, f form) *caller {
	t.Helper()
	c, err := net.Dial("tcp", d.at)
	if err != nil {
		t.Fatal(err)
	}
	if d.tls != nil {
		c = tls.Client(c, d.tls)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return newCaller(c, f)
}

func newCaller(c net.Conn, f form) *caller {
	return &caller{Conn: c, form: f, answers: fakepeer.NewReader(c, transport.Wire{Kind: f.kind, Protocol: wire.Binary})}
}

// keyed is the arguments of get.
func keyed(key string) []byte {
	return binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 1), key))
}

// good makes a call that has to be answered, and checks the answer.
func (c *caller) good(t *testing.T) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	c.seq++
	key := fmt.Sprintf("key %d", c.seq)
	if _, err := c.Write(c.message(wire.Head{Name: "get", Seq: c.seq, Type: wire.Call}, keyed(key))); err != nil {
		t.Fatalf("a good call: %v", err)
	}
	m, err := c.read()
	if err != nil {
		t.Fatalf("a good call: %v", err)
	}
	if m.Head.Type != wire.Reply || m.Head.Seq != c.seq || m.Head.Name != "get" || !bytes.Contains(m.Body, []byte(key)) {
		t.Fatalf("a good call is answered with %+v %q", m.Head, m.Body)
	}
}

// read returns the next message. The error is io.EOF where the connection has ended, whatever way.
func (c *caller) read() (transport.Message, error) {
	m, err := c.answers.Next()
	if _, ok := errors.AsType[*transport.Malformed](err); ok || err == nil {
		return m, err
	}
	if n := len(c.answers.Rest()); n > 0 {
		return m, fmt.Errorf("the connection ends inside an answer of which %d bytes have come: %w", n, err)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return m, errors.New("nothing comes, and the connection stays open")
	}
	return m, io.EOF
}

// code is what an exception says failed, "" for a reply.
func code(t *testing.T, m transport.Message) string {
	t.Helper()
	if m.Head.Type != wire.Exception {
		return ""
	}
	_, text, err := binary.ParseApplication(m.Body, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	code, rest, _ := strings.Cut(text, ": ")
	if !strings.Contains(rest, "; call ") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("the exception says %q", text)
	}
	return code
}
