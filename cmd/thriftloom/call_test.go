package main

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	thrift "github.com/thriftloom/thriftloom/wire/binary"
)

const usersIDL = `
enum Role { READER = 1, OWNER = 3 }
struct User { 1: i64 id, 2: string name, 3: optional string email, 4: Role role }
exception NotFound { 1: i64 id, 2: string message }
service Users {
  void ping()
  User getUser(1: i64 id) throws (1: NotFound missing)
  oneway void track(1: string event)
}
`

// writeFile writes a file of the test's own folder and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// body returns a result of a method, from JSON of the result struct.
func body(t *testing.T, method, json string) []byte {
	t.Helper()
	result := schema.MustParse(usersIDL).Service("Users").Method(method).Result
	v, err := codec.ParseJSON(codec.TypeOf(result), []byte(json))
	if err != nil {
		t.Fatal(err)
	}
	out, err := codec.AppendStruct(nil, wire.Binary, v.(*schema.StructValue))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// servePeer serves a scripted peer on the loopback interface until the test ends; wrap, if not nil, stands around each connection.
func servePeer(t *testing.T, script func(transport.Message) fakepeer.Answer, wrap func(net.Conn) net.Conn) (*fakepeer.Peer, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	peer := &fakepeer.Peer{Script: script}
	var serving sync.WaitGroup
	serving.Go(func() { peer.Serve(wrapping{l, wrap}) })
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return peer, l.Addr().String()
}

type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (w wrapping) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err == nil && w.wrap != nil {
		c = w.wrap(c)
	}
	return c, err
}

// framedConn makes an unframed peer a framed one. What is no frame ends the connection.
type framedConn struct {
	net.Conn
	left int
}

func (c *framedConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		var head [4]byte
		for n := 0; n < 4; {
			m, err := c.Conn.Read(head[n:])
			if err != nil {
				return 0, err
			}
			n += m
		}
		if c.left = int(int32(binary.BigEndian.Uint32(head[:]))); c.left <= 0 || c.left > 1<<20 {
			return 0, errors.New("not a frame")
		}
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *framedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...))
	return max(n-4, 0), err
}

func framed(c net.Conn) net.Conn { return &framedConn{Conn: c} }

func answer(a fakepeer.Answer) func(transport.Message) fakepeer.Answer {
	return func(transport.Message) fakepeer.Answer { return a }
}

