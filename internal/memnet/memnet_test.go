package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is written arrives whole and in order, however small the window; CloseWrite ends one direction only.
func TestPipeCarriesBytesAndHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		a.SetWindow(7)
		sent := bytes.Repeat([]byte("thrift"), 1000)
		go func() {
			_, _ = a.Write(sent)
			_ = a.CloseWrite()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(sent))
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after CloseWrite: %v", err)
		}
		if _, err := b.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		if n, _ := a.Read(buf); string(buf[:n]) != "answer" {
			t.Errorf("read %q after CloseWrite", buf[:n])
		}
	})
}

// Each way of ending a connection is told apart by both ends.
func TestEndsAreToldApart(t *testing.T) {
	tests := []struct {
		name                  string
		end                   func(*memnet.Conn)
		peerRead, peerWrite   error
		ownRead, ownWrite     error
		peerStillReadsWritten bool
	}{
		{"close", func(c *memnet.Conn) { _ = c.Close() }, io.EOF, syscall.EPIPE, net.ErrClosed, net.ErrClosed, true},
		{"reset", (*memnet.Conn).Reset, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET, false},
		{"reset, then close", func(c *memnet.Conn) { c.Reset(); _ = c.Close() },
			syscall.ECONNRESET, syscall.ECONNRESET, net.ErrClosed, net.ErrClosed, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := memnet.Pipe()
			_, _ = a.Write([]byte("last"))
			test.end(a)
			buf := make([]byte, 10)
			if test.peerStillReadsWritten {
				if n, err := b.Read(buf); string(buf[:n]) != "last" {
					t.Errorf("peer reads %q, %v", buf[:n], err)
				}
			}
			check := func(what string, err, want error) {
				t.Helper()
				if !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
			}
			_, err := b.Read(buf)
			check("peer reads", err, test.peerRead)
			_, err = b.Write(buf)
			check("peer writes", err, test.peerWrite)
			_, err = a.Read(buf)
			check("own read", err, test.ownRead)
			_, err = a.Write(buf)
			check("own write", err, test.ownWrite)
		})
	}
}

// A deadline ends a waiting read or write at its time, and only that.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		start := time.Now()
		_ = a.SetDeadline(start.Add(time.Second))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(start))
		}
		_ = a.SetDeadline(time.Now().Add(time.Second))
		n, err := a.Write(make([]byte, 100<<10))
		if n != 64<<10 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("write: %d, %v after %v", n, err, time.Since(start))
		}
		_ = a.SetDeadline(time.Time{})
		if _, err := io.ReadFull(b, make([]byte, n)); err != nil {
			t.Errorf("what was written before the deadline: %v", err)
		}
		if _, err := a.Write([]byte("x")); err != nil {
			t.Errorf("after the deadline was lifted: %v", err)
		}
	})
}

// Faults do what they say, at the virtual time that they say.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		start, buf := time.Now(), make([]byte, 100)

		a.SetFaults(memnet.Faults{Delay: time.Second, WriteBytes: 3})
		_, _ = a.Write([]byte("abcdefgh"))
		for _, want := range []string{"abc", "def", "gh"} {
			if n, _ := b.Read(buf); string(buf[:n]) != want {
				t.Errorf("sliced: read %q, want %q", buf[:n], want)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("arrived after %v, want 1s", d)
		}

		b.SetFaults(memnet.Faults{ReadEvery: time.Second, ReadBytes: 2})
		a.SetFaults(memnet.Faults{CutAfterBytes: 4})
		start = time.Now()
		if n, err := a.Write([]byte("abcdefgh")); n != 4 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("cut: wrote %d, %v", n, err)
		}
		got, err := io.ReadAll(b)
		if string(got) != "abcd" || !errors.Is(err, syscall.ECONNRESET) || time.Since(start) != 3*time.Second {
			t.Errorf("slow reader of a cut connection: %q, %v after %v", got, err, time.Since(start))
		}
		if _, err := a.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("own read after the cut: %v", err)
		}
	})
}

