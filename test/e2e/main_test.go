// Package e2e checks what the whole promises, with real ThriftPy servers and, where signals matter, the real program.
package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program builds thriftloom and returns its path.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "thriftloom")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/thriftloom/thriftloom/cmd/thriftloom").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// kinds calls some methods of Kinds.
type kinds struct {
	Ping       func(context.Context) error
	EchoString func(context.Context, string) (string, error)
	EchoI32    func(context.Context, int32) (int32, error)
	Sleep      func(context.Context, int32) (int32, error)
	Pid        func(context.Context) (int32, error)
	Remember   func(context.Context, string, int32) error
	Stumble    func(context.Context, string) error
	Remembered func(context.Context, string) ([]string, error)
}

// dial returns a caller that tries each call once, over at most so many connections, which it never closes by itself.
func dial(t *testing.T, address string, connections int) *kinds {
	t.Helper()
	doc, err := thriftloom.Load(peertest.File("kinds.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := thriftloom.ClientConfig{Addresses: []string{address}, Connections: connections, Attempts: 1, IdleExpiry: time.Hour}
	c, err := cfg.Dial(doc.Service("Kinds"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	k := new(kinds)
	if err := thriftloom.Bind(c, k); err != nil {
		t.Fatal(err)
	}
	return k
}

// run is the `run:` block of so many server.py.
func run(l peertest.Library, replicas int, flags ...string) string {
	command := fmt.Sprintf("%q, %q, --library, %s", l.Python, peertest.File("server.py"), l.Name)
	for _, f := range flags {
		command += fmt.Sprintf(", %q", f)
	}
	return fmt.Sprintf(`{command: [%s, "{socket}"], replicas: %d}`, command, replicas)
}

// config names one service Kinds of which the caller says the rest.
func config(listen, rest string) string {
	return fmt.Sprintf("defaults: {timeout: 20s, queue: {max_wait: 20s}}\nservices:\n  Kinds: {idl: %s, listen: %q, %s}\n", peertest.File("kinds.thrift"), listen, rest)
}

// rawConn is a caller that says exactly which bytes go out and which come back.
type rawConn struct {
	net.Conn
	t     *testing.T
	split transport.Splitter
	buf   []byte
}

func rawDial(t *testing.T, address string) *rawConn {
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
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	s, err := transport.NewSplitter(transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return &rawConn{Conn: c, t: t, split: s}
}

// message is a call of a method whose one argument, if there is one, is a string.
func message(name string, typ wire.MessageType, seq int32, args ...string) []byte {
	b := binary.AppendHead(nil, wire.Head{Name: name, Type: typ, Seq: seq})
	for i, a := range args {
		b = binary.AppendString(binary.AppendField(b, wire.String, int16(i+1)), a)
	}
	return binary.AppendStop(b)
}

// number is a call of a method whose one argument is an i32.
func number(name string, seq, arg int32) []byte {
	b := binary.AppendHead(nil, wire.Head{Name: name, Type: wire.Call, Seq: seq})
	return binary.AppendStop(binary.AppendI32(binary.AppendField(b, wire.I32, 1), arg))
}

func (c *rawConn) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next message, or an error where the connection ends; partly says that some of a message had come.
func (c *rawConn) read() (m transport.Message, partly bool, err error) {
	for {
		if len(c.buf) > 0 {
			m, used, _, err := c.split.Split(c.buf)
			if err != nil || used > 0 {
				c.buf = c.buf[used:]
				return m, false, err
			}
		}
		chunk := make([]byte, 4096)
		n, err := c.Conn.Read(chunk)
		if n == 0 && err != nil {
			return m, len(c.buf) > 0, err
		}
		c.buf = append(c.buf, chunk[:n]...)
	}
}

// answer returns the next message and checks which call it answers.
func (c *rawConn) answer(seq int32, typ wire.MessageType) transport.Message {
	c.t.Helper()
	m, _, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	if m.Head.Seq != seq || m.Head.Type != typ {
		_, text, _ := binary.ParseApplication(m.Body, wire.Limits{})
		c.t.Fatalf("got %+v %s, want an answer of type %v to call %d", m.Head, text, typ, seq)
	}
	return m
}

// text is what the exception in an answer says, with its type.
func text(m transport.Message) string {
	typ, text, err := binary.ParseApplication(m.Body, wire.Limits{})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", typ, text)
}

// result is the string in an answer.
func result(m transport.Message) string {
	if len(m.Body) < 7 { // field:3 length:4 bytes stop:1
		return ""
	}
	return string(m.Body[7 : len(m.Body)-1])
}

// listenAnd calls handle with each connection to a new port, until the test ends.
func listenAnd(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { handle(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
