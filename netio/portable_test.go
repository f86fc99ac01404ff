package netio_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/netio/netiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The portable engine keeps the contract over every kind of connection.
func TestPortable(t *testing.T) {
	t.Run("network=mem", func(t *testing.T) {
		netiotest.Test(t, netio.NewPortable, func(*testing.T) (net.Conn, net.Conn) {
			a, b := memnet.Pipe()
			return a, b
		})
	})
	t.Run("network=tcp", func(t *testing.T) {
		netiotest.Test(t, netio.NewPortable, func(t *testing.T) (net.Conn, net.Conn) { return sockets(t, "127.0.0.1:0") })
	})
	t.Run("network=wrapped", func(t *testing.T) { // no socket to the engine, as TLS, and as all on Windows
		netiotest.Test(t, netio.NewPortable, func(t *testing.T) (net.Conn, net.Conn) {
			own, peer := sockets(t, "127.0.0.1:0")
			return wrapped{own, own.(*net.TCPConn)}, peer
		})
	})
	t.Run("network=unix", func(t *testing.T) {
		netiotest.Test(t, netio.NewPortable, func(t *testing.T) (net.Conn, net.Conn) { return sockets(t, "unix:"+socketPath(t)) })
	})
}

// wrapped is a connection that hides its socket.
type wrapped struct {
	net.Conn
	half interface{ CloseWrite() error }
}

func (w wrapped) CloseWrite() error { return w.half.CloseWrite() }

// socketPath returns a path for a socket, short enough for any system.
func socketPath(t *testing.T) string {
	dir, err := os.MkdirTemp("", "netio")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// sockets returns the two ends of a connection through address.
func sockets(t *testing.T, address string) (net.Conn, net.Conn) {
	l, err := netio.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// sink is a receiver that uses everything.
type sink struct{ got chan int }

func (s *sink) Receive(buf []byte) (int, int) { s.got <- len(buf); return len(buf), 0 }
func (s *sink) Ended()                        {}
func (s *sink) Closed(error)                  {}

// When Closed is called, Written tells what was taken, not what was queued: a write that is under way is waited for.
func TestWrittenIsExactOnceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := memnet.Pipe()
		stuck := stuckConn{a, make(chan int)}
		closed := make(closedTo, 1)
		c := netio.NewPortable().Start(stuck, netio.Options{}, func(netio.Conn) netio.Receiver { return closed })
		_ = c.Send(make([]byte, 9_000), nil)
		synctest.Wait()
		c.Close(nil)
		synctest.Wait()
		if len(closed) > 0 {
			t.Error("Closed was called during a write")
		}
		stuck.took <- 4_000
		<-closed
		if n := c.Written(); n != 4_000 {
			t.Errorf("%d bytes written, 4000 were taken", n)
		}
	})
}

// stuckConn is a connection whose Write comes back when it is told how much it took.
type stuckConn struct {
	net.Conn
	took chan int
}

func (c stuckConn) Write(p []byte) (int, error) { return <-c.took, net.ErrClosed }

// What the pieces of one turn have in common is one write: the peer reads them at once.
func TestSmallPiecesGoOutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := netio.NewPortable()
		a, b := memnet.Pipe()
		c := e.Start(a, netio.Options{}, func(c netio.Conn) netio.Receiver { return &sink{make(chan int, 9)} })
		for range 3 {
			_ = c.Send([]byte("head"), []byte("body"))
		}
		synctest.Wait()
		buf := make([]byte, 100)
		if n, _ := b.Read(buf); n != 24 {
			t.Errorf("the peer's first read got %d bytes", n)
		}
		c.Close(nil)
		synctest.Wait()
	})
}

// A peer that says nothing for long is neither closed nor lost: what it then sends arrives.
func TestIdleConnectionsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := netio.NewPortable()
		a, b := memnet.Pipe()
		s := &sink{make(chan int, 1000)}
		c := e.Start(a, netio.Options{}, func(netio.Conn) netio.Receiver { return s })
		sent, got := 0, 0
		for _, pause := range []time.Duration{0, time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second, time.Hour} {
			time.Sleep(pause)
			n, err := b.Write(make([]byte, 20_000))
			if err != nil {
				t.Fatal(err)
			}
			for sent += n; got < sent; {
				got += <-s.got
			}
		}
		c.Close(nil)
		synctest.Wait()
	})
}

// A closed connection reports the socket's own error where the peer broke it while it was written to.
func TestWriteErrorsCloseTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := netio.NewPortable()
		a, b := memnet.Pipe()
		cause := make(chan error, 1)
		c := e.Start(a, netio.Options{}, func(netio.Conn) netio.Receiver { return closedTo(cause) })
		c.Pause()
		_ = b.Close()
		_ = c.Send([]byte("x"), nil)
		if err := <-cause; err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("Closed(%v)", err)
		}
	})
}

type closedTo chan error

func (closedTo) Receive(buf []byte) (int, int) { return len(buf), 0 }
func (closedTo) Ended()                        {}
func (c closedTo) Closed(err error)            { c <- err }
