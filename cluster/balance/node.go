package balance

import (
	"math"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Node is one endpoint as a picker sees it: what Pick returns, and Done takes.
type Node struct {
	// What a pick looks at stands together: it looks at many nodes.
	InFlight int           // slots taken
	Closing  int           // connections without a call that are not quite closed: each takes the place of a call
	Others   int           // calls of others that share the endpoint, as far as they have told
	limit    int           // calls at most, now
	from     time.Duration // not before then
	picked   int32         // number of its last pick
	weight   int32
	lots     int32 // by which it is drawn among equals
	speed    speed
	near     bool // it stands in the picker's own zone

	learns  *limiter // nil: Slots are what they are
	Slots   int      // calls at most, as learned where Endpoint.Auto says so; 0: none for now
	Zombies int      // of InFlight: the attempt is over, and the endpoint still at work
	taken   int      // slots that Others take from this picker

	Endpoint rpc.Endpoint
	health
	share  share
	credit int  // RoundRobin's
	peak   peak // PeakEWMA's
}

// The states of a node.
const (
	Up      = "up"
	Drained = "drained" // it takes no new call, by choice
	Down    = "down"    // it could not be reached
	Ejected = "ejected" // it failed more calls than the others
)

// State returns the node's state.
func (n *Node) State() string {
	switch {
	case n.Endpoint.Drained:
		return Drained
	case n.strikes > 0:
		return Down
	case n.ejected:
		return Ejected
	}
	return Up
}

// Lost reports whether the node is down for good, as far as can be told: several attempts in a row did not reach it.
func (n *Node) Lost() bool { return n.strikes >= doubt }

// Weight is the endpoint's, 1 where it has none, and 0 of one that is drained.
func (n *Node) Weight() int { return int(n.weight) }

// settle finds out how many calls the node may have, and which part of them.
func (n *Node) settle() {
	n.limit, n.weight = n.Slots, int32(min(max(1, n.Endpoint.Weight), math.MaxInt32))
	if n.learns != nil {
		n.Slots = n.learns.slots()
		n.limit = n.learns.limit
	}
	n.limit -= n.taken
	if n.trial > 0 {
		n.limit = min(n.limit, n.trial)
	}
	if n.Endpoint.Drained {
		n.limit, n.weight = 0, 0
	}
}

// calls is how many calls the node has, in any way.
func (n *Node) calls() int { return n.InFlight + n.Closing + n.Others }

// Learned returns how many slots the node was found to be worth; false where that is not learned.
func (n *Node) Learned() (slots int, ok bool) {
	if n.learns == nil {
		return 0, false
	}
	return n.learns.base, true
}

// Mark returns what the Result of a call is to begin with that has been picked for the node just now.
func (n *Node) Mark() Mark {
	if n.learns == nil {
		return Mark{}
	}
	return n.learns.mark()
}

// tick brings what is learned up to now, before the calls become more or fewer.
func (n *Node) tick(now time.Duration) {
	if n.learns != nil {
		n.learns.tick(n.calls(), now)
	}
}

// finished has the end of a call learned from. work is how much it was beside others; zero: it was not answered.
func (n *Node) finished(m Mark, work float64) {
	if n.learns != nil && m.at > 0 {
		n.learns.ended(m, work, n.calls())
		n.settle()
	}
}
