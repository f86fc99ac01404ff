// Package balance chooses the endpoint for an attempt.
//
// A Picker is a pure state machine: it holds counts, not connections, and is driven by Pick, Done and Free under its owner's lock. Time and
// random numbers come from outside. It decides which endpoints may take a call, and its Policy which of them does.
package balance

import (
	"errors"
	"slices"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Errors of Pick.
var (
	ErrBusy       = errors.New("every slot is taken")
	ErrNoEndpoint = errors.New("no endpoint is up")
	ErrDrained    = errors.New("every endpoint is drained")
	ErrSubset     = errors.New("no endpoint with the labels is up")
)

// Policy chooses among the endpoints that may take a call.
type Policy interface {
	// Changed is told the nodes whenever they, or their weights, are others than before. The slice is valid until the next time.
	Changed(nodes []*Node)
	// Choose returns a node that is ready in this round; nil only where none is. It neither waits nor allocates.
	Choose(nodes []*Node, r Round) *Node
	// Done learns what became of an attempt.
	Done(n *Node, r Result, now time.Duration)
	// Part returns a policy that chooses in the same way among some of the nodes, and counts these alone. What Done has learned of a node holds
	// for it too: its own Done is not called.
	Part() Policy
}

// stateless is the part of a policy that keeps nothing.
type stateless struct{}

// Changed implements Policy.
func (stateless) Changed([]*Node) {}

// Done implements Policy.
func (stateless) Done(*Node, Result, time.Duration) {}

// Round is one look for a node.
type Round struct {
	Call   *rpc.Call
	Now    time.Duration   // since an instant that the picker has chosen
	Random func(n int) int // 0 … n-1
	fleet  int32           // nodes, those besides that the round does not look at included
	picks  int32           // so far, as a Picker counts them
	avoid  *Node
	near   bool // nodes of the own zone alone
	panic  bool // ejected ones may take calls
}

// Ready reports whether a node may take the call: it is up, it has a free slot, it stands where the round looks, and the call does not avoid
// it.
func (r *Round) Ready(n *Node) bool {
	return n.InFlight+n.Closing < n.limit && (r.Now >= n.from || r.panic && n.ejected && n.strikes == 0) && n != r.avoid && (!r.near || n.near)
}

// Result is what became of an attempt.
type Result struct {
	Outcome rpc.Outcome   // zero: there was none, the slot was not used
	Took    time.Duration // until the reply; zero: says nothing of how fast the endpoint is
	Method  int           // Schema's dense index of the method, -1 where it is not known: methods take different times
	Call    *rpc.Call     // that it was of; nil: not known
	Held    bool          // the endpoint is still at work: the slot stays taken until Free
	Check   bool          // it was no call, but a check by the owner, on a slot that Take gave
	Began   Mark          // the node's, when it was picked
}

// failed reports whether the endpoint has failed the call.
func (r Result) failed() bool { return rpc.Classes[r.Outcome].Failure }

// answered reports whether the endpoint has done what the call asked for.
func (r Result) answered() bool { return !r.failed() && rpc.Classes[r.Outcome].Health == rpc.Alive }

// Picker picks by late binding: a call gets an endpoint only when one has a free slot. Where none has, it stays with the owner, in the one
// queue that all endpoints share. Which of several that have one its Policy says.
//
// Not safe for concurrent use: the owner's lock guards it.
type Picker struct {
	part     // all of them
	subsets  subsets
	random   func(n int) int
	start    time.Time     // of the picker's time
	now      time.Duration // the last that was told
	picks    int32         // which begins anew after so many
	turns    float64       // that a node has had, about
	each     float64       // of one node, as a part of all
	last     time.Duration // when Done was called
	served   bool          // a call was answered
	pace     pace
	suspects suspects
	zone     string
	curve    curve // of what slots are worth, where they are learned

	Lenient bool // no endpoint is ejected, however many of its calls fail
	// Grace is for how long, once an endpoint that is down is Due to be checked, calls are still kept from it: the owner's check is to find
	// out, and no call. Zero: nobody checks, and a call does.
	Grace time.Duration
}

// New returns a picker without endpoints. random draws from 0 … n-1.
func New(policy Policy, random func(n int) int) *Picker {
	return &Picker{part: part{policy: policy}, random: random}
}

// Add puts an endpoint in. One that joins others that serve begins with one call at a time.
func (p *Picker) Add(e rpc.Endpoint) *Node {
	n := &Node{Endpoint: e, Slots: max(1, e.Slots)}
	p.teach(n)
	if p.served {
		n.trial, n.grows = 1, p.last+growth
	}
	n.settle()
	n.share.turns = p.turns
	p.nodes = append(p.nodes, n)
	p.Reweigh()
	return n
}

// Return puts a node in again that Remove has taken out.
func (p *Picker) Return(n *Node) {
	p.nodes = append(p.nodes, n)
	p.Reweigh()
}

// Remove takes a node out. Its slots are still given back to Done and Free.
func (p *Picker) Remove(n *Node) {
	for i, x := range p.nodes {
		if x == n {
			p.nodes = append(p.nodes[:i:i], p.nodes[i+1:]...)
			p.Reweigh()
			return
		}
	}
}

// Resize gives a node another number of slots. Zero: it takes no call for now. Where its slots are learned, it is the most that they may be.
func (p *Picker) Resize(n *Node, slots int) {
	n.Slots = slots
	p.teach(n)
	n.settle()
}

// teach has a node's slots learned, or not, as its Endpoint says. One that joins others begins with what half of them have found out.
func (p *Picker) teach(n *Node) {
	switch {
	case !n.Endpoint.Auto:
		n.learns = nil
	case n.learns == nil:
		p.learn(n, n.Slots)
	default:
		n.learns.bound(n.Slots)
	}
}

// learn has the node's slots learned from the beginning, most of them at most.
func (p *Picker) learn(n *Node, most int) {
	first, count := p.learned(n)
	if count == 0 {
		first = firstLimit
	}
	n.learns = newLimiter(first, most, &p.curve, func() (slots, count int) { return p.learned(n) }, p.now)
}

// learned returns the median of what the nodes besides n have found out, and how many they are.
func (p *Picker) learned(n *Node) (slots, count int) {
	var all []int
	for _, x := range p.nodes {
		if slots, ok := x.Learned(); ok && x != n {
			all = append(all, slots)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[(len(all)-1)/2], len(all)
}

// Reweigh tells that endpoints have other weights, zones or labels, or are drained, or not any more.
func (p *Picker) Reweigh() {
	p.census.stale = true
	p.subsets = subsets{}
	for _, n := range p.nodes {
		n.settle()
	}
	p.share()
	p.policy.Changed(p.nodes)
}

// Use makes policy the one that chooses from now on.
func (p *Picker) Use(policy Policy) {
	p.policy, p.subsets = policy, subsets{}
	policy.Changed(p.nodes)
}

// Nodes returns the endpoints, in the order in which they were added. The slice is valid until the next Add, Return or Remove.
func (p *Picker) Nodes() []*Node { return p.nodes }

// Pick takes a slot for one attempt. An endpoint that call.Avoid names is taken only where no other has a free slot, and not where it has
// failed other calls lately while another is up. One outside of the own zone is taken only where none in it has a free slot, or much of it is
// out. The error is ErrBusy where a call had better wait: all slots are taken, or no endpoint is up and one of them is only doubted; else
// ErrNoEndpoint, or ErrDrained where that is by choice.
//
// A call with a Subset gets an endpoint of that, and all of this holds among those that it has. Where it has none that is up, or only doubted,
// the call gets any endpoint, or, where it is to be refused, the error ErrSubset.
//
// A hedge gets no slot of the endpoint that it avoids, and none where more than 60 % are taken: its error is ErrBusy, and it is not to wait.
func (p *Picker) Pick(call *rpc.Call, now time.Time) (*Node, error) {
	at := p.at(now)
	if p.census.stale {
		p.recount()
	}
	if call.Subset.Labels != "" {
		return p.pickSubset(call, at)
	}
	return p.pick(&p.part, call, at)
}

// pick takes a slot of a node in one part of the nodes.
func (p *Picker) pick(in *part, call *rpc.Call, now time.Duration) (*Node, error) {
	if call.Hedge && !in.spare() {
		return nil, ErrBusy
	}
	r := Round{Call: call, Now: now, Random: p.random, fleet: int32(len(p.nodes)), picks: p.picks, panic: in.census.panic}
	if call.Avoid != "" || len(p.suspects.all) > 0 { // mostly not: that is worth no call of a function
		r.avoid = p.avoided(call)
	}
	if in.census.near > 0 {
		r.near = p.staysNear(in)
	}
	n := in.policy.Choose(in.nodes, r)
	if n == nil && r.near {
		r.near = false
		n = in.policy.Choose(in.nodes, r)
	}
	if n == nil && call.Hedge {
		return nil, ErrBusy
	}
	if n == nil && r.avoid != nil && (r.avoid.failing < 1.5*memory || !in.another(r.avoid)) {
		r.avoid = nil
		n = in.policy.Choose(in.nodes, r)
	}
	if n == nil && p.grow(r.Now) {
		n = in.policy.Choose(in.nodes, r)
	}
	if n == nil {
		return nil, in.refusal(r.Now)
	}
	n.tick(r.Now)
	n.InFlight++
	p.picks++
	n.picked = p.picks
	return n, nil
}

// another reports whether a node besides n is up: it may be worth to wait for.
func (in *part) another(n *Node) bool {
	for _, x := range in.nodes {
		if x != n && x.State() == Up {
			return true
		}
	}
	return false
}

// avoided returns the node that a call had better not get, which has failed its last attempt, or the last call of its caller and method: whose
// fault that was shows elsewhere. nil mostly.
func (p *Picker) avoided(call *rpc.Call) *Node {
	if call.Avoid == "" {
		return p.suspects.failedAt(call)
	}
	for _, n := range p.nodes {
		if n.Endpoint.Name == call.Avoid {
			return n
		}
	}
	return nil
}

// refusal says why no node is ready.
func (in *part) refusal(now time.Duration) error {
	drained := 0
	for _, n := range in.nodes {
		switch {
		case n.Endpoint.Drained:
			drained++
		case now >= n.from || n.strikes < doubt || n.ejected:
			return ErrBusy
		}
	}
	if drained > 0 && drained == len(in.nodes) {
		return ErrDrained
	}
	return ErrNoEndpoint
}

// Take takes a slot of one node for a check by the owner, whether the node is up or not; false where none is free.
func (p *Picker) Take(n *Node) bool {
	if n.InFlight+n.Closing+n.Others >= n.Slots {
		return false
	}
	n.InFlight++
	return true
}

// Done ends an attempt, and gives its slot back unless it is held.
func (p *Picker) Done(n *Node, r Result, now time.Time) {
	at := p.at(now)
	n.tick(at)
	if r.Held {
		n.Zombies++
	} else {
		n.InFlight--
	}
	if r.Outcome == 0 {
		return
	}
	down, ejected := n.strikes > 0, n.ejected
	if r.Check {
		p.checked(n, r, at)
	} else {
		p.last = at
		p.judge(n, r, at)
	}
	if n.strikes > 0 != down || n.ejected != ejected {
		p.census.stale = true
	}
	if r.Check {
		return
	}
	p.shared(n)
	if r.Took > 0 && r.answered() {
		p.served = true
		n.speed.add(p.pace.ratio(r.Method, r.Took), at)
	}
	if n.learns != nil && !r.Held {
		n.finished(r.Began, p.work(r))
	}
	p.policy.Done(n, r, at)
}

// Free gives back a slot that was held. r is what Done was told, but for the outcome where the endpoint has answered since.
func (p *Picker) Free(n *Node, r Result, now time.Time) {
	n.tick(p.at(now))
	n.Zombies--
	n.InFlight--
	n.finished(r.Began, p.work(r))
}

// work is how much a call was beside others; zero where it was not answered.
func (p *Picker) work(r Result) float64 {
	if !r.answered() {
		return 0
	}
	return p.pace.weight(r.Method)
}

// at returns the picker's time.
func (p *Picker) at(now time.Time) time.Duration {
	if p.start.IsZero() {
		p.start = now.Add(-time.Second)
	}
	at := now.Sub(p.start)
	p.now = max(p.now, at)
	return at
}
