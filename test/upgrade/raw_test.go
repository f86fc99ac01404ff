//go:build linux

package upgrade

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// raw is a caller that says exactly which bytes go out and when.
type raw struct {
	*testing.T
	conn  net.Conn
	split transport.Splitter
	kind  transport.Kind
	buf   []byte
	seq   int32
}

func rawDial(t *testing.T, address string) *raw {
	t.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &raw{T: t, conn: c, split: splitter(t, transport.Buffered), kind: transport.Buffered}
}

// rawDialTLS is rawDial to a listener that speaks TLS.
func rawDialTLS(t *testing.T, address string, ca *testcert.CA) *raw {
	t.Helper()
	r := rawDial(t, address)
	secure := tls.Client(r.conn, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.conn = secure
	return r
}

func splitter(t *testing.T, kind transport.Kind) transport.Splitter {
	t.Helper()
	s, err := transport.NewSplitter(transport.Wire{Kind: kind, Protocol: wire.Binary}, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// frames makes the caller speak framed, before its first message.
func (r *raw) frames() { r.kind, r.split = transport.Framed, splitter(r.T, transport.Framed) }

// message is a call whose one argument is a string, or an i32.
func (r *raw) message(method string, arg any) []byte {
	var b []byte
	switch arg := arg.(type) {
	case string:
		b = binary.AppendString(binary.AppendField(b, wire.String, 1), arg)
	case int:
		b = binary.AppendI32(binary.AppendField(b, wire.I32, 1), int32(arg))
	}
	return r.head(method, wire.Call, binary.AppendStop(b))
}

// remember is a oneway: a word that is kept after so many milliseconds.
func (r *raw) remember(word string, millis int32) []byte {
	b := binary.AppendString(binary.AppendField(nil, wire.String, 1), word)
	return r.head("remember", wire.Oneway, binary.AppendStop(binary.AppendI32(binary.AppendField(b, wire.I32, 2), millis)))
}

// head puts the message's head before its arguments.
func (r *raw) head(method string, typ wire.MessageType, args []byte) []byte {
	r.seq++
	head := wire.Head{Name: method, Type: typ, Seq: r.seq}
	return transport.Append(nil, transport.Message{Wire: transport.Wire{Kind: r.kind, Protocol: wire.Binary}, Head: head, Body: args})
}

// remembered asks whether one of the workers has kept the word: each call may reach another one.
func (r *raw) remembered(word string) bool {
	r.Helper()
	r.write(r.message("remembered", word))
	m, err := r.read()
	if err != nil {
		r.Fatal(err)
	}
	return strings.Contains(string(m.Body), word)
}

func (r *raw) write(b []byte) {
	r.Helper()
	if _, err := r.conn.Write(b); err != nil {
		r.Fatal(err)
	}
}

// read returns the next message, or why there is none.
func (r *raw) read() (m transport.Message, err error) {
	for {
		if len(r.buf) > 0 {
			if m, used, _, err := r.split.Split(r.buf); err != nil || used > 0 {
				r.buf = r.buf[used:]
				return m, err
			}
		}
		chunk := make([]byte, 4096)
		n, err := r.conn.Read(chunk)
		if err != nil {
			return m, err
		}
		r.buf = append(r.buf, chunk[:n]...)
	}
}

// answer checks that the next message answers call seq: with a result, or with an exception of that type.
func (r *raw) answer(seq int32, exception int32) {
	r.Helper()
	m, err := r.read()
	if err != nil {
		r.Fatalf("call %d: %v", seq, err)
	}
	var typ int32
	if m.Head.Type == wire.Exception {
		typ, _, _ = binary.ParseApplication(m.Body, wire.Limits{})
	}
	if m.Head.Seq != seq || typ != exception {
		r.Errorf("call %d is answered with %+v %d, want exception %d", seq, m.Head, typ, exception)
	}
}

// call makes a call and checks its answer.
func (r *raw) call(method string, exception int32, arg any) {
	r.Helper()
	r.write(r.message(method, arg))
	r.answer(r.seq, exception)
}

// closed checks that the connection is closed without another byte.
func (r *raw) closed() {
	r.Helper()
	if m, err := r.read(); err == nil {
		r.Errorf("%+v came, want the end", m.Head)
	}
}