// A connection of 1 B/s hands over a byte a second, though its writer has long gone on.
func TestSlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		start := time.Now()
		a.SetFaults(memnet.Faults{WriteBytes: 1, WriteEvery: time.Second})
		for range 2 {
			if n, err := a.Write([]byte("abc")); n != 3 || err != nil || time.Since(start) != 0 {
				t.Errorf("wrote %d, %v after %v", n, err, time.Since(start))
			}
		}
		_ = a.Close()
		buf := make([]byte, 100)
		for i, want := range []string{"a", "b", "c", "a", "b", "c"} {
			n, err := b.Read(buf)
			if string(buf[:n]) != want || err != nil || time.Since(start) != time.Duration(i+1)*time.Second {
				t.Errorf("byte %d: %q, %v after %v", i, buf[:n], err, time.Since(start))
			}
		}
		if _, err := b.Read(buf); err != io.EOF {
			t.Errorf("behind the last byte: %v", err)
		}
	})
}

// Across a connection that is lost nothing comes, in neither direction: no byte, no end, no reset. Each end goes on to write.
func TestLostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		_, _ = a.Write([]byte("before"))
		a.SetFaults(memnet.Faults{Drop: true})
		b.SetFaults(memnet.Faults{Drop: true})
		_, _ = a.Write([]byte("after"))
		_ = a.CloseWrite()
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("its own write behind CloseWrite: %v", err)
		}
		_ = a.Close()
		buf := make([]byte, 100)
		if n, err := b.Read(buf); string(buf[:n]) != "before" || err != nil {
			t.Errorf("on its way already: %q, %v", buf[:n], err)
		}
		_ = b.SetReadDeadline(time.Now().Add(time.Hour))
		if n, err := b.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		if n, err := b.Write(make([]byte, 1<<20)); n != 1<<20 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		b.Reset()
		_ = b.Close()
	})
}

// Trouble meets those who connect from then on, and goes as it came.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		l, err := n.Listen("peer:1")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n.SetTrouble("peer:1", memnet.Trouble{Refuse: true})
		if _, err := n.Dial(t.Context(), "peer:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("refused: %v", err)
		}
		n.SetTrouble("peer:1", memnet.Trouble{Blackhole: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := n.Dial(ctx, "peer:1"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("a dial into the dark: %v after %v", err, time.Since(start))
		}
		n.SetTrouble("peer:1", memnet.Trouble{Reset: true})
		c, err := n.Dial(t.Context(), "peer:1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write to one that was reset: %v", err)
		}
		n.SetTrouble("peer:1", memnet.Trouble{})
		c, err = n.Dial(t.Context(), "peer:1")
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept() // the first that the listener sees
		if err != nil || s.RemoteAddr().String() != c.LocalAddr().String() {
			t.Errorf("accepted %v, %v", s, err)
		}
		_, _ = c.Close(), s.Close()
	})
}

// Addresses are taken once, found by name, refused when nobody listens, and each caller has its own.
func TestListenAndDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, n := context.Background(), memnet.New()
		l, err := n.Listen("10.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if _, err := n.Listen(address); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listen twice: %v", err)
		}
		seen := map[string]bool{}
		for range 2 {
			client, err := n.Dial(ctx, address)
			if err != nil {
				t.Fatal(err)
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if server.RemoteAddr() != client.LocalAddr() || client.RemoteAddr().String() != address {
				t.Errorf("addresses: %v → %v", server.RemoteAddr(), client.RemoteAddr())
			}
			seen[server.RemoteAddr().String()] = true
		}
		if len(seen) != 2 {
			t.Errorf("callers have addresses %v, want two", seen)
		}
		waiting, err := n.Dial(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a connection that was never accepted reads %v", err)
		}
		if _, err := n.Dial(ctx, address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial after close: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after close: %v", err)
		}
	})
}

// With the backlog full, a dial waits for its turn within its context.
func TestDialWaitsWhileTheBacklogIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		l, _ := n.Listen("a:1")
		defer l.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for range 128 {
			if _, err := n.Dial(ctx, "a:1"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.Dial(ctx, "a:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial 129: %v", err)
		}
	})
}

// A box that forgets idle connections loses what comes too late, and leaves those alone that are used.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		var told atomic.Int64
		a.Forget(2*time.Second, func() { told.Add(1) })
		buf := make([]byte, 10)
		for range 5 {
			time.Sleep(time.Second)
			_, _ = a.Write([]byte("x"))
			if n, err := b.Read(buf); n != 1 || err != nil || told.Load() != 0 {
				t.Fatalf("read %d, %v; forgotten %d times", n, err, told.Load())
			}
		}
		time.Sleep(3 * time.Second)
		_, _ = a.Write([]byte("x"))
		_ = b.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := b.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || told.Load() != 1 {
			t.Errorf("read %d, %v; forgotten %d times", n, err, told.Load())
		}
	})
}
