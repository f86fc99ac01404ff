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

// A server that has read the call before it closes may have begun it, in whatever way it closes. What one leaves behind that has not read
// it, netio's TestResetAfterEnd shows.
func TestCloseOverTCP(t *testing.T) {
	request := len("\x80\x01\x00\x01\x00\x00\x00\x04pingSEQ_\x00")
	for _, tt := range []struct {
		name    string
		then    func(c *net.TCPConn) // after the first call
		code    rpc.Code
		reach   rpc.Reach
		outcome rpc.Outcome
	}{
		{"reads it all and closes", func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, request))
			_ = c.CloseWrite()
			_ = c.Close()
		}, rpc.HandlerFailed, rpc.Unknown, rpc.ClosedReused},
		{"reads it all and resets", func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, request))
			_ = c.SetLinger(0)
			_ = c.Close()
		}, rpc.HandlerFailed, rpc.Unknown, rpc.ClosedReused},
	} {
		t.Run(tt.name, func(t *testing.T) {
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
				tt.then(c.(*net.TCPConn))
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
			expect(t, err, tt.code, tt.reach, tt.outcome)
		})
	}
}
