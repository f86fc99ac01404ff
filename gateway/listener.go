package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/wire"
)

// listenerPlan is one address where calls come in, as the config has it.
type listenerPlan struct {
	key            string // in the config
	address        string
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
	plan   listenerPlan
	bound  net.Addr
	server *server.Server
	routes atomic.Pointer[routes]
	stop   context.CancelFunc
	done   chan struct{}
}

// bind opens the addresses that are not open yet. On an error none stays open.
func (g *Gateway) bind(plans []listenerPlan) (map[string]net.Listener, error) {
	bound := map[string]net.Listener{}
	var errs []error
	for _, p := range plans {
		if g.listeners[p.id()] != nil {
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

// serve points the listeners to their services, starts the new ones, and drains those that the config does not name any more.
func (g *Gateway) serve(plans []listenerPlan, bound map[string]net.Listener, targets map[string]*target, st *state) {
	wanted := map[string]bool{}
	for _, p := range plans {
		wanted[p.id()] = true
		l := g.listeners[p.id()]
		if l == nil {
			l = g.startListener(p, bound[p.id()], st)
			g.listeners[p.id()] = l
		}
		l.plan = p
		var served []*target
		for _, label := range p.services {
			served = append(served, targets[label])
		}
		l.routes.Store(newRoutes(served, p.fallback, g.metrics.unrouted))
	}
	for id, l := range g.listeners {
		if wanted[id] {
			continue
		}
		delete(g.listeners, id)
		g.halting.Go(func() {
			ctx, cancel := context.WithTimeout(g.life, st.config.Drain.Timeout)
			defer cancel()
			_ = l.server.Drain(ctx)
			l.close()
		})
	}
}

// startListener accepts calls on a socket. The routes have to be stored before the first call comes: it waits for them.
func (g *Gateway) startListener(p listenerPlan, socket net.Listener, st *state) *listener {
	ctx, cancel := context.WithCancel(g.life)
	l := &listener{plan: p, bound: socket.Addr(), stop: cancel, done: make(chan struct{})}
	l.routes.Store(newRoutes(nil, "", g.metrics.unrouted))
	l.server = server.New(server.Config{
		Limits:         wire.Limits{MessageBytes: int(st.config.MaxMessageBytes)},
		MaxConnections: p.maxConnections,
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

// Addresses returns where calls come in, as bound: with the port where the config names port 0.
func (g *Gateway) Addresses() []string {
	g.changing.Lock()
	defer g.changing.Unlock()
	var all []string
	for _, l := range g.listeners {
		if l.bound.Network() == "unix" {
			all = append(all, "unix:"+l.bound.String())
		} else {
			all = append(all, l.bound.String())
		}
	}
	return all
}
