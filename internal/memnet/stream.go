package memnet

import (
	"os"
	"sync"
	"syscall"
	"time"
)

const defaultWindow = 64 << 10

// stream is one direction of a connection: a bounded queue of bytes, some of them still on their way.
type stream struct {
	mu   sync.Mutex
	cond *sync.Cond // signalled when anything below changes or a time has come

	parts  []part
	size   int // bytes in parts
	window int

	endErr            error // what the reader gets behind the last byte, nil while there may be more
	readErr, writeErr error // why this direction is over for the one side, nil while it is not

	readDeadline, writeDeadline deadline

	delay      time.Duration // what the faults of the two ends set
	cutAfter   int
	slice      int
	writeEvery time.Duration
	lastDue    time.Time // of the last slice that writeEvery has spaced out
	lost       bool      // nothing arrives any more
	wrote      func()    // called with each write that is not lost, and at the end; may be nil
	readEvery  time.Duration
	readBytes  int
}

// part is what one write left in the stream, readable from due on.
type part struct {
	data []byte
	due  time.Time
}

func newStream() *stream {
	s := &stream{window: defaultWindow}
	s.cond = sync.NewCond(&s.mu)
	return s
}

// set changes s and wakes whoever waits.
func (s *stream) set(change func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	s.cond.Broadcast()
}

// end lets the reader have what is there, then atEnd; the writer gets forWriter. s.mu is held, as in reset and drop.
// A direction that is lost carries no news either: each side learns only what it did itself.
func (s *stream) end(atEnd, forWriter error) {
	if s.lost {
		return
	}
	if s.endErr == nil {
		s.endErr = atEnd
	}
	if s.writeErr == nil {
		s.writeErr = forWriter
	}
}

// reset drops what is on its way and fails both sides.
func (s *stream) reset() {
	s.drop()
	s.end(syscall.ECONNRESET, syscall.ECONNRESET)
	if s.readErr == nil && !s.lost {
		s.readErr = syscall.ECONNRESET
	}
}

func (s *stream) drop() { s.parts, s.size = nil, 0 }

// read waits for bytes that are due and copies them out.
func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readEvery > 0 {
		s.waitUntil(time.Now().Add(s.readEvery), func() bool { return s.readErr != nil || s.readDeadline.passed() })
	}
	for {
		switch {
		case s.readErr != nil:
			return 0, s.readErr
		case s.readDeadline.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(s.parts) > 0 && !s.parts[0].due.After(time.Now()):
			return s.take(p), nil
		case len(s.parts) > 0:
			s.waitUntil(s.parts[0].due, func() bool { return s.readErr != nil || s.readDeadline.passed() })
		case s.endErr != nil:
			return 0, s.endErr
		default:
			s.cond.Wait()
		}
	}
}

// take copies from the parts that are due, within the bounds that the faults set.
func (s *stream) take(p []byte) int {
	for _, bound := range []int{s.slice, s.readBytes} {
		if bound > 0 && len(p) > bound {
			p = p[:bound]
		}
	}
	n := 0
	for now := time.Now(); n < len(p) && len(s.parts) > 0 && !s.parts[0].due.After(now); {
		first := &s.parts[0]
		k := copy(p[n:], first.data)
		n, first.data = n+k, first.data[k:]
		if len(first.data) == 0 {
			s.parts = s.parts[1:]
		}
	}
	s.size -= n
	s.cond.Broadcast()
	return n
}

// write queues all of p, waiting while the window is full. cut says that the connection was cut by it.
func (s *stream) write(p []byte) (n int, cut bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writeErr != nil:
			return n, cut, s.writeErr
		case s.writeDeadline.passed():
			return n, cut, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, cut, nil
		case s.size >= s.window:
			s.cond.Wait()
		case s.cutAfter > 0 && s.cutAfter <= min(len(p), s.window-s.size):
			n += s.put(p[:s.cutAfter])
			s.end(syscall.ECONNRESET, syscall.ECONNRESET)
			cut = true
		default:
			k := s.put(p[:min(len(p), s.window-s.size)])
			n, p = n+k, p[k:]
			s.cutAfter = max(0, s.cutAfter-k)
		}
	}
}

// put queues p, which fits.
func (s *stream) put(p []byte) int {
	n := len(p)
	if s.lost {
		return n
	}
	if s.wrote != nil {
		s.wrote()
	}
	s.size += n
	for data := append([]byte(nil), p...); len(data) > 0; {
		k := len(data)
		if s.writeEvery > 0 && s.slice > 0 {
			k = min(k, s.slice)
		}
		s.parts = append(s.parts, part{data: data[:k:k], due: s.due()})
		data = data[k:]
	}
	s.cond.Broadcast()
	return n
}

// due returns when what is written now arrives; zero: at once.
func (s *stream) due() (t time.Time) {
	now := time.Now()
	if s.delay > 0 {
		t = now.Add(s.delay)
	}
	if s.writeEvery > 0 && s.slice > 0 {
		if s.lastDue.After(now) {
			now = s.lastDue
		}
		s.lastDue = now.Add(s.writeEvery)
		t = s.lastDue.Add(s.delay)
	}
	return t
}

// waitUntil waits, with s.mu held, until t or until stop says so.
func (s *stream) waitUntil(t time.Time, stop func() bool) {
	timer := time.AfterFunc(time.Until(t), func() { s.set(func(*stream) {}) })
	defer timer.Stop()
	for !stop() && time.Now().Before(t) {
		s.cond.Wait()
	}
}

// deadline is a time at which whoever waits is woken.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

// set moves the deadline, with s.mu held.
func (d *deadline) set(s *stream, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() { s.set(func(*stream) {}) })
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
