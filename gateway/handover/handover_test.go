//go:build linux

package handover_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/thriftloom/thriftloom/gateway/handover"
)

// The test's program is also a taker that dies when it is told to, so that a process really ends.
func TestMain(m *testing.M) {
	if path := os.Getenv("HANDOVER_TAKER"); path != "" {
		dyingTaker(path)
		return
	}
	goleak.VerifyTestMain(m)
}

var giver = handover.Peer{Program: "1.0", PID: 10, Config: "/etc/a.yaml"}

// open returns a door and its path.
func open(t *testing.T) (*handover.Door, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "door") // short: the path of a unix socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "handover.sock")
	d, err := handover.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(); _ = os.RemoveAll(dir) })
	return d, path
}

// accept lets one process in, in the background.
func accept(t *testing.T, d *handover.Door) (wait func() (*handover.Giver, error)) {
	type result struct {
		*handover.Giver
		error
	}
	done := make(chan result, 1)
	go func() {
		g, err := d.Accept(t.Context(), giver)
		done <- result{g, err}
	}()
	return func() (*handover.Giver, error) { r := <-done; return r.Giver, r.error }
}

// pair returns both sides of a session.
func pair(t *testing.T) (*handover.Giver, *handover.Taker, *handover.Door) {
	t.Helper()
	d, path := open(t)
	wait := accept(t, d)
	taker, err := handover.Dial(t.Context(), path, handover.Peer{Program: "2.0", PID: 20})
	if err != nil {
		t.Fatal(err)
	}
	g, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(taker.Close)
	if g.Peer.Program != "2.0" || g.Peer.PID != 20 || taker.Peer.Program != "1.0" || taker.Peer.Config != "/etc/a.yaml" {
		t.Errorf("they know each other as %+v and %+v", g.Peer, taker.Peer)
	}
	return g, taker, d
}

// tcp returns a listener and both ends of a connection to it.
func tcp(t *testing.T) (l *net.TCPListener, client, server *net.TCPConn) {
	t.Helper()
	any, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", any.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := any.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = any.Close(); _ = c.Close(); _ = s.Close() })
	return any.(*net.TCPListener), c.(*net.TCPConn), s.(*net.TCPConn)
}

func temp(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// A listener, a replica and a connection with what came on it arrive as they were, and work there.
func TestHandover(t *testing.T) {
	g, taker, d := pair(t)
	l, client, server := tcp(t)
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	defer output.Close()
	rest := bytes.Repeat([]byte("rest"), 1<<18) // far more than a socket's buffer
	replica := handover.Replica{Set: "Users", Config: "abc", Number: 2, PID: 77, Started: 12345, Address: "unix:/x", Restarts: 3, Since: time.Unix(1e9, 0).UTC()}
	given := make(chan error, 1)
	go func() {
		sent := replica
		sent.Output, sent.Leash = output, input
		took, err := g.Offer(t.Context(), handover.Offer{
			Lock: temp(t), Door: d.Socket(), Listeners: []handover.Listener{{ID: "127.0.0.1:1", Socket: l}}, Replicas: []handover.Replica{sent},
			Up: []string{"Users"},
		})
		if d := cmp.Diff(handover.Taken{Listeners: []string{"127.0.0.1:1"}, Replicas: []int{77}}, took); d != "" {
			t.Error(d)
		}
		conn := handover.Connection{Listener: "127.0.0.1:1", Transport: 2, Protocol: 1, Unordered: true, Tracking: 2, App: "shop", Rest: rest, Socket: server}
		given <- errors.Join(err, g.Give(t.Context(), conn), server.Close(), g.End(t.Context()))
	}()

	o, err := taker.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if len(o.Listeners) != 1 || o.Listeners[0].ID != "127.0.0.1:1" || len(o.Replicas) != 1 || len(o.Up) != 1 || o.Up[0] != "Users" {
		t.Fatalf("the offer is %+v", o)
	}
	got := o.Replicas[0]
	fmt.Fprint(input, "a line")
	line := make([]byte, 6)
	if _, err := io.ReadFull(got.Output.(*os.File), line); err != nil || string(line) != "a line" {
		t.Errorf("a replica's output: %q, %v", line, err)
	}
	_ = got.Output.Close()
	_ = got.Leash.Close()
	got.Output, got.Leash, o.Replicas = nil, nil, nil
	if d := cmp.Diff(replica, got); d != "" {
		t.Error(d)
	}
	if err := taker.Serving(t.Context(), handover.Taken{Listeners: []string{"127.0.0.1:1"}, Replicas: []int{77}}); err != nil {
		t.Fatal(err)
	}
	c, err := taker.Next(t.Context())
	if err != nil || c.Listener != "127.0.0.1:1" || c.Transport != 2 || c.Protocol != 1 || !c.Unordered || c.Tracking != 2 || c.App != "shop" || !bytes.Equal(c.Rest, rest) {
		t.Fatalf("connection %+v, %v", c.Listener, err)
	}
	conn, err := handover.ConnOf(c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := taker.Next(t.Context()); err != io.EOF {
		t.Errorf("after the last connection: %v", err)
	}
	if err := <-given; err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(client, "ping")
	word := make([]byte, 4)
	if _, err := io.ReadFull(conn, word); err != nil || string(word) != "ping" {
		t.Errorf("the connection: %q, %v", word, err)
	}
	listener, err := handover.ListenerOf(o.Listeners[0].Socket)
	o.Listeners = nil
	if err != nil || listener.Addr().String() != l.Addr().String() {
		t.Fatalf("the listener: %v", err)
	}
	_ = l.Close()
	next, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Errorf("the first process has closed it, and a connect is refused: %v", err)
	} else {
		_ = next.Close()
	}
	_ = listener.Close()
}

// A door without a process behind it is nobody, whatever is left of it.
func TestNobody(t *testing.T) {
	d, path := open(t)
	_ = d.Leave() // the file stays
	for _, path := range []string{path, path + ".not"} {
		if _, err := handover.Dial(t.Context(), path, handover.Peer{}); err != handover.ErrNobody {
			t.Errorf("%s: %v", path, err)
		}
	}
	again, err := handover.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the door is open to others: %v, %v", info.Mode(), err)
	}
	_ = again.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a closed door is still there: %v", err)
	}
}

