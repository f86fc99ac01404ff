package netio

import (
	"context"
	"net"
	"sync"
)

// portable is the engine over std net: one reading goroutine a connection, and a writing one only while a peer does not keep up.
type portable struct {
	mu      sync.Mutex
	conns   map[*conn]struct{}
	stopped bool
	running sync.WaitGroup // the goroutines of all connections
}

// NewPortable returns an engine for any operating system and any net.Conn.
//
// Connections live as soon as they are started; Run is what ends them. Bytes wait in chunks of 2 KiB, on busy connections of up to
// 64 KiB, which are let go of after a few idle seconds.
func NewPortable() Engine { return &portable{conns: map[*conn]struct{}{}} }

// Start implements Engine. On an engine whose Run has ended, the connection is closed with ErrClosed right away.
func (e *portable) Start(nc net.Conn, opts Options, attach func(Conn) Receiver) Conn {
	c := newConn(e, nc, opts.withDefaults())
	e.mu.Lock()
	stopped := e.stopped
	if !stopped {
		e.conns[c] = struct{}{}
		e.running.Add(1)
	}
	e.mu.Unlock()
	if stopped {
		c.Close(ErrClosed)
		c.receiver = attach(c)
		go c.run()
		return c
	}
	c.receiver = attach(c)
	go func() {
		defer e.running.Done()
		c.run()
		e.mu.Lock()
		delete(e.conns, c)
		e.mu.Unlock()
	}()
	return c
}

// Run implements Engine. It returns nil when ctx has ended, every connection is closed with ErrClosed and every goroutine has ended.
func (e *portable) Run(ctx context.Context) error {
	<-ctx.Done()
	e.mu.Lock()
	e.stopped = true
	conns := make([]*conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	for _, c := range conns {
		c.Close(ErrClosed)
	}
	e.running.Wait()
	return nil
}

// The defaults of Options.
const (
	defaultMaxQueuedBytes = 64 << 20
	defaultMaxBufferBytes = 17_000_000
)

func (o Options) withDefaults() Options {
	if o.MaxQueuedBytes == 0 {
		o.MaxQueuedBytes = defaultMaxQueuedBytes
	}
	if o.MaxBufferBytes == 0 {
		o.MaxBufferBytes = defaultMaxBufferBytes
	}
	return o
}
