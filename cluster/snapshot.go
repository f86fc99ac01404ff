package cluster

import (
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// Snapshot is a cluster at one moment.
type Snapshot struct {
	Name    string
	Waiting int // calls in the queue
	Refused int64
	// Overloaded says that more calls come than are answered, and that calls are refused for it.
	Overloaded bool
	Target     time.Duration // how long calls may wait before that is found: QueueConfig's, or more where calls take long; zero: not known yet
	Shed       []Shed        // by class, the one that is refused last first
	Endpoints  []EndpointSnapshot
}

// EndpointSnapshot is an endpoint at one moment.
type EndpointSnapshot struct {
	Name        string
	Address     string
	Zone        string
	Labels      rpc.Labels
	State       string // up, down (it cannot be reached), ejected (it fails more than the others), drained (by its weight) or draining
	Slots       int
	Auto        bool // Slots are learned
	Leased      int  // of Slots, those that this cluster may use: all where the endpoint is not shared
	InFlight    int
	Others      int // calls of others that share the endpoint, as far as they tell
	Zombies     int // of InFlight: the caller has its answer or has gone, the peer is still at work
	Connections int
	Calls       int64
	Failures    int64
	LastFailure string // outcome class, "" if there was none
	P50, P99    time.Duration
	Learned     Learned
	Checked     time.Time // when the last check ended; zero where there was none
	Check       string    // what became of it: an outcome class
}

// Snapshot returns the cluster as it is now.
func (c *Cluster) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	s := Snapshot{Name: c.Name(), Waiting: c.waiting.Len(), Refused: c.refused, Overloaded: c.loads.on, Target: c.loads.all.target, Shed: c.shed.snapshot()}
	for _, bn := range c.picker.Nodes() {
		s.Endpoints = append(s.Endpoints, c.nodes[bn].snapshot(bn.State(), now))
	}
	for n := range c.leaving {
		s.Endpoints = append(s.Endpoints, n.snapshot("draining", now))
	}
	return s
}

func (n *node) snapshot(state string, now time.Time) EndpointSnapshot {
	e := EndpointSnapshot{
		Name: n.Endpoint.Name, Address: n.Endpoint.Address, Zone: n.Endpoint.Zone, Labels: n.Endpoint.Labels, State: state, Slots: n.Endpoint.Slots, Leased: n.Slots, InFlight: n.InFlight, Others: n.Others, Zombies: n.Zombies,
		Connections: len(n.free) + n.InFlight, Calls: n.calls, Failures: n.failures,
		P50: n.latency.Quantile(0.5), P99: n.latency.Quantile(0.99), Learned: n.lessons.at(now),
		Checked: n.checkedAt,
	}
	if n.checked != 0 {
		e.Check = n.checked.String()
	}
	if slots, ok := n.Node.Learned(); ok {
		e.Slots, e.Leased, e.Auto = slots, slots, true
	}
	if n.sharing.granted {
		e.Connections = n.sharing.live()
	}
	if n.lastErr != 0 {
		e.LastFailure = n.lastErr.String()
	}
	return e
}

// Answering reports whether at least one endpoint is there and was not found unreachable.
func (c *Cluster) Answering() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.picker.Nodes() {
		if state := n.State(); state != balance.Down && state != balance.Drained {
			return true
		}
	}
	return false
}

// InFlight returns how many slots are taken and how many calls wait.
func (c *Cluster) InFlight() (taken, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.nodes {
		taken += n.InFlight
	}
	for n := range c.leaving {
		taken += n.InFlight
	}
	return taken, c.waiting.Len()
}

var _ rpc.Handler = (*Cluster)(nil)
