package balance

import (
	"math"
	"time"
)

const (
	ewmaDecay   = 10 * time.Second // after which a sample has a part of 1/e
	ewmaInitial = 30 * time.Millisecond
	peakPenalty = 5 * time.Second // Linkerd's
)

// PeakEWMA takes of two nodes drawn at random the one that is expected to answer sooner: its average latency times its calls in flight. A
// latency above the average takes its place at once, one below it only with time.
//
// Source: Finagle's PeakEwma and Linkerd's, with their decay of 10 s.
type PeakEWMA struct {
	// Penalty is the latency that a failure counts for, at least: without one, a node that fails fast looks best. Zero: none.
	Penalty time.Duration
}

// peak is what PeakEWMA knows of a node.
type peak struct {
	average float64 // ns; zero: no sample yet
	at      time.Duration
}

// Part implements Policy: what is known of a node stands with it.
func (p *PeakEWMA) Part() Policy { return p }

// Changed implements Policy.
func (*PeakEWMA) Changed([]*Node) {}

// Choose implements Policy.
func (*PeakEWMA) Choose(nodes []*Node, r Round) *Node {
	a, b := draw(nodes, r)
	if b != nil && b.cost() < a.cost() {
		return b
	}
	return a
}

// cost is how long a call more is expected to take, for the node's weight.
func (n *Node) cost() float64 {
	average := n.peak.average
	if average == 0 {
		average = float64(ewmaInitial)
		if n.InFlight > 0 { // nothing is known of it: one call finds out
			average = float64(time.Hour)
		}
	}
	return average * float64(n.InFlight+n.Others+1) / float64(n.Weight())
}

// Done implements Policy.
func (p *PeakEWMA) Done(n *Node, r Result, now time.Duration) {
	took := r.Took
	if p.Penalty > 0 && r.failed() {
		took = max(p.Penalty, took, time.Duration(n.peak.average))
	}
	if took <= 0 {
		return
	}
	k := &n.peak
	if x := float64(took); x > k.average {
		k.average = x
	} else {
		k.average += (x - k.average) * (1 - math.Exp(-float64(now-k.at)/float64(ewmaDecay)))
	}
	k.at = now
}
