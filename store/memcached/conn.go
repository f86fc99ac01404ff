package memcached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of a connection.
const (
	maxInFlight  = 256      // requests that wait to be written or for their replies
	largeBytes   = 64 << 10 // a request with more …
	maxLarge     = 4        // … is one of no more than that in flight
	writeBuffer  = 32 << 10
	readBuffer   = 16 << 10
	maxOfRequest = 256 // commands
)

// request is commands that go to one node together.
type request struct {
	bytes   []byte // the request's own
	large   bool   // more than largeBytes; set by send
	opaque  uint64 // of the first command; the next have the next numbers
	replies []reply
	done    chan struct{} // closed once all replies are there
}

// opaques are given out in steps of a whole request.
var opaques atomic.Uint64

func newRequest(commands int) *request {
	return &request{opaque: opaques.Add(maxOfRequest), replies: make([]reply, 0, commands), done: make(chan struct{})}
}

// conn is a connection that many share: what they ask for is written in the order in which it comes, as much as there is with one flush, and
// answered in that order. It ends with the first byte that is not as it should be, when an answer takes too long, or with close. Safe for
// concurrent use.
type conn struct {
	raw     net.Conn
	timeout time.Duration
	slots   chan struct{} // taken by each request until its replies are read
	large   chan struct{} // … and by large ones
	queue   chan *request // to be written
	waiting chan *request // written, in their order
	used    atomic.Bool   // it has answered
	ending  func(error)   // told why, before those who wait are; nil: nobody. Set before run

	ended   chan struct{}
	endOnce sync.Once
	err     error // why; set before ended is closed
}

// newConn takes over raw. run has to be called.
func newConn(raw net.Conn, timeout time.Duration) *conn {
	return &conn{
		raw: raw, timeout: timeout,
		slots: make(chan struct{}, maxInFlight), large: make(chan struct{}, maxLarge),
		queue: make(chan *request, maxInFlight), waiting: make(chan *request, maxInFlight),
		ended: make(chan struct{}),
	}
}

// run works until the connection has ended.
func (c *conn) run() {
	var writer sync.WaitGroup
	writer.Go(func() { c.close(c.write()) })
	c.close(c.read())
	writer.Wait()
}

// close ends the connection; those who wait are given err.
func (c *conn) close(err error) {
	c.endOnce.Do(func() {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errSilent{c.timeout}
		}
		c.err = err
		if c.ending != nil {
			c.ending(err)
		}
		close(c.ended)
		_ = c.raw.Close()
	})
}

// errSilent is of a node that takes longer than it may.
type errSilent struct{ timeout time.Duration }

func (e errSilent) Error() string { return fmt.Sprintf("no answer within %v", e.timeout) }

// send hands a request over to be written; an error says that it is not. Its replies are there once wait returns nil.
func (c *conn) send(ctx context.Context, r *request) error {
	if r.large = len(r.bytes) > largeBytes; r.large {
		if err := c.enter(ctx, c.large); err != nil {
			return err
		}
	}
	if err := c.enter(ctx, c.slots); err != nil {
		if r.large {
			<-c.large
		}
		return err
	}
	c.queue <- r // there is room for all that have a slot
	return nil
}

// enter waits for room.
func (c *conn) enter(ctx context.Context, room chan struct{}) error {
	select {
	case room <- struct{}{}:
		return nil
	case <-c.ended:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait waits for the replies of a request that was sent. Who gives up leaves it to the connection, which reads what comes.
func (c *conn) wait(ctx context.Context, r *request) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended:
	}
	select {
	case <-r.done: // the last one before the end
		return nil
	default:
		return c.err
	}
}

// write writes what is queued, and flushes when there is no more.
func (c *conn) write() error {
	w := bufio.NewWriterSize(patient{c.raw, c.timeout}, writeBuffer)
	for {
		var r *request
		select {
		case r = <-c.queue:
		default:
			runtime.Gosched() // others may be about to ask too
			select {
			case r = <-c.queue:
			default:
				if err := w.Flush(); err != nil {
					return err
				}
				select {
				case r = <-c.queue:
				case <-c.ended:
					return c.err
				}
			}
		}
		c.waiting <- r // before its reply can come; there is room for all that have a slot
		if _, err := w.Write(r.bytes); err != nil {
			return err
		}
		r.bytes = nil
	}
}

// patient writes with a bound on how long the other end may take none of it.
type patient struct {
	net.Conn
	timeout time.Duration
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// read reads the replies to what was written, in order. Nothing is read while nothing is due.
func (c *conn) read() error {
	r := bufio.NewReaderSize(c.raw, readBuffer)
	for {
		select {
		case q := <-c.waiting:
			if err := c.readAll(r, q); err != nil {
				return err
			}
		case <-c.ended:
			return c.err
		}
	}
}

// readAll reads the replies to one request.
func (c *conn) readAll(r *bufio.Reader, q *request) error {
	if err := c.raw.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	for i := range cap(q.replies) {
		one, err := readReply(r, q.opaque+uint64(i))
		if err != nil {
			return err
		}
		q.replies = append(q.replies, one)
	}
	c.used.Store(true)
	if q.large {
		<-c.large
	}
	<-c.slots
	close(q.done)
	return nil
}
