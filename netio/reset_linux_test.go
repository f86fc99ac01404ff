package netio_test

import (
	"context"
	"io"
	"net"
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

// What the kernel says of a peer that has closed its connection: whether it had read what was sent to it.
func TestResetAfterEnd(t *testing.T) {
	const request = 8
	for _, tt := range []struct {
		name  string
		close func(c *net.TCPConn)
		late  bool // the request is sent when the peer has closed
		ended bool // it ended before it reset
		want  bool // ResetAfterEnd
	}{
		{"closed before the request came", func(c *net.TCPConn) { _ = c.Close() }, true, true, true},
		{"half of it read, shut down and closed", func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, request/2))
			_ = c.CloseWrite()
			_ = c.Close()
		}, false, true, true},
		{"all read, shut down and closed", func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, request))
			_ = c.CloseWrite()
			_ = c.Close()
		}, false, true, false},
		{"all read, and reset", func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, request))
			_ = c.SetLinger(0)
			_ = c.Close()
		}, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			socket, err := net.Dial("tcp", l.Addr().String())
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
			defer func() { cancel(); <-stopped }()
			w := &watcher{ended: make(chan struct{}), closed: make(chan error, 1)}
			c := engine.Start(socket, netio.Options{}, func(c netio.Conn) netio.Receiver {
				c.Pause() // until the peer is through, so that nothing is a matter of time
				return w
			})
			if !tt.late {
				_ = c.Send(make([]byte, request), nil)
			}
			tt.close(peer.(*net.TCPConn))
			if tt.late {
				_ = c.Send(make([]byte, request), nil)
			}
			c.Resume()
			select {
			case <-w.ended:
				if !tt.ended {
					t.Error("the peer ended")
				}
				got := netio.ResetAfterEnd(c)
				for n := 0; got != tt.want && n < 1000; n++ { // a kernel that is busy hands the reset on a little later
					time.Sleep(time.Millisecond)
					got = netio.ResetAfterEnd(c)
				}
				if got != tt.want {
					t.Errorf("reset after the end: %v", got)
				}
				c.Close(nil)
				<-w.closed
			case err := <-w.closed:
				if tt.ended {
					t.Errorf("the peer did not end: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("nothing is heard of the peer")
			}
		})
	}
}