// Another version, or a gateway of another config, is refused with the reason, and the next one is let in.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		peer handover.Peer
		want string
	}{
		{"version", handover.Peer{Version: 2, Program: "9.9"}, "speaks version 2 of the handover, this one (1.0) version 1"},
		{"config", handover.Peer{Config: "/etc/b.yaml"}, "has the config /etc/b.yaml, this gateway has /etc/a.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, path := open(t)
			wait := accept(t, d)
			_, err := handover.Dial(t.Context(), path, tt.peer)
			var no *handover.RefusedError
			if !errors.As(err, &no) || !strings.Contains(no.Text, tt.want) {
				t.Errorf("Dial: %v", err)
			}
			if _, err := wait(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Accept: %v", err)
			}
			wait = accept(t, d)
			taker, err := handover.Dial(t.Context(), path, handover.Peer{Config: "/etc/a.yaml"})
			if err != nil {
				t.Fatal(err)
			}
			defer taker.Close()
			if g, err := wait(); err != nil {
				t.Error(err)
			} else {
				g.Refuse(t.Context(), "the gateway is draining")
			}
			if _, err := taker.Offer(t.Context()); !errors.As(err, &no) || no.Text != "the gateway is draining" {
				t.Errorf("a refusal later on: %v", err)
			}
		})
	}
}

// frame is a message as it goes over the wire.
func frame(kind, files byte, meta string, data int) []byte {
	b := append([]byte("th"), kind, files)
	b = binary.BigEndian.AppendUint32(b, uint32(len(meta)))
	b = binary.BigEndian.AppendUint32(b, uint32(data))
	return append(b, meta...)
}

const hello = `{"version": 1}`

