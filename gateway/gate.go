package gateway

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/gateway/handover"
)

// Gate is a listening socket that can be shut for a while: connections then wait in the system's queue, where another process that has
// the same socket can take them. Safe for concurrent use.
type Gate struct {
	net.Listener
	// keep says that a unix socket's file is the service manager's, and is never removed.
	keep bool
	once sync.Once
	gone chan struct{} // closed by Close
	let  atomic.Int64  // connections that were let in

	mu     sync.Mutex
	open   chan struct{} // closed while the gate is open
	parked chan struct{} // closed when whoever accepts has come to the shut gate; nil while nobody ever accepts
}

// newGate returns a gate that is open.
func newGate(l net.Listener) *Gate {
	g := &Gate{Listener: l, gone: make(chan struct{}), open: make(chan struct{})}
	close(g.open)
	return g
}

// Accept waits until the gate is open and somebody comes.
func (g *Gate) Accept() (net.Conn, error) {
	for {
		open := g.arrive()
		select {
		case <-open:
		case <-g.gone:
			return nil, net.ErrClosed
		}
		c, err := g.Listener.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) { // that of Shut
			continue
		}
		if err == nil {
			g.let.Add(1)
		}
		return c, err
	}
}

// arrive returns what is closed while the gate is open, and tells Shut where it is not.
func (g *Gate) arrive() (open chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		g.parked = make(chan struct{})
	default:
		if g.parked != nil && !closed(g.parked) {
			close(g.parked)
		}
	}
	return g.open
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// shutTime bounds how long Shut waits for one that is accepting: it may be short of descriptors, or hold as many connections as it may.
const shutTime = time.Second

// Shut stops accepting. When it returns, whoever accepts has done what it does with the last connection, and waits at the gate.
func (g *Gate) Shut() {
	g.mu.Lock()
	if closed(g.open) {
		g.open = make(chan struct{})
		g.deadline(time.Unix(1, 0))
	}
	parked := g.parked
	g.mu.Unlock()
	if parked == nil {
		return
	}
	select {
	case <-parked:
	case <-g.gone:
	case <-time.After(shutTime):
	}
}

// Open ends Shut.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !closed(g.open) {
		g.deadline(time.Time{})
		close(g.open)
	}
}

func (g *Gate) deadline(t time.Time) {
	if l, ok := g.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = l.SetDeadline(t) // fails on a closed socket only
	}
}

// Close closes this process's socket.
func (g *Gate) Close() error {
	g.once.Do(func() { close(g.gone) })
	return g.Listener.Close()
}

// Own says whether a unix socket's file is removed when the gate is closed: by the process that serves last, and by one only.
func (g *Gate) Own(own bool) {
	if u, ok := g.Listener.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(own && !g.keep)
	}
}

// Item is the gate as another process takes it over.
func (g *Gate) Item(id string) (handover.Listener, bool) {
	f, ok := g.Listener.(handover.File)
	return handover.Listener{ID: id, Keep: g.keep, Socket: f}, ok
}
