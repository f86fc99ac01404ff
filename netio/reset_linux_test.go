package netio_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/netio"
)

// watcher tells of the end of a connection.
type watcher struct {
	ended  chan struct{}
	closed chan error
}

func (w *watcher) Receive(buf []byte) (int, int) { return len(buf), 0 }
func (w *watcher) Ended()                        { close(w.ended) }
func (w *watcher) Closed(err error)              { w.closed <- err }

// stream is what TCP and unix sockets have in common.
type stream interface {
	net.Conn
	CloseWrite() error
}

// What the kernel says of a peer that has ended its connection: whether it had read what was sent to it.
func TestAfterEnd(t *testing.T) {
	const request = 8
	read := func(c net.Conn, n int) { _, _ = io.ReadFull(c, make([]byte, n)) }
	for _, tt := range []struct {
		name    string
		network string
		end     func(c stream)
		late    bool // the request is sent after that
		want    netio.Fate
		broken  bool // it is reset without an end: what was read is not known
	}{
		{"closed before the request came", "tcp", func(c stream) { _ = c.Close() }, true, netio.Unread, false},
		{"half of it read, shut down and closed", "tcp", func(c stream) { read(c, request/2); _ = c.CloseWrite(); _ = c.Close() }, false, netio.Unread, false},
		{"all read, shut down and closed", "tcp", func(c stream) { read(c, request); _ = c.CloseWrite(); _ = c.Close() }, false, netio.Unsettled, false},
		{"all read, and reset", "tcp", func(c stream) { read(c, request); _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }, false, 0, true},
		{"half of it read, and shut down", "unix", func(c stream) { read(c, request/2); _ = c.CloseWrite() }, false, netio.Unsettled, false},
		{"half of it read, and closed", "unix", func(c stream) { read(c, request/2); _ = c.Close() }, false, 0, true},
		{"all read, and shut down", "unix", func(c stream) { read(c, request); _ = c.CloseWrite() }, false, netio.Settled, false},
		{"all read, shut down and closed", "unix", func(c stream) { read(c, request); _ = c.CloseWrite(); _ = c.Close() }, false, netio.Settled, false},
	} {
		t.Run(tt.network+", "+tt.name, func(t *testing.T) {
			c, peer, w := paused(t, tt.network)
			if !tt.late {
				_ = c.Send(make([]byte, request), nil)
			}
			tt.end(peer)
			if tt.late {
				_ = c.Send(make([]byte, request), nil)
			}
			c.Resume()
			select {
			case <-w.ended:
				got := netio.AfterEnd(c)
				for n := 0; got != tt.want && n < 1000; n++ { // a kernel that is busy hands the reset on a little later
					time.Sleep(time.Millisecond)
					got = netio.AfterEnd(c)
				}
				if got != tt.want || tt.broken {
					t.Errorf("ended, fate %d", got)
				}
				c.Close(nil)
				<-w.closed
			case err := <-w.closed:
				if !tt.broken {
					t.Errorf("the peer did not end: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("nothing is heard of the peer")
			}
		})
	}
}

// A peer that shuts down with bytes unread, and closes a little later, is seen to have left them unread.
func TestAfterEndIsSettled(t *testing.T) {
	c, peer, w := paused(t, "unix")
	_ = c.Send(make([]byte, 8), nil)
	_ = peer.CloseWrite()
	c.Resume()
	<-w.ended
	if fate := netio.AfterEnd(c); fate != netio.Unsettled {
		t.Errorf("before the close: %d", fate)
	}
	_ = peer.Close()
	if fate := netio.AfterEnd(c); fate != netio.Unread {
		t.Errorf("after the close: %d", fate)
	}
	c.Close(nil)
	<-w.closed
}

// paused returns the two ends of a connection, of which ours does not read until it is told to: nothing is a matter of time.
func paused(t *testing.T, network string) (netio.Conn, stream, *watcher) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	engine, stopped := netio.NewPortable(), make(chan struct{})
	go func() {
		defer close(stopped)
		_ = engine.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-stopped; _ = peer.Close() })
	w := &watcher{ended: make(chan struct{}), closed: make(chan error, 1)}
	c := engine.Start(socket, netio.Options{}, func(c netio.Conn) netio.Receiver {
		c.Pause()
		return w
	})
	return c, peer.(stream), w
}
