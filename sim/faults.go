package sim

import (
	"fmt"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// When the watched replica of a fault begins to misbehave, and when it ends: seconds of the run.
const (
	faultAt     = 20
	stallEnds   = faultAt + 4
	sinkholeEnd = faultAt + 40
)

// fleet is a fault's fleet: at 60 % of what it can do without the watched replica.
func fleet(name string, replicas, gateways, seconds int, script func(w *world)) Scenario {
	s := Scenario{Name: fmt.Sprintf("%s, N%d G%d", name, replicas, gateways), Replicas: replicas, Gateways: gateways, Script: script}
	s.Load = 0.6 * float64(replicas-1) / float64(replicas)
	s.Calls = int(s.rate() * float64(seconds))
	return s
}

// Stall is a replica that stops for four seconds, as with SIGSTOP.
func Stall(replicas, gateways int) Scenario {
	return fleet("stall", replicas, gateways, 45, func(w *world) {
		w.after(faultAt*time.Second, func() { w.replicas[0].turnTo(w, 0) })
		w.after(stallEnds*time.Second, func() { w.replicas[0].turnTo(w, 1) })
	})
}

// Sinkhole is a replica that ends each call at once without an answer, for 40 seconds.
func Sinkhole(replicas, gateways int, idempotent bool) Scenario {
	s := fleet("sinkhole", replicas, gateways, 90, func(w *world) {
		w.after(faultAt*time.Second, func() { w.replicas[0].fails = true })
		w.after(sinkholeEnd*time.Second, func() { w.replicas[0].fails = false })
	})
	if s.Idempotent = idempotent; idempotent {
		s.Name += ", idempotent"
	}
	return s
}

// Churn replaces one of 500 replicas 50 times a minute, each by a new one that begins empty.
func Churn() Scenario {
	s := fleet("churn", 500, 2, 10, func(w *world) {
		w.every(1200*time.Millisecond, w.replace)
	})
	s.Calls = 200_000
	return s
}

// replace takes the replica out that has been there for longest. Its calls in flight go on.
func (w *world) replace() {
	r := &replica{index: len(w.replicas), speed: 1, workers: 1}
	w.replicas = append(w.replicas, r)
	for _, g := range w.gateways {
		g.picker.Remove(g.nodes[w.replaced])
		n := g.picker.Add(rpc.Endpoint{Name: r.name(), Slots: w.contender.slots(w.scenario)})
		g.nodes = append(g.nodes, n)
		g.of[n] = r
		w.drain(g)
	}
	w.replaced++
}

// Restart crashes a replica, which is back six seconds later and works five times slower for its first five seconds.
func Restart(replicas, gateways int) Scenario {
	s := fleet("restart", replicas, gateways, 45, func(w *world) {
		r := w.replicas[0]
		w.after(faultAt*time.Second, func() { r.crash(w) })
		w.after((faultAt+6)*time.Second, func() {
			r.down = false
			r.turnTo(w, 0.2)
		})
		w.after((faultAt+11)*time.Second, func() { r.turnTo(w, 1) })
	})
	s.Idempotent = true
	return s
}

// Equal is a fleet at rest: who gets how many of 100,000 calls?
func Equal(load float64) Scenario {
	return Scenario{Name: fmt.Sprintf("equal, load %g", load), Replicas: 20, Load: load, Calls: 100_000}
}

// Weighted is the same of replicas with four workers each, of which every other one has twice the weight.
func Weighted(load float64) Scenario {
	s := Equal(load)
	s.Name, s.Workers = fmt.Sprintf("weights, load %g", load), 4
	s.Weights = func(replica int) int { return 1 + replica%2 }
	return s
}
