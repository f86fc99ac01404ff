package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	maxConnections = 256             // of one listener: people, probes and scrapers are few
	closeTime      = 2 * time.Second // that answers under way may take at the end
)

// Serve answers on l until ctx ends, then closes l and returns when the answers under way are written, or after 2 s. An error says why it
// ended before that. secure is the TLS that is spoken; nil: none. Handshakes that fail are not logged: whoever reaches the port can make
// any number of them fail.
func Serve(ctx context.Context, l net.Listener, secure *tls.Config, h http.Handler) error {
	server := &http.Server{
		ErrorLog:          log.New(io.Discard, "", 0),
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      maxChangeTime + 10*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	l = newLimited(l, maxConnections)
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // the listener is closed already, and nobody waits for the connections
	}
	_ = <-failed // ended by us
	return nil
}

// limited is a listener with a bound on its open connections: past it, new ones wait in the kernel's queue.
type limited struct {
	net.Listener
	free   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newLimited(l net.Listener, n int) *limited {
	return &limited{Listener: l, free: make(chan struct{}, n), closed: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, listener: l}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	listener *limited
	once     sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.listener.free })
	return err
}
