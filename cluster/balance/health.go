package balance

import (
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// The waits before an endpoint is tried again double with each failed trial.
const (
	firstDown  = 100 * time.Millisecond // where it could not be reached
	maxDown    = 5 * time.Second
	firstEject = 2 * time.Second // where it fails more calls than the others; less up to a half
	maxEject   = 12 * time.Second
)

// The waits of a node that comes and goes grow on from one time to the next.
const (
	forgives    = 10 * time.Second // after which a node that is back, and stays, has one relapse less
	maxRelapses = 6                // counted: with so many either wait is the longest
)

// doubt is how many failures in a row it takes until an endpoint counts as gone: a single one may be a full backlog, and calls had
// better wait a moment than fail.
const doubt = 3

const (
	memory    = 1.0 / 16    // the part of a single call in an endpoint's rate of failures
	tolerance = 0.25        // by which its rate is above that of the others: five failures in a row
	evidence  = 8           // answers in a row, until an endpoint on trial may have twice as many calls
	growth    = time.Second // for which it has to be on trial without a failure, for the same
	misses    = 3           // checks in a row without an answer, until it is down
)

// health is what a picker knows of whether a node serves.
type health struct {
	strikes   int           // attempts in a row that did not reach it
	falls     relapses      // each of doubt strikes and more
	fell      int           // how many there were before the last
	due       time.Duration // when the owner is to check it, while strikes are more than 0
	missed    int           // checks in a row without an answer
	ejected   bool          // it failed more calls than the others
	ejections relapses
	failing   float64       // the rate of its calls that fail, of the last few dozen
	trial     int           // calls at most while it has to prove that it serves; 0: it has
	proven    int           // answers in a row since
	grows     time.Duration // when trial is doubled without an answer: calls may be long
}

// relapses counts how often a node went out, soon after it was back.
type relapses struct {
	times int
	back  time.Duration // since when it has been in; zero: since ever
}

// forget takes off what the time in has made good.
func (r *relapses) forget(now time.Duration) { r.times = max(0, r.times-int((now-r.back)/forgives)) }

// add counts one, and returns how many there were before.
func (r *relapses) add() (before int) {
	before = r.times
	r.times = min(before+1, maxRelapses)
	return before
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

// Due returns in what time a node that is down is to be checked, as Grace says; false where it is not down.
func (p *Picker) Due(n *Node, now time.Time) (time.Duration, bool) {
	return n.due - p.at(now), n.strikes > 0
}

// judge learns from an outcome.
func (p *Picker) judge(n *Node, r Result, now time.Duration) {
	class := rpc.Classes[r.Outcome]
	switch {
	case class.Health == rpc.Unreachable:
		p.strike(n, now)
		return
	case class.Health == rpc.Silent:
		return
	}
	n.there(now) // whatever it answers, or fails to answer
	if !class.Failure {
		p.suspects.answered(r.Call)
		n.failing -= n.failing * memory
		n.missed = 0
		n.answered(now)
		return
	}
	if !p.suspects.failed(r.Call, n, now) {
		return
	}
	n.failing += (1 - n.failing) * memory
	n.proven = 0
	if !p.Lenient && n.failing > tolerance && p.worse(n) && (n.ejected || p.spared(n)) {
		p.eject(n, now)
	}
}

// checked learns from a check. An answer shows that the endpoint is there, and nothing of whether it fails its calls. None shows that it hangs,
// unless it is at work at a call: many work at one at a time.
func (p *Picker) checked(n *Node, r Result, now time.Duration) {
	class, calls := rpc.Classes[r.Outcome], n.InFlight+n.Others
	if r.Held {
		calls--
	}
	switch {
	case class.Health == rpc.Unreachable:
		p.strike(n, now)
	case class.Health == rpc.Silent, r.Outcome == rpc.ClosedReused:
	case !class.Failure:
		if n.missed = 0; n.strikes > 0 {
			n.there(now)
			n.from, n.grows = min(n.from, now), now+growth
		}
	case calls > 0:
	default:
		if n.missed++; n.missed >= misses {
			n.strikes = max(n.strikes, doubt-1)
			p.strike(n, now)
		}
	}
}

// strike notes that the node could not be reached.
func (p *Picker) strike(n *Node, now time.Duration) {
	if n.strikes++; n.strikes == doubt {
		n.falls.forget(now)
		n.fell = n.falls.add()
		if n.learns != nil { // it may be back as another one
			p.learn(n, n.learns.most)
		}
	}
	doubled := n.strikes - 1
	if n.Lost() {
		doubled += n.fell
	}
	wait := min(firstDown<<min(doubled, 10), maxDown)
	n.due = now + wait
	n.hold(now, wait+p.Grace)
}

// there notes that the node could be reached.
func (n *Node) there(now time.Duration) {
	if n.Lost() {
		n.falls.back = now
	}
	n.strikes = 0
}

// hold lets nothing to the node for d, and then one call at a time.
func (n *Node) hold(now, d time.Duration) {
	n.from = now + d
	n.grows = n.from + growth
	n.trial, n.proven = 1, 0
	n.settle()
}

// eject takes the node out, for longer than the last time. A failure is enough then to do it again.
func (p *Picker) eject(n *Node, now time.Duration) {
	if !n.ejected {
		n.ejections.forget(now)
	}
	n.hold(now, p.jitter(min(firstEject<<n.ejections.add(), maxEject)))
	n.ejected, n.failing = true, tolerance
}

// jitter returns d less up to a half at random: many who have ejected an endpoint at one time do not come back to it at one time.
// Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: "equal jitter".
func (p *Picker) jitter(d time.Duration) time.Duration {
	return d - time.Duration(p.random(int(d/2/time.Millisecond)+1))*time.Millisecond
}

// answered counts an answer of a node that is on trial: slow start by evidence.
func (n *Node) answered(now time.Duration) {
	if n.trial == 0 {
		return
	}
	if n.proven++; n.proven == evidence {
		n.grow(now)
	}
}

// grow lets a node on trial have twice as many calls.
func (n *Node) grow(now time.Duration) {
	if n.ejected {
		n.ejected, n.ejections.back = false, now
	}
	n.proven = 0
	if n.trial *= 2; n.trial >= n.Slots {
		n.trial = 0
	}
	n.settle()
}

// grow lets those nodes have more calls that have been on trial for long without a failure, and reports whether there are any.
func (p *Picker) grow(now time.Duration) (any bool) {
	for _, n := range p.nodes {
		if n.trial > 0 && n.strikes == 0 && now >= n.grows {
			n.grow(now)
			n.grows = now + growth
			any = true
		}
	}
	p.census.stale = p.census.stale || any
	return any
}

// worse reports whether n fails more of its calls, by tolerance, than half of the others that are in.
func (p *Picker) worse(n *Node) bool {
	others, better := 0, 0
	for _, x := range p.nodes {
		if x != n && !x.ejected && !x.Endpoint.Drained {
			others++
			if x.failing+tolerance < n.failing {
				better++
			}
		}
	}
	return others > 0 && 2*better >= others
}

// spared reports whether the others can do without n: half of the fleet stays in, and of two one.
func (p *Picker) spared(n *Node) bool {
	all, out, up := 0, 0, 0
	for _, x := range p.nodes {
		if x.Endpoint.Drained {
			continue
		}
		all++
		switch {
		case x.ejected:
			out++
		case x != n && x.strikes == 0:
			up++
		}
	}
	return up > 0 && out+1 <= max(1, all/2)
}
