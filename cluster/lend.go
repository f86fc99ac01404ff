package cluster

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Usage is what a cluster makes of its endpoints at one moment: what those that share them need to know.
type Usage struct {
	Waiting   int           // calls in the queue
	Linger    time.Duration // how long a connection may be kept beyond the deadline of its call
	Endpoints []EndpointUsage
}

// EndpointUsage is one address of a cluster; what is left of endpoints that Update has taken out counts with it.
type EndpointUsage struct {
	Address string
	Slots   int  // that it has, for all who share it; 0 once Update has taken it out
	Limit   int  // of these, what SetLimits has left to this cluster
	Open    int  // connections; those that are being made and those that are not quite closed count
	Busy    int  // calls that it works at
	Down    bool // it takes no call now, since it is down, ejected or drained: what is left of its slots is of no use here
}

// Usage returns the cluster's use as it is now. From then on an endpoint has no more connections than the greater of Open and Limit,
// until SetLimits is called again.
func (c *Cluster) Usage() Usage {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	u := Usage{Waiting: c.waiting.Len(), Linger: c.lingers()}
	at := map[string]int{}
	add := func(n *node, slots int) {
		i, ok := at[n.Endpoint.Address]
		if !ok {
			i = len(u.Endpoints)
			at[n.Endpoint.Address] = i
			u.Endpoints = append(u.Endpoints, EndpointUsage{Address: n.Endpoint.Address})
		}
		e := &u.Endpoints[i]
		e.Slots, e.Open, e.Busy = e.Slots+slots, e.Open+n.open(), e.Busy+n.InFlight
		if slots > 0 {
			e.Limit, e.Down = e.Limit+n.Slots, e.Down || n.Endpoint.Drained || c.picker.Out(n.Node, now)
		}
	}
	for _, bn := range c.picker.Nodes() {
		add(c.nodes[bn], bn.Endpoint.Slots)
	}
	for n := range c.leaving {
		add(n, 0)
	}
	return u
}

// SetLimits says how many slots of its endpoints, by address, are left to this cluster; one that is not named keeps what it has. With
// fewer than before no new connection is made until there are as few as that: free ones are closed before it returns, those with a call
// when the call has ended. It changes nothing where the cluster is not Leased.
func (c *Cluster) SetLimits(limits map[string]int) {
	c.mu.Lock()
	var stale []*link
	for _, n := range c.nodes {
		if limit, ok := limits[n.Endpoint.Address]; ok {
			n.limit = max(0, limit)
			stale = append(stale, c.resize(n)...)
		}
	}
	c.dispatch(time.Now())
	c.mu.Unlock()
	c.closeAll(stale)
}

// Own ends Leased: nobody shares the endpoints any more.
func (c *Cluster) Own() {
	opts := *c.opts.Load()
	opts.Leased = false
	c.Configure(opts)
}

// resize gives a node the slots that it may use, and returns the free connections beyond them. c.mu is held.
func (c *Cluster) resize(n *node) []*link {
	slots := n.Endpoint.Slots
	if most := c.opts.Load().SharedSlots; n.sharing.granted && most != 0 {
		slots = most
	}
	if c.opts.Load().Leased {
		slots = min(slots, n.limit)
	}
	c.picker.Resize(n.Node, slots)
	if n.Endpoint.Drained {
		return n.takeFree(len(n.free))
	}
	return n.takeFree(n.open() - n.Slots)
}

// changed tells those that share the endpoints. c.mu is held.
func (c *Cluster) changed(waiting bool) {
	if o := c.opts.Load(); o.Leased && o.Changed != nil {
		o.Changed(waiting)
	}
}

// Probe asks one endpoint that has a free slot for a sign of life, on a connection of its own: ask is handed its address, and the slot is
// taken meanwhile. Where a call has been answered already, nobody is asked.
func (c *Cluster) Probe(ctx context.Context, ask func(ctx context.Context, address string) error) error {
	c.mu.Lock()
	answered := c.answered
	c.mu.Unlock()
	if answered {
		return nil
	}
	call := &rpc.Call{ID: rpc.NewID(), Priority: rpc.Probe}
	if at, ok := ctx.Deadline(); ok {
		call.Deadline = at
	}
	g, e := c.acquire(ctx, call, time.Now())
	if e != nil {
		return e
	}
	c.closeAll(g.old)
	g.old = nil
	var err error
	if g.link == nil {
		err = ask(ctx, g.node.Endpoint.Address)
	}
	c.mu.Lock()
	c.giveBack(g, time.Now())
	c.mu.Unlock()
	return err
}
