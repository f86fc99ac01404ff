package client

import (
	"errors"
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom/netio"
)

// errUnread is the cause of a close where the peer had closed before it had read the request.
var errUnread = errors.New("the peer closed before it had read the request")

// A server that ends its connection between two calls, as gunicorn's do when they are replaced, meets the next request half a round trip
// later; and who shuts a socket down before it closes it, as ThriftPy does, may be interrupted between the two.
const (
	// lookAgain is when to look again. Who waits for a handler that has failed waits so much longer to hear of it, where that was on a TCP
	// connection that had served before.
	lookAgain = 20 * time.Millisecond
	// unixLooks is how often to look where bytes are known to lie unread.
	unixLooks = 25
)

// Ended closes: a peer that sends no more bytes answers no more calls. Where a call waits for its answer, whether the peer has read the
// request is asked first.
func (r *receiver) Ended() {
	c := (*Conn)(r)
	if shared := c.shared.Load(); shared != nil {
		shared.ended()
		return
	}
	c.mu.Lock()
	waits, reused := c.state == calling && !c.replied && !c.partial, c.calls > 1
	c.mu.Unlock()
	switch {
	case !waits:
		c.net.Close(io.EOF)
	case c.net.RemoteAddr().Network() == "unix":
		c.closeEnded(unixLooks)
	case reused: // nobody ends a connection behind its first call before that has come
		c.closeEnded(1)
	default:
		c.closeEnded(0)
	}
}

// closeEnded closes a connection whose peer has ended it, after so many looks at most.
func (c *Conn) closeEnded(looks int) {
	switch fate := netio.AfterEnd(c.net); {
	case fate == netio.Unread:
		c.net.Close(errUnread)
	case fate == netio.Unsettled && looks > 0:
		time.AfterFunc(lookAgain, func() { c.closeEnded(looks - 1) })
	default:
		c.net.Close(io.EOF)
	}
}

// unread reports whether the peer closed before it had read the whole request, so that no handler can have begun.
//
// Of a unix socket Linux says so: ECONNRESET is what a close leaves behind that finds unread bytes, or a connection that was never
// accepted, and nothing else. A server that dies is seen so by the calls that reach it meanwhile. TCP resets for other reasons too, but
// not behind an end.
func (c *Conn) unread(cause error) bool {
	if errors.Is(cause, errUnread) {
		return true
	}
	return runtime.GOOS == "linux" && c.net.RemoteAddr().Network() == "unix" && errors.Is(cause, syscall.ECONNRESET)
}
