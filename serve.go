package thriftloom

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/thriftloom/thriftloom/bind"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/wire"
)

// Server serves one service, or several that Add adds. The zero values of its fields are the defaults named; do not change them once it
// serves.
type Server struct {
	// Service is the one that gets calls without a service's name of methods that no service has, or several.
	Service *Service
	Handler rpc.Handler
	// MaxConnections bounds callers' connections. Default 10,000.
	MaxConnections int
	// MaxMessageBytes bounds one message, in bytes. Default 16,384,000.
	MaxMessageBytes int
	// MaxBufferedBytes bounds the requests and replies that the server holds at one time, in bytes; past it they are refused with
	// RESOURCE_EXHAUSTED. Default 256 MiB, or four times MaxMessageBytes where that is more.
	MaxBufferedBytes int
	// DrainTimeout bounds how long calls in flight are waited for when the context of Serve ends. Default 10s.
	DrainTimeout time.Duration
	// TLS ends TLS at the listener; a handler finds in call.Caller what a certificate says that it asked for. nil: none.
	TLS *tls.Config

	more []part
}

// NewServer returns a server whose calls the methods of impl answer, matched by name:
//
//	GetUser(ctx context.Context, id int64) (*User, error)
//
// Declared exceptions are returned as errors whose Go type has the exception's name. The error lists every mismatch.
func NewServer(svc *Service, impl any, opts ...Option) (*Server, error) {
	if svc == nil {
		return nil, errNoService
	}
	h, err := bind.Server(svc, impl, opts...)
	if err != nil {
		return nil, err
	}
	return &Server{Service: svc, Handler: h}, nil
}

var errNoService = errors.New("thriftloom: the service is nil: is its name in the IDL?")

// Serve answers calls of svc at address ("host:port" or "unix:/path") by the methods of impl until ctx ends; then it answers what it has
// read and returns nil. Transports and protocols are told apart for each connection.
func Serve(ctx context.Context, address string, svc *Service, impl any, opts ...Option) error {
	s, err := NewServer(svc, impl, opts...)
	if err != nil {
		return err
	}
	l, err := netio.Listen(ctx, address)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l)
}

// Serve answers calls that come in on l until ctx ends, then drains. It closes l. The error is the listener's, or says that calls were
// cut short.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	engine := netio.NewPortable()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	srv := server.New(server.Config{
		Limits: wire.Limits{MessageBytes: s.MaxMessageBytes}, MaxConnections: s.MaxConnections, Engine: engine, Route: s.router(),
		Budget: s.budget(),
	})
	engineDone, served := make(chan error, 1), make(chan error, 1)
	if s.TLS != nil {
		l = netio.NewTLSListener(l, netio.TLSOptions{Config: func() *tls.Config { return s.TLS }})
	}
	go func() { engineDone <- engine.Run(life) }()
	go func() { served <- srv.Serve(life, l) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		timeout := s.DrainTimeout
		if timeout == 0 {
			timeout = 10 * time.Second
		}
		drain, cancel := context.WithTimeout(life, timeout)
		if srv.Drain(drain) != nil {
			err = errors.New("thriftloom: calls were cut short at the end of the drain timeout")
		}
		cancel()
		end()
		_ = <-served // ended by us
	}
	end()
	_ = <-engineDone
	return err
}

func (s *Server) budget() *netio.Budget {
	if s.MaxBufferedBytes > 0 {
		return netio.NewBudget(int64(s.MaxBufferedBytes))
	}
	return netio.NewBudget(int64(max(256<<20, 4*s.MaxMessageBytes)))
}
