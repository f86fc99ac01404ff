package gateway_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway"
)

// accepted returns what the gate lets in.
func accepted(t *testing.T, g *gateway.Gate) <-chan net.Conn {
	t.Helper()
	in := make(chan net.Conn, 10)
	go func() {
		defer close(in)
		for {
			c, err := g.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v", err)
				}
				return
			}
			in <- c
		}
	}()
	return in
}

// While a gate is shut nobody is let in and nobody is refused: whoever has come meanwhile is let in when it opens.
func TestGate(t *testing.T) {
	var sockets *gateway.Sockets
	g, err := sockets.Listen(t.Context(), "a", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in := accepted(t, g)
	dial := func() {
		t.Helper()
		c, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	dial()
	_ = (<-in).Close()
	for range 20 {
		g.Shut()
		g.Shut()
		dial()
		select {
		case <-in:
			t.Fatal("a shut gate lets somebody in")
		case <-time.After(time.Millisecond):
		}
		g.Open()
		g.Open()
		_ = (<-in).Close()
	}
	g.Shut()
	_ = g.Close() // ends Accept
	if c, ok := <-in; ok {
		_ = c.Close()
	}
	if _, err := net.Dial("tcp", g.Addr().String()); err == nil {
		t.Error("a closed gate accepts")
	}
}

// A unix socket's file is removed by the process that owns it, and by no other; never where the service manager has made it.
func TestGateOwnsTheFile(t *testing.T) {
	for _, tt := range []struct{ managed, own, stays bool }{{false, true, false}, {false, false, true}, {true, true, true}} {
		path := filepath.Join(t.TempDir(), "s")
		sockets := new(gateway.Sockets)
		if tt.managed {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			sockets.Add("", l)
		}
		g, err := sockets.Listen(t.Context(), "a", "unix:"+path)
		if err != nil {
			t.Fatal(err)
		}
		g.Own(tt.own)
		_ = g.Close()
		if _, err := os.Stat(path); (err == nil) != tt.stays {
			t.Errorf("%+v: after Close: %v", tt, err)
		}
	}
}

// A socket of the service manager goes to the address that it is bound to, else to the key or the service that it is named for; what
// nobody asks for is closed and named.
func TestSocketsOfTheServiceManager(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	byAddress, byName, unused := listen(), listen(), listen()
	sockets := new(gateway.Sockets)
	sockets.Add("anything", byAddress)
	sockets.Add("Users", byName)
	sockets.Add("other", unused)
	for _, tt := range []struct {
		address string
		names   []string
		want    net.Addr // nil: one of its own
	}{
		{byAddress.Addr().String(), []string{"Users"}, byAddress.Addr()},
		{"127.0.0.1:0", []string{"services.Users.listen", "Users"}, byName.Addr()},
		{"127.0.0.1:0", []string{"Users"}, nil},
	} {
		g, err := sockets.Listen(t.Context(), tt.address, tt.address, tt.names...)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		got := g.Addr().String()
		if tt.want != nil && got != tt.want.String() || tt.want == nil && (got == byName.Addr().String() || got == unused.Addr().String()) {
			t.Errorf("%s %v: %s", tt.address, tt.names, got)
		}
	}
	if rest := sockets.CloseRest(); len(rest) != 1 || rest[0] != "other ("+unused.Addr().String()+")" {
		t.Errorf("not asked for: %v", rest)
	}
	if _, err := unused.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("an unused socket is open: %v", err)
	}
}
