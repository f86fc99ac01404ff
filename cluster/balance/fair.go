package balance

import "math"

// A node that had fewer calls than its weight says, because its latency made it look slower than it is, has better chances among equals later.
//
// Chances, and no certainty: whoever takes the node that is furthest behind gives a slow one its next call as soon as it has ended the last,
// since it has missed turns meanwhile. Twenty gateways that do so keep a queue there, and p99 is twice what it is.
const (
	evens   = 0.05 // of its chance, that a node has more for each turn it is behind, and less for each it is ahead
	highest = 16   // times its chance, at most
	lowest  = 1.0 / lots
	lots    = 16  // of a node that has had its part, for each unit of weight
	owed    = 300 // turns at most: what was missed before is not made up for, since a node that is slow for long misses more
)

// share is what a node has had of the calls, in turns: in one it has as many as its weight.
type share struct {
	turns float64
	call  float64 // turns of one call
	even  float64 // lots where it has had its part
}

// share gives the nodes lots by their weights, whatever they have had.
func (p *Picker) share() {
	p.each = 1 / float64(max(1, len(p.nodes)))
	for _, n := range p.nodes {
		n.share.call, n.share.even = 1/float64(max(1, n.weight)), lots*float64(min(n.weight, math.MaxInt32/lots/highest))
		n.allot(0)
	}
}

// shared counts a call of n that is over.
func (p *Picker) shared(n *Node) {
	behind := p.turns - n.share.turns
	if behind > owed || behind < -owed || n.trial > 0 {
		behind = n.owed(behind)
	}
	behind -= n.share.call
	n.share.turns = p.turns - behind
	p.turns -= behind * p.each
	n.allot(behind)
}

// owed is how much of what n is behind is made up for: nothing of what it missed while it was out.
func (n *Node) owed(behind float64) float64 {
	if n.trial > 0 {
		return max(-owed, min(behind, 0))
	}
	return max(-owed, min(behind, owed))
}

// allot gives n the lots by which it is drawn among equals.
func (n *Node) allot(behind float64) {
	chance := 1 + evens*behind
	if chance < lowest || chance > highest { // min and max of floats, of each call, cost a tenth of a pick
		chance = max(lowest, min(chance, highest))
	}
	n.lots = int32(chance * n.share.even)
}
