// Package memnet is a network in memory for tests: it works inside testing/synctest bubbles and breaks on demand.
//
// Whoever waits here waits on a condition or a channel, so a bubble's clock goes on. Make the Network inside the bubble.
package memnet

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// backlog bounds the connections that wait to be accepted where the Network says nothing, as a kernel does.
const backlog = 128

// Network is a set of listeners by address. Addresses are any text; those that end in ":0" are given a port of their own.
// Safe for concurrent use.
type Network struct {
	// OnConn, if set, is called with both ends of a new connection before either is handed out: the place to set faults.
	OnConn func(client, server *Conn)
	// Backlog bounds the connections to one address that wait to be accepted. Zero: 128. Listeners made before keep theirs.
	Backlog int

	mu        sync.Mutex
	listeners map[string]*listener
	troubles  map[string]Trouble
	port      int
}

// Trouble is what becomes of those who connect to an address. The zero value is none.
type Trouble struct {
	// Refuse fails a dial with ECONNREFUSED though somebody listens.
	Refuse bool
	// Blackhole leaves a dial without an answer until its context ends, as a firewall that drops SYNs does.
	Blackhole bool
	// Reset accepts a connection and resets it at once; the listener does not see it.
	Reset bool
}

// New returns an empty network.
func New() *Network {
	return &Network{listeners: map[string]*listener{}, troubles: map[string]Trouble{}, port: 40000}
}

// SetTrouble sets what becomes of those who connect to address from now on. Connections that are there stay.
func (n *Network) SetTrouble(address string, t Trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.troubles[address] = t
}

// Listen opens address. It fails where somebody listens there already. Closing the listener frees the address.
func (n *Network) Listen(address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if host, ok := strings.CutSuffix(address, ":0"); ok {
		n.port++
		address = fmt.Sprintf("%s:%d", host, n.port)
	}
	if n.listeners[address] != nil {
		return nil, opError("listen", Addr(address), syscall.EADDRINUSE)
	}
	bound := n.Backlog
	if bound == 0 {
		bound = backlog
	}
	l := &listener{network: n, addr: Addr(address), queue: make(chan *Conn, bound), done: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

// Dial connects to address: ECONNREFUSED where nobody listens. It waits, within ctx, while the listener's backlog is full.
func (n *Network) Dial(ctx context.Context, address string) (net.Conn, error) {
	return n.DialFrom(ctx, "127.0.0.1", address)
}

// DialFrom is Dial by a host of that address.
func (n *Network) DialFrom(ctx context.Context, host, address string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", Addr(address), err)
	}
	n.mu.Lock()
	l, trouble := n.listeners[address], n.troubles[address]
	n.port++
	local := Addr(net.JoinHostPort(host, strconv.Itoa(n.port)))
	n.mu.Unlock()
	if trouble.Blackhole {
		<-ctx.Done()
		return nil, opError("dial", Addr(address), ctx.Err())
	}
	if l == nil || trouble.Refuse {
		return nil, opError("dial", Addr(address), syscall.ECONNREFUSED)
	}
	client, server := pipe(local, l.addr)
	if trouble.Reset {
		server.Reset()
		return client, nil
	}
	if n.OnConn != nil {
		n.OnConn(client, server)
	}
	if err := l.offer(ctx, server); err != nil {
		return nil, opError("dial", l.addr, err)
	}
	return client, nil
}

// Pipe returns the two ends of a connection that no listener was needed for.
func Pipe() (client, server *Conn) { return pipe("127.0.0.1:1", "127.0.0.1:2") }

// Addr is an address of a Network.
type Addr string

// Network returns "mem", and "unix" for an address that begins with "unix:".
func (a Addr) Network() string {
	if strings.HasPrefix(string(a), "unix:") {
		return "unix"
	}
	return "mem"
}

// String returns the address.
func (a Addr) String() string { return string(a) }

type listener struct {
	network *Network
	addr    Addr
	queue   chan *Conn
	done    chan struct{}

	mu     sync.Mutex // orders offers against Close, so that no connection is left in a closed queue
	closed bool
}

// offer queues c to be accepted.
func (l *listener) offer(ctx context.Context, c *Conn) error {
	select {
	case l.queue <- c:
	case <-l.done:
		return syscall.ECONNREFUSED
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.resetQueued()
	}
	return nil
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, opError("accept", l.addr, net.ErrClosed)
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, opError("accept", l.addr, net.ErrClosed)
	}
}

// Close frees the address and resets the connections that were not accepted.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return opError("close", l.addr, net.ErrClosed)
	}
	l.closed = true
	close(l.done)
	l.network.mu.Lock()
	delete(l.network.listeners, string(l.addr))
	l.network.mu.Unlock()
	l.resetQueued()
	return nil
}

func (l *listener) resetQueued() {
	for {
		select {
		case c := <-l.queue:
			c.Reset()
		default:
			return
		}
	}
}

// Addr returns the address, with the port that was given for ":0".
func (l *listener) Addr() net.Addr { return l.addr }

func opError(op string, addr net.Addr, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: addr.Network(), Addr: addr, Err: err}
}
