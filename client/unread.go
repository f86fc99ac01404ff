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

// resetWithin is how long a reset may be behind the end that it follows: a server that ends its connection between two calls, as
// gunicorn's do when they are replaced, meets the next request half a round trip later. Who waits for a handler that has failed waits so
// much longer to hear of it.
const resetWithin = 10 * time.Millisecond

// Ended closes: a peer that sends no more bytes answers no more calls. Where a call waits for its answer, whether the peer has read the
// request is asked first, and once more a little later.
func (r *receiver) Ended() {
	c := (*Conn)(r)
	c.mu.Lock()
	waits := c.state == calling && !c.replied && !c.partial
	c.mu.Unlock()
	switch {
	case !waits || !netio.TellsReset(c.net):
		c.net.Close(io.EOF)
	case netio.ResetAfterEnd(c.net):
		c.net.Close(errUnread)
	default:
		time.AfterFunc(resetWithin, func() {
			if netio.ResetAfterEnd(c.net) {
				c.net.Close(errUnread)
			}
			c.net.Close(io.EOF) // has no effect on one that is closed
		})
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
