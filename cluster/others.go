package cluster

import (
	"slices"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/cluster/view"
)

// Calls appends to buf what the cluster has in flight, by address, zombies included: every endpoint is there, one that has two names twice,
// and one that Update has taken out while it works off what it has. waiting says that calls wait; those that do because of what others have,
// and for too long, get a slot now.
func (c *Cluster) Calls(buf []view.Calls) (all []view.Calls, waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting.Len() > 0 && c.sharers > 1 {
		c.dispatch(time.Now())
	}
	for _, n := range c.picker.Nodes() {
		buf = append(buf, view.Calls{Address: n.Endpoint.Address, Calls: n.InFlight})
	}
	for n := range c.leaving {
		buf = append(buf, view.Calls{Address: n.Endpoint.Address, Calls: n.InFlight})
	}
	return buf, c.waiting.Len() > 0
}

// SetOthers tells how many calls others have in flight, by address; what is not named stays as it was. Their calls take slots as the
// cluster's own do, unless it is Leased: then its slots are its own, and the calls of others only help to choose. sharers is how many there
// are, this cluster's owner included.
func (c *Cluster) SetOthers(others []view.Calls, sharers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sharers = sharers
	if len(others) == 0 {
		return
	}
	leased, less := c.opts.Load().Leased, false
	for _, o := range others {
		left := o.Calls
		at := c.at[o.Address]
		for i, n := range at { // the first name takes the slots, what is beyond them goes to the next
			calls := left
			if i < len(at)-1 {
				calls = min(left, n.Slots)
			}
			left -= calls
			less = less || calls < n.Others
			c.setOthers(n, calls, leased)
		}
	}
	if less {
		c.dispatch(time.Now())
	}
}

func (c *Cluster) setOthers(n *node, calls int, leased bool) {
	taken := calls
	if leased {
		taken = 0
	}
	c.picker.SetOthers(n.Node, calls, taken)
}

// recount takes what others have for what it is once the slots are leased, or are not any more. c.mu is held.
func (c *Cluster) recount(leased bool) {
	for _, n := range c.nodes {
		c.setOthers(n, n.Others, leased)
	}
}

// forget takes a node out of those that are told what others have. c.mu is held.
func (c *Cluster) forget(n *node) {
	address := n.Endpoint.Address
	c.at[address] = slices.DeleteFunc(c.at[address], func(x *node) bool { return x == n })
	if len(c.at[address]) == 0 {
		delete(c.at, address)
	}
	c.picker.SetOthers(n.Node, 0, 0)
}

// busy tells that there is a call. c.mu is held.
func (c *Cluster) busy() {
	if busy := c.opts.Load().Busy; busy != nil {
		busy()
	}
}

// insist takes a slot for a call that has waited for too long because of what others have in flight; the error is ErrBusy mostly. c.mu is
// held.
func (c *Cluster) insist(w *waiting, now time.Time) (grant, error) {
	if c.sharers < 2 || now.Sub(w.since) < balance.Patience {
		return grant{}, balance.ErrBusy
	}
	bn, err := c.picker.Insist(w.call, c.sharers, now)
	if err != nil {
		return grant{}, err
	}
	c.busy()
	g := c.nodes[bn].take(now)
	g.mark = bn.Mark()
	return g, nil
}
