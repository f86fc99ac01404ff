package memnet

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is one end of a connection. Safe for concurrent use.
type Conn struct {
	in, out       *stream
	local, remote Addr
	closed        atomic.Bool
}

func pipe(client, server Addr) (c, s *Conn) {
	up, down := newStream(), newStream()
	return &Conn{in: down, out: up, local: client, remote: server}, &Conn{in: up, out: down, local: server, remote: client}
}

// Faults are what goes wrong at one end of a connection. The zero value is a connection without faults.
type Faults struct {
	// Delay is how long what this end writes is on its way.
	Delay time.Duration
	// CutAfterBytes resets the connection once this end has written so many bytes more; they arrive. Zero: never.
	CutAfterBytes int
	// WriteBytes slices what this end writes: one Read of the peer gets at most so many bytes. Zero: as many as there are.
	WriteBytes int
	// WriteEvery spaces those slices out: each is on its way for so long after the one before it. 1 and a second are 1 B/s. It needs
	// WriteBytes; a write itself does not wait for it while the window has room.
	WriteEvery time.Duration
	// Drop loses what this end writes from now on: no error, and nothing arrives, not even that this end closes. Set at both ends it is
	// a connection that a box between them has forgotten.
	Drop bool
	// ReadEvery makes this end a slow reader: each Read takes so long. ReadBytes bounds what one Read gets, zero: no bound.
	ReadEvery time.Duration
	ReadBytes int
}

// SetFaults sets what goes wrong at this end from now on.
func (c *Conn) SetFaults(f Faults) {
	c.out.set(func(s *stream) {
		s.delay, s.cutAfter, s.slice, s.writeEvery, s.lost = f.Delay, f.CutAfterBytes, f.WriteBytes, f.WriteEvery, f.Drop
	})
	c.in.set(func(s *stream) { s.readEvery, s.readBytes = f.ReadEvery, f.ReadBytes })
}

// SetWindow bounds what this end can write before the peer reads, in bytes. Default 64 KiB.
func (c *Conn) SetWindow(bytes int) { c.out.set(func(s *stream) { s.window = bytes }) }

// Read reads what came, waiting for a first byte. io.EOF after the peer's CloseWrite or Close, ECONNRESET after its Reset.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write hands p to the peer, waiting while the window is full. EPIPE or ECONNRESET once the peer is gone.
func (c *Conn) Write(p []byte) (int, error) {
	n, cut, err := c.out.write(p)
	if cut {
		c.in.set((*stream).reset)
	}
	return n, c.wrap("write", err)
}

// CloseWrite ends what this end writes; it can still read. The peer reads io.EOF after what was written.
func (c *Conn) CloseWrite() error {
	c.out.set(func(s *stream) {
		s.end(io.EOF, syscall.EPIPE)
		if s.writeErr == nil { // lost: the peer is not told
			s.writeErr = syscall.EPIPE
		}
	})
	return nil
}

// Close ends both directions: the peer reads what was written, then io.EOF, and its writes fail.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.wrap("close", net.ErrClosed)
	}
	c.in.set(func(s *stream) {
		s.end(io.EOF, syscall.EPIPE)
		s.readErr = net.ErrClosed
		s.drop()
	})
	c.out.set(func(s *stream) {
		s.end(io.EOF, syscall.EPIPE)
		s.writeErr = net.ErrClosed
	})
	return nil
}

// Reset breaks the connection as a RST does: what is on its way is lost, and both ends get ECONNRESET.
func (c *Conn) Reset() {
	c.in.set((*stream).reset)
	c.out.set((*stream).reset)
}

// LocalAddr returns this end's address. Each dialled connection has one of its own.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets when reads give up with os.ErrDeadlineExceeded. The zero time: never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.set(func(s *stream) { s.readDeadline.set(s, t) })
	return nil
}

// SetWriteDeadline sets when writes give up with os.ErrDeadlineExceeded. The zero time: never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.set(func(s *stream) { s.writeDeadline.set(s, t) })
	return nil
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return opError(op, c.remote, err)
}

// Forget lets a box between the two ends forget the connection once nothing has been written on it for so long: what is written from then
// on is lost, as with Faults.Drop at both ends. told, which may be nil, is called when it does, once.
func (c *Conn) Forget(idle time.Duration, told func()) {
	forget := func() {
		c.in.set(func(s *stream) { s.lost = true })
		c.out.set(func(s *stream) { s.lost = true })
		if told != nil {
			told()
		}
	}
	timer := time.AfterFunc(idle, forget)
	wrote := func() { timer.Reset(idle) }
	c.in.set(func(s *stream) { s.wrote = wrote })
	c.out.set(func(s *stream) { s.wrote = wrote })
}
