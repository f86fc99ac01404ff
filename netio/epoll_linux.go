package netio

import (
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// epoll is the engine over Linux's epoll: a few loops that each read all connections that are ready, let the calls that came run, and then
// write what they sent, once a connection.
type epoll struct {
	others *portable // drives what is no socket: TLS, connections in memory
	loops  []*loop
	next   atomic.Uint32 // counts connections: each goes to the next loop

	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup // connections, and goroutines of theirs
}

// NewEpoll returns an engine for Linux with so many loops, 0 for one a processor. Where the kernel has no room for a loop the error says
// so. Connections that are no sockets are driven as NewPortable does. Close or Run ends it.
//
// A connection at rest costs no buffer: bytes are read into chunks of 64 KiB that its loop's connections share.
func NewEpoll(loops int) (Engine, error) {
	if loops == 0 {
		loops = (runtime.GOMAXPROCS(0) + 1) / 2
	}
	e := &epoll{others: NewPortable().(*portable)}
	for range loops {
		l, err := newLoop()
		if err != nil {
			for _, l := range e.loops {
				l.release()
			}
			return nil, err
		}
		e.loops = append(e.loops, l)
	}
	return e, nil
}

// Start implements Engine.
func (e *epoll) Start(nc net.Conn, opts Options, attach func(Conn) Receiver) Conn {
	fd := -1
	if raw := rawConn(nc); raw != nil && e.hold() {
		_ = raw.Control(func(own uintptr) { fd, _ = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
		if fd < 0 {
			e.running.Done()
		}
	}
	if fd < 0 { // no socket, no descriptor left, or too late
		return e.others.Start(nc, opts, attach)
	}
	l := e.loops[int(e.next.Add(1))%len(e.loops)]
	c := newSocket(e, l, nc, fd, opts.withDefaults())
	c.receiver = attach(c)
	_ = nc.Close() // ours is the socket that stays; this one would be watched by the runtime too
	l.add(c)
	return c
}

// hold counts a connection, unless the engine has ended.
func (e *epoll) hold() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stopped {
		e.running.Add(1)
	}
	return !e.stopped
}

// Run implements Engine. It returns nil when ctx has ended, every connection is closed with ErrClosed and every goroutine has ended.
func (e *epoll) Run(ctx context.Context) error {
	<-ctx.Done()
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	err := e.others.Run(ctx)
	for _, l := range e.loops {
		for _, c := range l.all() {
			c.stop()
		}
	}
	e.running.Wait()
	for _, l := range e.loops {
		l.stop()
	}
	return err
}
