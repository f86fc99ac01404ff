package sim

import (
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/cluster/view"
)

// What the network does to the messages of gateways.
const (
	messageTakes = time.Millisecond // at most
	messageLoss  = 0.01
)

// sight is what a gateway knows of the others' calls: the product's own view.
type sight struct {
	view  *view.View
	nodes map[string]*balance.Node // by name
	calls []view.Calls
}

// gossip has the gateways tell each other what they have in flight, each at moments of its own.
func (w *world) gossip() {
	for i, g := range w.gateways {
		g.sight = &sight{view: view.New(uint64(i+1), w.instant(), w.contender.View, len(w.gateways)), nodes: map[string]*balance.Node{}}
		w.after(time.Duration(w.random.Int64N(int64(w.contender.View.Tick))), func() {
			w.look(g, i)
			w.every(w.contender.View.Tick, func() { w.look(g, i) })
		})
	}
}

// upstream is the only one that there is.
const upstream = "replicas"

// look is one tick of gateway i.
func (w *world) look(g *gateway, i int) {
	s := g.sight
	s.calls = s.calls[:0]
	for _, n := range g.picker.Nodes() {
		s.calls = append(s.calls, view.Calls{Address: n.Endpoint.Name, Calls: n.InFlight})
		s.nodes[n.Endpoint.Name] = n
	}
	s.view.Own(upstream, s.calls)
	for _, m := range s.view.Tell(w.instant()) {
		for j, to := range w.gateways {
			if j == i || w.random.Float64() < messageLoss {
				continue
			}
			w.after(time.Duration(w.random.Int64N(int64(messageTakes))), func() {
				if to.sight.view.Receive(i, &m, w.instant()) {
					w.see(to)
				}
			})
		}
	}
	w.see(g)
}

// see gives the picker what the gateway knows of the others.
func (w *world) see(g *gateway) {
	s := g.sight
	s.calls = s.view.Others(upstream, s.calls[:0])
	for _, c := range s.calls {
		if n := s.nodes[c.Address]; n != nil {
			g.picker.SetOthers(n, c.Calls, c.Calls)
		}
	}
	w.drain(g)
}