// Whatever a broken peer sends, the session ends with an error that says what is wrong, no descriptor is kept, and the next is let in.
func TestBrokenTaker(t *testing.T) {
	null := temp(t)
	for _, tt := range []struct {
		name, want string
		bytes      []byte
		files      int
	}{
		{"nothing", "unexpected EOF", nil, 0},
		{"another protocol", "does not speak", []byte("GET / HTTP/1.1\r\n\r\n"), 0},
		{"half a frame", "EOF", frame(1, 0, hello, 0)[:7], 0},
		{"cut JSON", "unexpected EOF", frame(1, 0, hello, 0)[:20], 0},
		{"no JSON", "invalid character", frame(1, 0, "what?", 0), 0},
		{"a long name", "too long", append([]byte("th\x01\x00\x7f\xff\xff\xff\x00\x00\x00\x00"), "x"...), 0},
		{"long data", "too long", append([]byte("th\x01\x00\x00\x00\x00\x00\xff\xff\xff\xff"), "x"...), 0},
		{"data that does not come", "EOF", frame(1, 0, hello, 1<<29), 0},
		{"another message", "offered came", frame(8, 0, hello, 0), 0},
		{"an unknown message", "an unknown message came", frame(99, 0, hello, 0), 0},
		{"descriptors that nobody asked for", "1 descriptors, want 0", frame(1, 1, hello, 0), 1},
		{"fewer descriptors than it says", "0 descriptors of 2", frame(1, 2, hello, 0), 0},
		{"more descriptors than it says", "1 descriptors of 0", frame(1, 0, hello, 0), 1},
		{"more descriptors than a message may have", "more descriptors", frame(1, 5, hello, 0), 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, path := open(t)
			open := openFiles(t)
			wait := accept(t, d)
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			var rights []byte
			if tt.files > 0 {
				rights = unix.UnixRights(slices.Repeat([]int{int(null.Fd())}, tt.files)...)
			}
			if len(tt.bytes) > 0 {
				if _, _, err := c.(*net.UnixConn).WriteMsgUnix(tt.bytes, rights, nil); err != nil {
					t.Fatal(err)
				}
			}
			_ = c.Close()
			if _, err := wait(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Accept: %v, want %q", err, tt.want)
			}
			if n := openFiles(t); n != open {
				t.Errorf("%d descriptors are open, %d were", n, open)
			}
			wait = accept(t, d)
			taker, err := handover.Dial(t.Context(), path, handover.Peer{})
			if err != nil {
				t.Fatal(err)
			}
			taker.Close()
			if _, err := wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A taker believes a broken giver as little.
func TestBrokenGiver(t *testing.T) {
	welcome := frame(2, 0, hello, 0)
	for _, tt := range []struct{ name, want, bytes string }{
		{"gone after the welcome", "unexpected EOF", ""},
		{"an offer without a lock", "without a lock or a door", string(frame(8, 0, "null", 0))},
		{"an item without its descriptor", "0 descriptors, want 1", string(frame(6, 0, `{"id": "a"}`, 0))},
		{"more items than an offer has", "0 descriptors, want 1", strings.Repeat(string(frame(4, 0, "null", 0)), 3)},
		{"a connection before its time", "connection came", string(frame(10, 0, "{}", 0))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.ReadAtLeast(c, make([]byte, 1000), 40)
				_, _ = c.Write(append(welcome, tt.bytes...))
				_ = c.Close()
			}()
			taker, err := handover.Dial(t.Context(), path, handover.Peer{})
			if err != nil {
				t.Fatal(err)
			}
			defer taker.Close()
			if o, err := taker.Offer(t.Context()); err == nil || o != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Offer: %v, want %q", err, tt.want)
			}
		})
	}
}

// Whoever waits stops when its context ends.
func TestWaitsEndWithTheirContext(t *testing.T) {
	type session struct {
		g *handover.Giver
		t *handover.Taker
		d *handover.Door
	}
	lock := temp(t)
	for name, wait := range map[string]func(context.Context, session) error{
		"for a taker":      func(ctx context.Context, s session) error { _, err := s.d.Accept(ctx, giver); return err },
		"for an offer":     func(ctx context.Context, s session) error { _, err := s.t.Offer(ctx); return err },
		"for a connection": func(ctx context.Context, s session) error { _, err := s.t.Next(ctx); return err },
		"until the other side serves": func(ctx context.Context, s session) error {
			_, err := s.g.Offer(ctx, handover.Offer{Lock: lock, Door: s.d.Socket()})
			return err
		},
	} {
		g, taker, d := pair(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- wait(ctx, session{g, taker, d}) }()
		cancel()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still waits", name)
		}
	}
}

// A taker that ends in the middle is known to have ended, so that the giver may serve on, and what was not taken still works here; one
// that lives and says nothing more is not.
func TestFailed(t *testing.T) {
	t.Run("ended", func(t *testing.T) {
		d, path := open(t)
		wait := accept(t, d)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "HANDOVER_TAKER="+path)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Wait() }()
		g, err := wait()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Offer(t.Context(), handover.Offer{Lock: temp(t), Door: d.Socket()}); err != nil {
			t.Fatal(err)
		}
		_, client, server := tcp(t)
		if err := g.Give(t.Context(), handover.Connection{Socket: server}); err == nil {
			t.Error("a connection was taken by a process that has ended")
		}
		if !g.Failed() {
			t.Error("it has not noticed the other one's end")
		}
		fmt.Fprint(client, "ping")
		if _, err := io.ReadFull(server, make([]byte, 4)); err != nil {
			t.Errorf("the connection that was not taken: %v", err)
		}
	})
	t.Run("alive", func(t *testing.T) {
		g, _, _ := pair(t) // both in this process
		if g.Failed() {
			t.Error("it takes a process that lives for one that has ended")
		}
	})
}

// dyingTaker serves, and ends before the first connection.
func dyingTaker(path string) {
	ctx := context.Background()
	taker, err := handover.Dial(ctx, path, handover.Peer{})
	if err == nil {
		var o *handover.Offer
		if o, err = taker.Offer(ctx); err == nil {
			o.Close()
			err = taker.Serving(ctx, handover.Taken{})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
