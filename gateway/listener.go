package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/internal/keyring"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/wire"
)

// listenerPlan is one address where calls come in, as the config has it.
type listenerPlan struct {
	key            string // in the config
	address        string
	reusePort      bool
	own            bool     // it stands in the section of its one service
	all            bool     // it serves every service
	services       []string // labels
	fallback       string   // label of the service that gets bare names which fit several
	maxConnections int
	tls            *tlsPlan // nil: none
	users          users    // who may log in; nil: nobody is asked
	maxPerCaller   int
	stallTimeout   time.Duration
	where          strictyaml.Mistake // its place, without a text
}

// id is what a listener is known by across reloads and from one process to the next.
func (p *listenerPlan) id() string { return SocketID(p.key, p.address) }

// open is how the address is opened.
func (p *listenerPlan) open() func(context.Context, string) (net.Listener, error) {
	if p.reusePort {
		return netio.ListenShared
	}
	return netio.Listen
}

// names are what the service manager may call the listener's socket: its key, and the label where it is one service's own.
func (p *listenerPlan) names() []string {
	if p.own {
		return []string{p.key, p.services[0]}
	}
	return []string{p.key}
}

// listener is an open address. It outlives a reload that still names the address.
type listener struct {
	plan   atomic.Pointer[listenerPlan]
	gate   *Gate
	server *server.Server
	keys   atomic.Pointer[keyring.Source] // of TLS; nil: it is not spoken
	routes atomic.Pointer[routes]
	stop   context.CancelFunc
	done   chan struct{}
	began  listenerLimits
}

// listenerLimits are what a listener takes from the config when it is opened, and not again.
type listenerLimits struct {
	messageBytes   strictyaml.Bytes
	reusePort      bool
	maxConnections int
	maxPerCaller   int
	stallTimeout   time.Duration
}

// bind opens the addresses that are not open yet, and returns the sockets by the listener's id. On an error none stays open.
func (g *Gateway) bind(plans []listenerPlan, open map[string]*listener) (map[string]*Gate, error) {
	bound := map[string]*Gate{}
	var errs []error
	for _, p := range plans {
		if open[p.id()] != nil {
			continue
		}
		l, err := g.opts.Sockets.ListenBy(g.life, p.open(), p.id(), p.address, p.names()...)
		if err != nil {
			errs = append(errs, fmt.Errorf("listen %s: %w", p.address, err))
			continue
		}
		bound[p.id()] = l
	}
	if len(errs) > 0 {
		for _, l := range bound {
			_ = l.Close()
		}
		return nil, errors.Join(errs...)
	}
	return bound, nil
}

// serve points the listeners to their services, starts the new ones, and returns all by id.
func (g *Gateway) serve(plans []listenerPlan, bound map[string]*Gate, targets map[string]*target, was, st *state) map[string]*listener {
	listeners := map[string]*listener{}
	for _, p := range plans {
		var served []*target
		for _, label := range p.services {
			served = append(served, targets[label])
		}
		r := newRoutes(served, p.fallback, g.metrics.unrouted)
		l := was.listeners[p.id()]
		if l == nil {
			l = g.startListener(p, bound[p.id()], r, st)
		}
		l.plan.Store(&p)
		l.keys.Store(st.keys.source(p.tls))
		l.routes.Store(r)
		listeners[p.id()] = l
	}
	return listeners
}

// startListener accepts calls on a socket.
func (g *Gateway) startListener(p listenerPlan, socket *Gate, r *routes, st *state) *listener {
	ctx, cancel := context.WithCancel(g.life)
	l := &listener{gate: socket, stop: cancel, done: make(chan struct{})}
	l.began = listenerLimits{st.config.MaxMessageBytes, p.reusePort, p.maxConnections, p.maxPerCaller, p.stallTimeout}
	l.routes.Store(r)
	l.keys.Store(st.keys.source(p.tls))
	l.plan.Store(&p)
	l.server = server.New(server.Config{
		Limits:         wire.Limits{MessageBytes: int(st.config.MaxMessageBytes)},
		MaxConnections: p.maxConnections,
		MaxPerCaller:   p.maxPerCaller,
		StallTimeout:   p.stallTimeout,
		Budget:         g.budget,
		Engine:         g.engine,
		Route: func(head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
			return l.routes.Load().route(head, call)
		},
		OnMalformed: func(reason wire.Reason, err error) { g.malformed(p.address, reason, err) },
		Crash:       g.closesOnCrash,
	})
	greeted := netio.NewTLSListener(socket, netio.TLSOptions{
		Config: func() *tls.Config {
			if keys := l.keys.Load(); keys != nil {
				return keys.Server()
			}
			return nil
		},
		Users: func() func(netio.Credentials) bool { return l.plan.Load().users.asks() },
		OnFailure: func(from net.Addr, why netio.HandshakeFailure, err error) {
			g.handshakeFailed(p.address, from, why, err)
		},
	})
	go func() {
		defer close(l.done)
		if err := l.server.Serve(ctx, greeted); err != nil && ctx.Err() == nil {
			g.log.Error("listener ended", "address", p.address, "error", err)
		}
	}()
	return l
}

// retire drains a listener that the config does not name any more, then closes what is left of it.
func (l *listener) retire(life context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(life, limit)
	defer cancel()
	_ = l.server.Drain(ctx)
	l.close()
}

// close ends the listener and all of its connections.
func (l *listener) close() {
	l.stop()
	<-l.done
}

// closesOnCrash reports whether the caller's connection is closed, as ThriftPy does it, where the handler of the call ended without a
// reply.
func (g *Gateway) closesOnCrash(call *rpc.Call) bool {
	return g.current.Load().plans[call.Service].closeOnCrash
}

// Addresses returns where calls come in, sorted, as bound: with the port where the config names port 0.
func (g *Gateway) Addresses() []string {
	var all []string
	for _, l := range g.current.Load().listeners {
		all = append(all, l.address())
	}
	slices.Sort(all)
	return all
}

func (l *listener) address() string {
	at := l.gate.Addr()
	if at.Network() == "unix" {
		return "unix:" + at.String()
	}
	return at.String()
}
