package netio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// idleAfter is how long a connection keeps a chunk in which nothing arrives.
const idleAfter = 5 * time.Second

// A connection that is closed while bytes of the peer wait unread would be reset by the kernel, and the last answer lost with it. So
// Finish ends the writing side first and throws away what still comes, within these bounds.
const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// past is a deadline that wakes a blocked read.
var past = time.Unix(1, 0)

type state uint8

const (
	open      state = iota
	finishing       // what is queued is still written
	closed
	detached
)

// conn is a connection of the portable engine.
//
// Its reading goroutine makes every callback, Closed included, and owns input. The fields below mu are guarded by it. At most one
// goroutine writes to the socket at a time: the one that set writing.
type conn struct {
	engine   *portable
	nc       net.Conn
	raw      syscall.RawConn // nil where the plain way of writing is used
	opts     Options
	receiver Receiver
	input    input
	done     chan struct{} // closed when the reading goroutine is through with a detached connection
	output
	written atomic.Int64
	counted atomic.Int64 // bytes of what waits that the budget counts: of pieces, each as a whole

	mu      sync.Mutex
	changed *sync.Cond // state, paused, again, writing
	state   state
	cause   error // why it is closed
	paused  bool
	again   bool // resumed: what was not used is delivered again
	ended   bool // the peer has sent its last byte
	told    bool // and the receiver knows
	turn    bool // a callback is running
	idling  bool // the read deadline is set to notice idleness
}

func newConn(e *portable, nc net.Conn, opts Options) *conn {
	c := &conn{engine: e, nc: nc, opts: opts, done: make(chan struct{})}
	c.input.budget, c.input.yield = opts.Budget, opts.Yield
	c.changed = sync.NewCond(&c.mu)
	if len(opts.Received) > 0 {
		c.input.begin(opts.Received)
		c.again, c.opts.Received = true, nil
	}
	c.raw = rawConn(nc)
	c.step = c.writeStep
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true) // fails on a dead socket only, which the first read reports
	}
	return c
}

// LocalAddr implements Conn.
func (c *conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr implements Conn.
func (c *conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// control hands the socket to f, where there is one.
func (c *conn) control(f func(fd uintptr)) error {
	if c.raw == nil {
		return ErrClosed
	}
	return c.raw.Control(f)
}

// Hold implements Conn.
func (c *conn) Hold() *Lease { return c.input.hold() }

// Pause implements Conn.
func (c *conn) Pause() {
	c.mu.Lock()
	c.paused = true
	c.mu.Unlock()
}

// Resume implements Conn.
func (c *conn) Resume() {
	c.mu.Lock()
	if c.paused {
		c.paused, c.again = false, true
		c.changed.Broadcast()
	}
	c.mu.Unlock()
}

// Finish implements Conn.
func (c *conn) Finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return
	}
	c.state = finishing
	c.flush()
	c.interrupt()
	c.changed.Broadcast()
}

// Close implements Conn. When it returns, the peer has been told.
func (c *conn) Close(cause error) {
	c.mu.Lock()
	c.close(cause)
	c.mu.Unlock()
}

// close closes the socket; the reading goroutine does the rest. c.mu is held.
func (c *conn) close(cause error) {
	if c.state == closed || c.state == detached {
		return
	}
	c.state, c.cause, c.queue = closed, cause, nil
	c.changed.Broadcast()
	if t, ok := c.nc.(interface{ NetConn() net.Conn }); ok {
		_ = t.NetConn().Close() // a TLS connection's own Close waits for a peer that does not read
		return
	}
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer is told now; the socket is not closed before the reading goroutine has left it
	}
	_ = c.nc.Close()
}

// Detach implements Conn.
func (c *conn) Detach() (net.Conn, []byte, error) {
	c.mu.Lock()
	switch {
	case c.state != open:
		c.mu.Unlock()
		return nil, nil, ErrClosed
	case c.turn || c.writing || len(c.queue) > 0:
		c.mu.Unlock()
		return nil, nil, ErrBusy
	}
	c.state = detached
	c.interrupt()
	c.changed.Broadcast()
	c.mu.Unlock()
	<-c.done
	_ = c.nc.SetReadDeadline(time.Time{}) // fails on a dead socket only, which the next read reports
	rest := c.input.unused()
	c.input.drop()
	return c.nc, rest, nil
}

