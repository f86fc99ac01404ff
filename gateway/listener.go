package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/wire"
)

// listenerPlan is one address where calls come in, as the config has it.
type listenerPlan struct {
	key            string // in the config
	address        string
	own            bool     // it stands in the section of its one service
	all            bool     // it serves every service
	services       []string // labels
	fallback       string   // label of the service that gets bare names which fit several
	maxConnections int
}

// id is what a listener is known by across reloads: its address, or its place in the config where the system chooses the port.
func (p *listenerPlan) id() string {
	if strings.HasSuffix(p.address, ":0") {
		return p.key
	}
	return p.address
}

// listener is an open address. It outlives a reload that still names the address.
type listener struct {
	plan   atomic.Pointer[listenerPlan]
	bound  net.Addr
	server *server.Server
	routes atomic.Pointer[routes]
	stop   context.CancelFunc
	done   chan struct{}
}

// bind opens the addresses that are not open yet, and returns the sockets by the listener's id. On an error none stays open.
func (g *Gateway) bind(plans []listenerPlan, open map[string]*listener) (map[string]net.Listener, error) {
	bound := map[string]net.Listener{}
	var errs []error
	for _, p := range plans {
		if open[p.id()] != nil {
			continue
		}
		l, err := netio.Listen(g.life, p.address)
		if err != nil {
			errs = append(errs, fmt.Errorf("listen %s: %w", p.address, err))
			continue
		}
		bound[p.id()] = l
	}
	if len(errs) > 0 {
		for _, l := range bound {
			l.Close()
		}
		return nil, errors.Join(errs...)
	}
	return bound, nil
}

// serve points the listeners to their services, starts the new ones, and returns all by id.
func (g *Gateway) serve(plans []listenerPlan, bound map[string]net.Listener, targets map[string]*target, was, st *state) map[string]*listener {
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
		l.routes.Store(r)
		listeners[p.id()] = l
	}
	return listeners
}

// startListener accepts calls on a socket.
func (g *Gateway) startListener(p listenerPlan, socket net.Listener, r *routes, st *state) *listener {
	ctx, cancel := context.WithCancel(g.life)
	l := &listener{bound: socket.Addr(), stop: cancel, done: make(chan struct{})}
	l.routes.Store(r)
	l.server = server.New(server.Config{
		Limits:         wire.Limits{MessageBytes: int(st.config.MaxMessageBytes)},
		MaxConnections: p.maxConnections,
		Budget:         g.budget,
		Engine:         g.engine,
		Route: func(head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
			return l.routes.Load().route(head, call)
		},
		OnMalformed: g.metrics.malformed,
		Crash:       g.closesOnCrash,
	})
	go func() {
		defer close(l.done)
		if err := l.server.Serve(ctx, socket); err != nil && ctx.Err() == nil {
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
	if l.bound.Network() == "unix" {
		return "unix:" + l.bound.String()
	}
	return l.bound.String()
}