// What a server answers, and what call makes of it: exit code, standard output, standard error. The call itself is sent once.
func TestCall(t *testing.T) {
	idl := writeFile(t, "users.thrift", usersIDL)
	app := func(typ int32, text string) fakepeer.Answer {
		return fakepeer.Answer{Type: wire.Exception, Body: thrift.AppendApplication(nil, typ, text)}
	}
	user := fakepeer.Answer{Body: body(t, "getUser", `{"success": {"id": 7, "name": "Ada <a@b>", "role": "OWNER"}}`)}
	missing := fakepeer.Answer{Body: body(t, "getUser", `{"missing": {"id": 7, "message": "no such user"}}`)}
	for _, tt := range []struct {
		name   string
		answer fakepeer.Answer
		wrap   func(net.Conn) net.Conn
		args   []string // behind the address
		code   int
		out    string
		errout string // in it
	}{
		{"void", fakepeer.Answer{}, nil, []string{"Users.ping"}, 0, "null\n", ""},
		{"slash", fakepeer.Answer{}, nil, []string{"Users/ping"}, 0, "null\n", ""},
		{"service left out", fakepeer.Answer{}, nil, []string{"ping"}, 0, "null\n", ""},
		{"struct", user, nil, []string{"Users.getUser", `{"id": 7}`}, 0, `{"id":7,"name":"Ada <a@b>","role":"OWNER"}` + "\n", ""},
		{"data flag", user, nil, []string{"Users.getUser", "-d", `{"id": 7}`}, 0, `{"id":7,"name":"Ada <a@b>","role":"OWNER"}` + "\n", ""},
		{"data of stdin", user, nil, []string{"Users.getUser", "-d", "-"}, 0, `{"id":7,"name":"Ada <a@b>","role":"OWNER"}` + "\n", ""},
		{"framed found out", user, framed, []string{"Users.getUser", `{"id": 7}`}, 0, `{"id":7,"name":"Ada <a@b>","role":"OWNER"}` + "\n", ""},
		{"framed said", fakepeer.Answer{}, framed, []string{"Users.ping", "--transport", "framed"}, 0, "null\n", ""},
		{"oneway", fakepeer.Answer{Oneway: true}, nil, []string{"Users.track", `{"event": "x"}`}, 0, "", ""},
		{"declared exception", missing, nil, []string{"Users.getUser", `{"id": 7}`}, 3, "", `{"exception": "NotFound", "value": {"id":7,"message":"no such user"}}` + "\n"},
		{"unknown method", fakepeer.Answer{Unknown: true}, nil, []string{"Users.ping"}, 5, "", `{"error": {"code": "UNKNOWN_METHOD", "message": `},
		{"a gateway's refusal", app(6, "DEADLINE_EXCEEDED: Users; call 1f"), nil, []string{"Users.ping"}, 5, "", `{"error": {"code": "INTERNAL_ERROR", "message": "DEADLINE_EXCEEDED: Users; call 1f"}}` + "\n"},
		{"no result", fakepeer.Answer{}, nil, []string{"Users.getUser", `{"id": 7}`}, 5, "", `{"error": {"code": "MISSING_RESULT"`},
		{"closed", fakepeer.Answer{Close: true}, nil, []string{"Users.ping"}, 4, "", `{"error": {"code": "HANDLER_FAILED"`},
		{"cut short", fakepeer.Answer{Cut: 7}, nil, []string{"Users.ping"}, 4, "", `{"error": {"code": "UNAVAILABLE"`},
		{"late", fakepeer.Answer{After: 400 * time.Millisecond}, nil, []string{"Users.ping", "--timeout", "150ms"}, 4, "", `{"error": {"code": "DEADLINE_EXCEEDED"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			peer, address := servePeer(t, answer(tt.answer), tt.wrap)
			got := runIn(`{"id": 7}`, append([]string{"call", "-i", idl, address}, tt.args...))
			if got.code != tt.code || got.out != tt.out || !strings.Contains(got.errout, tt.errout) || tt.errout == "" && got.errout != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, %q, %q", got.code, got.out, got.errout, tt.code, tt.out, tt.errout)
			}
			if tt.code == 4 && !strings.Contains(got.errout, address) {
				t.Errorf("stderr %q does not name %s", got.errout, address)
			}
			if n := peer.Calls.Load(); n != 1 {
				t.Errorf("the server got %d calls, want 1", n)
			}
		})
	}
}

// Where nobody listens, the error names the address. A server that no probe understands is not called.
func TestCallUnreached(t *testing.T) {
	idl := writeFile(t, "users.thrift", usersIDL)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	got := runIn("", []string{"call", "-i", idl, address, "Users.ping"})
	if got.code != 4 || !strings.Contains(got.errout, `{"error": {"code": "UNAVAILABLE"`) || !strings.Contains(got.errout, address) {
		t.Errorf("refused: exit %d, stderr %q", got.code, got.errout)
	}
	deaf := func(c net.Conn) net.Conn { return &closing{c} }
	peer, address := servePeer(t, answer(fakepeer.Answer{}), deaf)
	got = runIn("", []string{"call", "-i", idl, address, "Users.ping"})
	if got.code != 4 || !strings.Contains(got.errout, "no answer to a probe (buffered: ") || !strings.Contains(got.errout, address) || peer.Calls.Load() != 0 {
		t.Errorf("deaf: exit %d, stderr %q, %d calls", got.code, got.errout, peer.Calls.Load())
	}
}

// closing ends a connection at its first bytes.
type closing struct{ net.Conn }

func (c *closing) Read(p []byte) (int, error) {
	if n, err := c.Conn.Read(p); err != nil {
		return n, err
	}
	return 0, errors.New("no")
}

// A multiplexed call has the service before the method, and its answer, by the bare name, is understood.
func TestCallMultiplexed(t *testing.T) {
	idl := writeFile(t, "users.thrift", usersIDL)
	names := make(chan string, 8)
	script := func(m transport.Message) fakepeer.Answer {
		names <- m.Head.Name
		_, bare, _ := strings.Cut(m.Head.Name, ":")
		return fakepeer.Answer{Name: bare}
	}
	for _, wrap := range []func(net.Conn) net.Conn{nil, framed} {
		kind := "buffered"
		if wrap != nil {
			kind = "framed"
		}
		_, address := servePeer(t, script, wrap)
		got := runIn("", []string{"call", "-i", idl, address, "Users.ping", "--multiplexed", "--transport", kind})
		if got.code != 0 || got.out != "null\n" {
			t.Fatalf("%s: exit %d, stdout %q, stderr %q", kind, got.code, got.out, got.errout)
		}
		if name := <-names; name != "Users:ping" {
			t.Errorf("%s: the server was called %q", kind, name)
		}
	}
}

// A header that THeader cannot carry is refused before the server is asked for anything.
func TestCallRefusesHeaders(t *testing.T) {
	peer, address := servePeer(t, answer(fakepeer.Answer{}), nil)
	got := runIn("", []string{"call", "-i", writeFile(t, "users.thrift", usersIDL), address, "Users.ping", "--transport", "header", "-H", "a\n=b"})
	if got.code != 2 || !strings.Contains(got.errout, `-H: THeader cannot carry the header "a\n": NUL, CR or LF in its key`) || peer.Connections.Load() != 0 {
		t.Errorf("%+v, %d connections", got, peer.Connections.Load())
	}
}
