package client_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// A peer behind a unix socket that closes without having read the whole request has not begun the call; one that has read it may have.
func TestCloseOnUnixSocket(t *testing.T) {
	for _, tt := range []struct {
		name    string
		read    int // bytes, before it closes
		code    rpc.Code
		reach   rpc.Reach
		outcome rpc.Outcome
	}{
		{"one byte read", 1, rpc.Unavailable, rpc.NotSent, rpc.HungUp},
		{"all read", len("\x80\x01\x00\x01\x00\x00\x00\x04pingSEQ_\x00"), rpc.HandlerFailed, rpc.Unknown, rpc.ClosedNoReply},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			served := make(chan struct{})
			go func() {
				defer close(served)
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.ReadFull(c, make([]byte, tt.read))
				_ = c.Close()
			}()
			ctx, engine := running(t)
			defer func() { <-served }()
			conn, err := client.Dial(ctx, engine, "unix:"+path, client.Config{Wire: transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Handle(ctx, call("ping", 10*time.Second))
			expect(t, err, tt.code, tt.reach, tt.outcome)
		})
	}
}

// running returns an engine that runs until the test ends.
func running(t *testing.T) (context.Context, netio.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	engine, ended := netio.NewPortable(), make(chan struct{})
	go func() {
		defer close(ended)
		_ = engine.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return ctx, engine
}

// A server that ends its connection between two calls, as gunicorn's workers do when they are to leave, has not begun the call that meets
// the end, over TCP too. One that has read the call may have, in whatever way it then closes.
func TestCloseOverTCP(t *testing.T) {
	request := len("\x80\x01\x00\x01\x00\x00\x00\x04pingSEQ_\x00")
	reads := func(n int, then ...func(c *net.TCPConn) error) func(c *net.TCPConn) {
		return func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, n))
			for _, f := range append(then, (*net.TCPConn).Close) {
				_ = f(c)
			}
		}
	}
	linger := func(c *net.TCPConn) error { return c.SetLinger(0) }
	for _, tt := range []struct {
		name    string
		then    func(c *net.TCPConn) // after the first call
		code    rpc.Code
		reach   rpc.Reach
		outcome rpc.Outcome
		tries   int // where the server has to be quick
	}{
		// As ThriftPy closes. A server that is interrupted between the two for too long is not told from one that has read all.
		{"reads half of it, shuts down and closes", reads(request-1, (*net.TCPConn).CloseWrite), rpc.Unavailable, rpc.NotSent, rpc.WriteCut, 9},
		{"reads it all, shuts down and closes", reads(request, (*net.TCPConn).CloseWrite), rpc.HandlerFailed, rpc.Unknown, rpc.ClosedReused, 1},
		{"reads it all and closes", reads(request), rpc.HandlerFailed, rpc.Unknown, rpc.ClosedReused, 1},
		{"reads it all and resets", reads(request, linger), rpc.HandlerFailed, rpc.Unknown, rpc.ClosedReused, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			for range tt.tries {
				err = secondCall(t, request, tt.then)
				if e := rpc.AsError(err, ""); e != nil && e.Reach == tt.reach {
					break
				}
			}
			expect(t, err, tt.code, tt.reach, tt.outcome)
		})
	}
}

// secondCall returns the error of a second call on a connection whose server answers the first, and then does as it is told.
func secondCall(t *testing.T, request int, then func(c *net.TCPConn)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		first := make([]byte, request)
		_, _ = io.ReadFull(c, first)
		_, _ = c.Write(append([]byte("\x80\x01\x00\x02"), first[4:]...))
		then(c.(*net.TCPConn))
	}()
	defer func() { <-served }()
	ctx, engine := running(t)
	conn, err := client.Dial(ctx, engine, l.Addr().String(), client.Config{Wire: transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Handle(ctx, call("ping", 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Handle(ctx, call("ping", 10*time.Second))
	return err
}