// interrupt wakes the reading goroutine out of a read; it looks at the state then. c.mu is held.
func (c *conn) interrupt() { _ = c.nc.SetReadDeadline(past) }

// run is the reading goroutine.
func (c *conn) run() {
	for c.next() {
	}
	c.mu.Lock()
	switch c.state {
	case detached:
		c.mu.Unlock()
		close(c.done)
		return
	case finishing:
		linger := !c.ended && (c.paused || len(c.input.unused()) > 0)
		c.mu.Unlock()
		leave(c.nc, linger)
		c.mu.Lock()
		c.close(nil)
	}
	for c.writing {
		c.changed.Wait()
	}
	cause := c.cause
	c.uncount(int(c.counted.Load())) // what is not written any more
	c.mu.Unlock()
	c.input.drop()
	c.receiver.Closed(cause)
}

// next does the reading goroutine's next step, waiting for it; false when there is none left.
func (c *conn) next() bool {
	c.mu.Lock()
	for {
		switch {
		case c.state == closed, c.state == detached, c.state == finishing && !c.writing:
			c.mu.Unlock()
			return false
		case c.state == finishing, c.paused:
			c.changed.Wait()
		case c.again:
			c.again = false
			c.mu.Unlock()
			c.deliver()
			return true
		case c.ended && !c.told:
			c.told, c.turn = true, true
			c.mu.Unlock()
			c.receiver.Ended()
			c.endTurn()
			return true
		case c.ended:
			c.changed.Wait()
		default:
			c.mu.Unlock()
			c.read()
			return true
		}
	}
}

// read waits for bytes and delivers them.
func (c *conn) read() {
	room := c.input.room(c.opts.MaxBufferBytes)
	if room == nil {
		c.shed()
		return
	}
	n, err := c.nc.Read(room)
	if n > 0 {
		c.input.came(n)
		if c.input.worth() {
			c.deliver()
		}
		if len(c.input.unused()) > c.opts.MaxBufferBytes {
			c.Close(ErrBufferFull)
		}
		c.noticeIdleness()
	}
	switch {
	case err == nil:
	case err == io.EOF:
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.woken()
	default:
		c.Close(err)
	}
}

// deliver hands what is unused to the receiver, again as long as that leads on.
func (c *conn) deliver() {
	for len(c.input.unused()) > 0 && c.beginTurn() {
		used, need := c.receiver.Receive(c.input.unused())
		c.input.use(used, need)
		c.endTurn()
		if used == 0 || !c.input.worth() {
			return
		}
	}
}

// shed lets the receiver use up what it would rather have kept until more had come.
func (c *conn) shed() {
	if !c.beginTurn() {
		return
	}
	used := 0
	if s, ok := c.receiver.(Shedder); ok {
		used = s.Shed(c.input.unused())
		c.input.use(used, 0)
	}
	c.endTurn()
	if used == 0 {
		c.Close(ErrNoRoom)
	}
}

// beginTurn reports whether a callback may be made; endTurn writes what the callback sent.
func (c *conn) beginTurn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn = c.state == open && !c.paused
	return c.turn
}

func (c *conn) endTurn() {
	c.mu.Lock()
	c.turn = false
	c.flush()
	c.mu.Unlock()
}

// noticeIdleness sets a read deadline for a connection that holds a large chunk, unless there is one.
func (c *conn) noticeIdleness() {
	if c.input.small() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idling && c.state == open {
		c.idling = true
		_ = c.nc.SetReadDeadline(time.Now().Add(idleAfter))
	}
}

// woken follows a read that was interrupted (the state tells why) or that has met the deadline of noticeIdleness.
func (c *conn) woken() {
	c.mu.Lock()
	if c.state != open {
		c.mu.Unlock()
		return
	}
	c.idling = false
	_ = c.nc.SetReadDeadline(time.Time{})
	c.mu.Unlock()
	c.input.rest()
	c.noticeIdleness()
}

// leave closes a socket behind the last byte. linger says that bytes of the peer may wait unread.
func leave(nc net.Conn, linger bool) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok && linger && half.CloseWrite() == nil {
		_ = nc.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, nc, lingerBytes)
	}
	_ = nc.Close()
}
