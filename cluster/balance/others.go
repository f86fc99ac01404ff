package balance

import (
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Patience is how long a call waits because of what others have in flight, until it may insist on an even part of the slots.
const Patience = 100 * time.Millisecond

// SetOthers tells how many calls others have in flight at a node. taken is how many of its slots these take from this picker: as many, or
// none where the slots are shared out already, and the calls only help to choose.
func (p *Picker) SetOthers(n *Node, calls, taken int) {
	n.Others, n.taken = calls, taken
	n.settle()
}

// Insist is Pick for a call that has waited for Patience beside so many pickers that share the endpoints, this one included: while this one has
// less than its even part of all slots in flight, of those that the call may take, it takes no notice of what the others have. Else those who get
// slots, and give them to their next call before anybody hears of it, would keep them for ever.
func (p *Picker) Insist(call *rpc.Call, sharers int, now time.Time) (*Node, error) {
	slots, calls, taken := 0, 0, 0
	in := p.where(call)
	for _, n := range in.nodes {
		slots, calls, taken = slots+n.Slots, calls+n.InFlight, taken+n.taken
	}
	if taken == 0 || calls >= max(1, slots/max(1, sharers)) {
		return nil, ErrBusy
	}
	for _, n := range in.nodes {
		taken := n.taken
		n.taken = 0
		n.settle()
		n.taken = taken
	}
	n, err := p.Pick(call, now)
	for _, n := range in.nodes {
		n.settle()
	}
	return n, err
}
