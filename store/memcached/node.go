package memcached

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// How long a node that does not answer is left out. The longest is short: while one gateway asks a node and another one does not, they do not
// see each other's purges.
const (
	firstPause   = time.Second
	longestPause = 10 * time.Second
)

// life is that of a Store: what it has started, and when that has to end.
type life struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	ended  bool
	all    sync.WaitGroup
}

// start runs f, unless the life has ended.
func (l *life) start(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.all.Go(f)
	return true
}

// end ends it, and waits for all that was started.
func (l *life) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.cancel()
	l.all.Wait()
}

// node is one server: a few connections, made when they are needed. When it does not answer it is out: it is not asked, but tried again now and
// then, after a pause that doubles. Safe for concurrent use.
type node struct {
	server
	epochKey string // of the item that has the epoch of what is kept for it
	config   Config
	life     *life
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	// back is told that the node answers again, before it can be out again, and returns what is to be done then.
	back func() (after func(ctx context.Context))

	next  atomic.Uint32
	links []link
	out   atomic.Bool

	mu    sync.Mutex // of what follows
	since time.Time  // when it was found to be out, or back
	pause time.Duration
	err   error // why it is out
}

// link is the place of one connection.
type link struct {
	mu   sync.Mutex
	conn *conn
	made chan struct{} // not nil while a connection is made; closed after that
	err  error         // why the last one was not
}

var errClosed = errors.New("the store is closed")

// connection returns one of the node's connections, a new one where there is none. Making it goes on when ctx ends.
func (n *node) connection(ctx context.Context) (*conn, error) {
	l := &n.links[n.next.Add(1)%uint32(len(n.links))]
	l.mu.Lock()
	if c := l.conn; c != nil {
		l.mu.Unlock()
		return c, nil
	}
	if l.made == nil {
		made := make(chan struct{})
		if !n.life.start(func() { n.make(l); close(made) }) {
			l.mu.Unlock()
			return nil, errClosed
		}
		l.made = made
	}
	made := l.made
	l.mu.Unlock()
	select {
	case <-made:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil, l.err
	}
	return l.conn, nil
}

// make makes the connection of a link, and leaves the node out where that fails.
func (n *node) make(l *link) {
	c, err := n.connect(n.life.ctx)
	if err == nil {
		c.ending = func(err error) { n.ended(l, c, err) }
	} else {
		n.leaveOut(err)
	}
	l.mu.Lock()
	l.conn, l.err, l.made = c, err, nil
	l.mu.Unlock()
	if err == nil && !n.life.start(func() { n.run(c) }) {
		c.close(errClosed)
	}
}

func (n *node) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.config.DialTimeout)
	defer cancel()
	raw, err := n.dial(ctx, n.Network, n.Address)
	if err != nil {
		return nil, err
	}
	return newConn(raw, n.config.Timeout), nil
}

// run runs a connection until it or the store ends.
func (n *node) run(c *conn) {
	stop := context.AfterFunc(n.life.ctx, func() { c.close(errClosed) })
	defer stop()
	c.run()
}

// ended takes in that a connection has ended, before those who wait on it ask again. One that was closed after it had answered is made anew: the
// server may have been started anew. After any other end the node is left out.
func (n *node) ended(l *link, c *conn, err error) {
	l.mu.Lock()
	if l.conn == c {
		l.conn, l.err = nil, err
	}
	l.mu.Unlock()
	if !c.used.Load() || !closedByPeer(err) {
		n.leaveOut(err)
	}
}

// closedByPeer reports whether a connection has ended as it does when a server ends, and not by silence or by what was answered.
func closedByPeer(err error) bool {
	var silent errSilent
	for _, broken := range []error{errStream, errForeign, errLine, errLength} {
		if errors.Is(err, broken) {
			return false
		}
	}
	return !errors.As(err, &silent)
}

// leaveOut stops asking the node, ends what waits for it, and begins to try it again.
func (n *node) leaveOut(err error) {
	n.mu.Lock()
	if n.out.Load() || n.life.ctx.Err() != nil {
		n.mu.Unlock()
		return
	}
	now := time.Now()
	if n.pause == 0 || now.Sub(n.since) > longestPause { // it was back for long enough to begin anew
		n.pause = firstPause
	}
	n.since, n.err = now, err
	n.out.Store(true)
	n.mu.Unlock()
	n.life.start(n.try)
	for i := range n.links {
		l := &n.links[i]
		l.mu.Lock()
		c := l.conn
		l.mu.Unlock()
		if c != nil {
			c.close(err)
		}
	}
}

// try asks the node until it answers.
func (n *node) try() {
	for {
		n.mu.Lock()
		pause := n.pause
		n.pause = min(2*pause, longestPause)
		n.mu.Unlock()
		select {
		case <-time.After(pause - rand.N(pause/4)): // gateways do not come all at once
		case <-n.life.ctx.Done():
			return
		}
		err := n.probe()
		n.mu.Lock()
		if n.err = err; err != nil {
			n.mu.Unlock()
			continue
		}
		n.since = time.Now()
		n.out.Store(false)
		after := n.back()
		n.mu.Unlock()
		ctx, cancel := context.WithTimeout(n.life.ctx, maxTries*n.config.Timeout)
		defer cancel()
		after(ctx)
		return
	}
}

// probe asks for nothing (mn), on a connection of its own.
func (n *node) probe() error {
	c, err := n.connect(n.life.ctx)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	running.Go(func() { n.run(c) })
	defer running.Wait()
	defer func() { c.close(errClosed) }()
	r := newRequest(1)
	r.bytes = []byte("mn\r\n")
	if err := c.send(n.life.ctx, r); err != nil {
		return err
	}
	return c.wait(n.life.ctx, r)
}

// do sends a request, and returns the function that waits for its replies.
func (n *node) do(ctx context.Context, r *request) (wait func() error, err error) {
	c, err := n.connection(ctx)
	if err == nil {
		err = c.send(ctx, r)
	}
	if err != nil {
		return nil, n.fault(err)
	}
	return func() error { return n.fault(c.wait(ctx, r)) }, nil
}

func (n *node) fault(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("memcached %s: %w", n.Name(), err)
}

// NodeSnapshot is one server as a gateway sees it.
type NodeSnapshot struct {
	Address     string
	Connections int
	Out         bool      // it is not asked for the time being
	Since       time.Time // … from then on; or it is back since then; zero: it was never out
	Err         string    // why it is out
}

func (n *node) snapshot() NodeSnapshot {
	n.mu.Lock()
	out := NodeSnapshot{Address: n.Name(), Out: n.out.Load(), Since: n.since}
	if out.Out && n.err != nil {
		out.Err = n.err.Error()
	}
	n.mu.Unlock()
	for i := range n.links {
		n.links[i].mu.Lock()
		if n.links[i].conn != nil {
			out.Connections++
		}
		n.links[i].mu.Unlock()
	}
	return out
}
