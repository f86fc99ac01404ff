package sim

import (
	"slices"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
)

// prequal probes the replicas, and picks by what they say of their calls in flight and their latency. It needs an answer of a replica
// that does not wait behind calls, which a Python server does not give: it stands here for comparison.
//
// Source: Wydrowski, Kleinberg, Rumble, Archer, "Load is not what you should balance: Introducing Prequal", 2024, with the pool half as large
// as the fleet, as small fleets need it.
type prequal struct {
	w     *world
	g     *gateway
	quant float64 // of the calls in flight, from which on a replica is hot; 0: all are
	pool  []probe
	worst bool // the next probe that is let go of is the worst, not the oldest
}

type probe struct {
	node    *balance.Node
	calls   int // in flight at the replica
	latency time.Duration
	at      time.Duration
	uses    int
}

const (
	probes     = 3
	probeTakes = time.Millisecond
	probeAge   = time.Second
	probePool  = 16
)

// Changed implements balance.Policy.
func (p *prequal) Changed([]*balance.Node) {}

// Part implements balance.Policy. No call of the simulation is for a part of the fleet.
func (p *prequal) Part() balance.Policy { return p }

// Done implements balance.Policy.
func (p *prequal) Done(*balance.Node, balance.Result, time.Duration) {}

// Choose implements balance.Policy.
func (p *prequal) Choose(nodes []*balance.Node, r balance.Round) *balance.Node {
	most := min(probePool, max(2, len(nodes)/2))
	for range probes {
		p.probe(nodes[r.Random(len(nodes))], most)
	}
	p.pool = slices.DeleteFunc(p.pool, func(x probe) bool { return p.w.now-x.at > probeAge || !r.Ready(x.node) })
	if len(p.pool) < 2 {
		return balance.Random{}.Choose(nodes, r)
	}
	i := p.best()
	x := &p.pool[i]
	n := x.node
	x.calls++
	if x.uses++; x.uses >= p.reuse(len(nodes), most) {
		p.pool = slices.Delete(p.pool, i, i+1)
	}
	p.forget()
	return n
}

// probe asks a replica.
func (p *prequal) probe(n *balance.Node, most int) {
	p.w.after(probeTakes, func() {
		r := p.g.of[n]
		if r.down {
			return
		}
		calls := len(r.running) + len(r.waiting)
		p.pool = append(p.pool, probe{n, calls, r.history.at(calls), p.w.now, 0})
		if len(p.pool) > most {
			p.pool = slices.Delete(p.pool, 0, 1)
		}
	})
}

// reuse is how often a probe serves.
func (p *prequal) reuse(n, most int) int {
	return max(1, int(2/((1-float64(most)/float64(n))*probes-1)))
}

// limit is the number of calls from which on a replica is hot.
func (p *prequal) limit() int {
	calls := make([]int, len(p.pool))
	for i, x := range p.pool {
		calls[i] = x.calls
	}
	slices.Sort(calls)
	return calls[min(int(p.quant*float64(len(calls))), len(calls)-1)]
}

// better reports whether a call had better go to x than to y: to the fastest of those that are not hot, else to the least loaded.
func better(x, y *probe, limit int) bool {
	hot, other := x.calls > limit, y.calls > limit
	switch {
	case hot != other:
		return other
	case hot:
		return x.calls < y.calls
	}
	return x.latency < y.latency
}

func (p *prequal) best() int {
	limit := -1
	if p.quant > 0 {
		limit = p.limit()
	}
	best := 0
	for i := range p.pool {
		if better(&p.pool[i], &p.pool[best], limit) {
			best = i
		}
	}
	return best
}

// forget lets go of one probe: the oldest and the worst in turn.
func (p *prequal) forget() {
	if len(p.pool) == 0 {
		return
	}
	i := 0
	if p.worst {
		limit := -1
		if p.quant > 0 {
			limit = p.limit()
		}
		for j := range p.pool {
			if better(&p.pool[i], &p.pool[j], limit) {
				i = j
			}
		}
	}
	p.worst = !p.worst
	p.pool = slices.Delete(p.pool, i, i+1)
}

// history is what a replica knows of its own latency, by how many calls it had.
type history struct{ rings [64]ring }

type ring struct {
	last [15]time.Duration
	n    int
}

func (h *history) add(calls int, took time.Duration) {
	r := &h.rings[min(calls, len(h.rings)-1)]
	r.last[r.n%len(r.last)] = took
	r.n++
}

// at is the median of the latencies with so many calls, or with the nearest number that there were.
func (h *history) at(calls int) time.Duration {
	calls = min(calls, len(h.rings)-1)
	for away := range len(h.rings) {
		for _, i := range [2]int{calls - away, calls + away} {
			if i < 0 || i >= len(h.rings) || h.rings[i].n == 0 {
				continue
			}
			r := h.rings[i]
			all := r.last[:min(r.n, len(r.last))]
			slices.Sort(all)
			return all[len(all)/2]
		}
	}
	return 0
}
