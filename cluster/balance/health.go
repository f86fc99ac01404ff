package balance

import (
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// The waits before an endpoint is tried again double with each failed trial.
const (
	firstDown  = 100 * time.Millisecond // where it could not be reached
	maxDown    = 5 * time.Second
	firstEject = time.Second // where it fails more calls than the others
	maxEject   = 10 * time.Second
)

// doubt is how many failures in a row it takes until an endpoint counts as gone: a single one may be a full backlog, and calls had
// better wait a moment than fail.
const doubt = 3

const (
	memory    = 1.0 / 16    // the part of a single call in an endpoint's rate of failures
	tolerance = 0.25        // by which its rate is above that of the others: five failures in a row
	evidence  = 8           // answers in a row, until an endpoint on trial may have twice as many calls
	growth    = time.Second // for which it has to be on trial without a failure, for the same
)

// health is what a picker knows of whether a node serves.
type health struct {
	strikes   int           // attempts in a row that did not reach it
	ejected   bool          // it failed more calls than the others
	ejections int           // in a row
	failing   float64       // the rate of its calls that fail, of the last few dozen
	trial     int           // calls at most while it has to prove that it serves; 0: it has
	proven    int           // answers in a row since
	grows     time.Duration // when trial is doubled without an answer: calls may be long
}

// Out reports whether a node takes no call for now, whatever its slots.
func (p *Picker) Out(n *Node, now time.Time) bool { return p.at(now) < n.from }

// Waits returns how long it takes until a node may take a call, or more calls than now, though nothing happens to it; false where time
// alone changes nothing.
func (p *Picker) Waits(n *Node, now time.Time) (time.Duration, bool) {
	switch at := p.at(now); {
	case at < n.from:
		return n.from - at, true
	case n.trial > 0 && n.strikes == 0 && at < n.grows:
		return n.grows - at, true
	}
	return 0, false
}

// judge learns from an outcome.
func (p *Picker) judge(n *Node, r Result, now time.Duration) {
	class := rpc.Classes[r.Outcome]
	switch {
	case class.Health == rpc.Unreachable:
		n.strikes++
		n.hold(now, min(firstDown<<min(n.strikes-1, 10), maxDown))
		return
	case class.Health == rpc.Silent:
		return
	}
	n.strikes = 0 // whatever it answers, or fails to answer, proves that it is there
	if !class.Failure {
		p.suspects.answered(r.Call)
		n.failing -= n.failing * memory
		n.answered()
		return
	}
	if !p.suspects.failed(r.Call, n, now) {
		return
	}
	n.failing += (1 - n.failing) * memory
	n.proven = 0
	if !p.Lenient && n.failing > tolerance && p.worse(n) && (n.ejected || p.spared(n)) {
		n.eject(now)
	}
}

// hold lets nothing to the node for d, and then one call at a time.
func (n *Node) hold(now, d time.Duration) {
	n.from = now + d
	n.grows = n.from + growth
	n.trial, n.proven = 1, 0
	n.settle()
}

// eject takes the node out, for longer than the last time. A failure is enough then to do it again.
func (n *Node) eject(now time.Duration) {
	n.hold(now, min(firstEject<<min(n.ejections, 10), maxEject))
	n.ejected, n.failing = true, tolerance
	n.ejections++
}

// answered counts an answer of a node that is on trial: slow start by evidence.
func (n *Node) answered() {
	if n.trial == 0 {
		return
	}
	if n.proven++; n.proven == evidence {
		n.grow()
	}
}

// grow lets a node on trial have twice as many calls.
func (n *Node) grow() {
	n.proven, n.ejected = 0, false
	if n.trial *= 2; n.trial >= n.Slots {
		n.trial, n.ejections = 0, 0
	}
	n.settle()
}

// grow lets those nodes have more calls that have been on trial for long without a failure, and reports whether there are any.
func (p *Picker) grow(now time.Duration) (any bool) {
	for _, n := range p.nodes {
		if n.trial > 0 && n.strikes == 0 && now >= n.grows {
			n.grow()
			n.grows = now + growth
			any = true
		}
	}
	return any
}

// worse reports whether n fails more of its calls, by tolerance, than half of the others that are in.
func (p *Picker) worse(n *Node) bool {
	others, better := 0, 0
	for _, x := range p.nodes {
		if x != n && !x.ejected {
			others++
			if x.failing+tolerance < n.failing {
				better++
			}
		}
	}
	return others > 0 && 2*better >= others
}

// pardon takes back those that are ejected where nobody else is up: an endpoint that fails some calls is better than none. It reports
// whether there are any.
func (p *Picker) pardon(now time.Duration) (any bool) {
	for _, n := range p.nodes {
		if n.State() == Up {
			return false
		}
	}
	for _, n := range p.nodes {
		if n.State() == Ejected && now < n.from {
			n.from, n.grows = now, now+growth
			any = true
		}
	}
	return any
}

// spared reports whether the others can do without n: half of the fleet stays in, and of two one.
func (p *Picker) spared(n *Node) bool {
	out, up := 0, 0
	for _, x := range p.nodes {
		switch {
		case x.ejected:
			out++
		case x != n && x.strikes == 0:
			up++
		}
	}
	return up > 0 && out+1 <= max(1, len(p.nodes)/2)
}
