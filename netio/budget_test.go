package netio

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/memnet"
)

// waiting is a receiver that uses nothing before all has come, and can shed if it is told to.
type waiting struct {
	conn   Conn
	closed chan error
}

func (w *waiting) Receive(buf []byte) (int, int) { return 0, len(buf) + 1 }
func (w *waiting) Ended()                        {}
func (w *waiting) Closed(err error)              { w.closed <- err }

// shedding is one that can do without what came.
type shedding struct {
	*waiting
	shed int
}

func (s *shedding) Shed(buf []byte) int {
	s.shed += len(buf)
	return len(buf)
}

// budgeted runs test against a connection that shares b.
func budgeted(t *testing.T, opts Options, receiver func(*waiting) Receiver, test func(c Conn, peer *memnet.Conn, w *waiting)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		own, peer := memnet.Pipe()
		w := &waiting{closed: make(chan error, 1)}
		c := NewPortable().Start(own, opts, func(c Conn) Receiver { w.conn = c; return receiver(w) })
		test(c, peer, w)
		c.Close(nil)
		_ = peer.Close()
		synctest.Wait()
		if held := opts.Budget.Held(); held != 0 {
			t.Errorf("%d bytes are held by a connection that is gone", held)
		}
	})
}

func plain(w *waiting) Receiver { return w }

// A receiver that cannot do without bytes has its connection closed when the budget is used up; one that can goes on with the next.
func TestNoRoomToRead(t *testing.T) {
	b := NewBudget(100 << 10)
	budgeted(t, Options{Budget: b}, plain, func(_ Conn, peer *memnet.Conn, w *waiting) {
		_, _ = peer.Write(make([]byte, 60_000))
		_, _ = peer.Write(make([]byte, 60_000))
		if err := <-w.closed; !errors.Is(err, ErrNoRoom) {
			t.Errorf("closed: %v", err)
		}
		w.closed <- nil
	})
	s := new(shedding)
	budgeted(t, Options{Budget: b}, func(w *waiting) Receiver { s.waiting = w; return s }, func(_ Conn, peer *memnet.Conn, _ *waiting) {
		for range 100 {
			if _, err := peer.Write(make([]byte, 10_000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if b.Held() > 100<<10 {
				t.Fatalf("%d bytes are held", b.Held())
			}
		}
		if s.shed < 900_000 {
			t.Errorf("%d bytes were shed", s.shed)
		}
	})
}

// Requests leave a part of the budget to what answers them, but not so much that the longest message would not fit.
func TestYieldingLeavesRoom(t *testing.T) {
	for _, test := range []struct{ max, limit, want int64 }{
		{1 << 20, 100_000, 768 << 10},
		{100_000, 90_000, 90_000 + minRoomBytes},
	} {
		b := NewBudget(test.max)
		if got := test.max - b.spare(int(test.limit)); got != test.want {
			t.Errorf("of %d bytes, messages of %d bytes may take %d, want %d", test.max, test.limit, got, test.want)
		}
	}
}

// What a peer does not read is counted and, past the budget, not taken; a few KiB are, at each connection. What it reads is free again.
func TestNoRoomToSend(t *testing.T) {
	b := NewBudget(1 << 20)
	budgeted(t, Options{Budget: b}, plain, func(c Conn, peer *memnet.Conn, _ *waiting) {
		peer.SetWindow(1)
		for err := error(nil); err == nil; err = c.Send(nil, make([]byte, 100_000)) {
			synctest.Wait()
		}
		if err := c.Send(nil, make([]byte, 100_000)); !errors.Is(err, ErrNoRoom) {
			t.Fatalf("Send: %v", err)
		}
		if held := b.Held(); held < 800<<10 || held > 1<<20 {
			t.Errorf("%d bytes are held", held)
		}
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		synctest.Wait()
		if held := b.Held(); held > minChunkBytes {
			t.Errorf("%d bytes are held, and all is written", held)
		}
		b.Force(1 << 20)
		if err := c.Send(make([]byte, 100), make([]byte, 1000)); err != nil {
			t.Errorf("a short answer: %v", err)
		}
		b.Give(1 << 20)
	})
}

// A peer that takes nothing for the stall timeout is let go of; one that takes a byte now and then is not.
func TestStall(t *testing.T) {
	opts := Options{Budget: NewBudget(1 << 30), StallTimeout: 10 * time.Second}
	budgeted(t, opts, plain, func(c Conn, _ *memnet.Conn, w *waiting) {
		start := time.Now()
		_ = c.Send(nil, make([]byte, 1<<20))
		if err := <-w.closed; !errors.Is(err, ErrStalled) || time.Since(start) != 10*time.Second {
			t.Errorf("closed after %v: %v", time.Since(start), err)
		}
		w.closed <- nil
	})
	budgeted(t, opts, plain, func(c Conn, peer *memnet.Conn, _ *waiting) {
		_ = c.Send(nil, make([]byte, 200_000))
		for left := 200_000; left > 0; {
			time.Sleep(9 * time.Second)
			n, err := io.ReadFull(peer, make([]byte, min(left, 40_000)))
			if err != nil {
				t.Fatal(err)
			}
			left -= n
		}
		time.Sleep(time.Minute) // nothing waits: there is nothing to stall
		if err := c.Send(nil, []byte("x")); err != nil {
			t.Errorf("Send: %v", err)
		}
		if _, err := peer.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}

// The same over a real socket, where the kernel is what stops taking.
func TestStallOfASocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	own, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	b, w := NewBudget(1<<30), &waiting{closed: make(chan error, 1)}
	c := NewPortable().Start(own, Options{Budget: b, StallTimeout: 100 * time.Millisecond}, func(Conn) Receiver { return w })
	_ = c.Send(nil, make([]byte, 60<<20))
	if err := <-w.closed; !errors.Is(err, ErrStalled) {
		t.Errorf("closed: %v", err)
	}
	if b.Held() != 0 {
		t.Errorf("%d bytes are held", b.Held())
	}
}

// A piece that is written in part is counted as a whole until it is written to its end: what is left of it keeps all of it in memory.
func TestWrittenInPart(t *testing.T) {
	b := NewBudget(1 << 30)
	budgeted(t, Options{Budget: b}, plain, func(c Conn, peer *memnet.Conn, _ *waiting) {
		synctest.Wait()
		idle := b.Held() // what the reading side has
		for _, n := range []int{1 << 20, 2 << 20} {
			if err := c.Send([]byte("head"), make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct{ read, least, most int64 }{
			{700_000, 3 << 20, 3<<20 + 8},
			{1<<20 - 600_000, 2 << 20, 2<<20 + 4}, // 100 KB of the second
			{2<<20 - 100_000 + 8, 0, 0},
		} {
			if _, err := io.ReadFull(peer, make([]byte, step.read)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if held := b.Held() - idle; held < step.least || held > step.most {
				t.Errorf("%d bytes are held, want %d to %d", held, step.least, step.most)
			}
		}
	})
}

// Many who take at once get no more than there is.
func TestTakeAtOnce(t *testing.T) {
	b := NewBudget(1000)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10_000 {
				if !b.Take(300) {
					continue
				}
				if held := b.Held(); held > 1000 {
					t.Errorf("%d bytes are held", held)
				}
				b.Give(300)
			}
		})
	}
	all.Wait()
	if b.Held() != 0 {
		t.Errorf("%d bytes are held", b.Held())
	}
}
