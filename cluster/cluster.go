// Package cluster is many endpoints as one Handler: slots, one shared queue, and the connections.
//
// A slot is one call in flight at one endpoint. A call waits in the cluster's one queue until any endpoint that may take it has a free slot,
// never behind a busy endpoint while another is idle, nor behind a call that may go to busy ones only. An endpoint never has more connections than
// slots; of one that answers in any order, a slot is a share of a connection.
package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fair"
	"github.com/thriftloom/thriftloom/internal/quantile"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// Options say how a cluster's endpoints serve. Zero values are the defaults named.
type Options struct {
	Name        string // of the upstream, for errors and logs
	Engine      netio.Engine
	Wire        transport.Wire
	Limits      wire.Limits
	Budget      *netio.Budget // of the connections' bytes; nil: not counted
	Dialer      client.Dialer // nil: the operating system's network
	Slots       int           // per endpoint that names none, in calls; default 1
	Auto        bool          // of such an endpoint: how many of Slots are used is learned, from a few on
	IdleExpiry  time.Duration // after which a free connection is closed; default 1.5s
	MaxAge      time.Duration // after which a connection takes no new call; zero: none
	DialTimeout time.Duration // default 1s
	// Tracking is the name under which connections ask for ThriftPy's tracking, one round trip each; "": none does. It is for endpoints that
	// are not Shared, or turn out to answer in order.
	Tracking string
	Queue    QueueConfig
	Balance  balance.Config // how an endpoint is chosen
	Zone     string         // in which calls come in: endpoints there are taken first; "": wherever they stand
	Checks   Checks         // of endpoints without traffic, while Watch runs
	// Shared asks each endpoint whether it answers in any order: where it does, a slot is a share of a connection, and there are few.
	Shared bool
	// SharedSlots is Slots, whatever an endpoint names, of those that do; zero: the same.
	SharedSlots int
	// OnSerial, if set, is told once of an endpoint that was asked, and answers in order. It is to be quick.
	OnSerial func(endpoint string)
	// Leased says that the endpoints are shared with others: none has a slot until SetLimits gives some. Changed is then called whenever
	// what Usage returns may interest the others; waiting says that a call has begun to wait, or twice as many as when it was told last. It
	// must neither block nor call the cluster.
	Leased  bool
	Changed func(waiting bool)
	// Busy, if set, is told of each call that takes a slot or begins to wait: others are to be told how many calls there are (Calls), and tell
	// theirs (SetOthers). It must be quick, and not call the cluster.
	Busy func()
	// OnLearned, if set, is told when an endpoint has closed connections earlier than they would have been given up here, and for how long
	// they are kept from now on. It is to be quick.
	OnLearned func(endpoint string, l Learned)
	// OnState, if set, is told when an endpoint is lost (down, three times in a row), ejected, or up again. It is to be quick.
	OnState func(endpoint, state string)
	// OnOverload, if set, is told when more calls come than are answered, and when that is over. It is to be quick.
	OnOverload func(on bool)
}

func (o Options) withDefaults() Options {
	if o.Slots == 0 {
		o.Slots = 1
	}
	if o.IdleExpiry == 0 {
		o.IdleExpiry = 1500 * time.Millisecond
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = time.Second
	}
	o.Checks = o.Checks.withDefaults()
	return o
}

// Cluster is a named set of endpoints. Safe for concurrent use.
type Cluster struct {
	opts atomic.Pointer[Options] // what it points to is not changed

	mu        sync.Mutex
	picker    *balance.Picker
	nodes     map[*balance.Node]*node
	at        map[string][]*node // of nodes, by address
	leaving   map[*node]bool     // removed, and still at work
	waiting   fair.Queue[waiting]
	sharers   int         // who share the endpoints and have told their calls, this cluster's owner included; 0: nobody tells
	reaper    *time.Timer // closes connections that are free for too long; nil while there are none
	reapsAt   time.Time   // when it does
	closed    bool
	yielding  bool           // no connection is kept without a call
	look      chan struct{}  // tells Watch that endpoints or checks are others; capacity 1
	watched   bool           // Watch runs
	endpoints []rpc.Endpoint // as Update was given them
	latency   quantile.Sketch
	refused   int64 // calls that found the queue full
	loads     loads
	typical   typical
	shed      shed
	answered  bool // a call has had its reply
}

// New returns a cluster without endpoints.
func New(opts Options) *Cluster {
	c := &Cluster{
		picker:  balance.New(opts.Balance.New(), rand.IntN),
		nodes:   map[*balance.Node]*node{},
		at:      map[string][]*node{},
		leaving: map[*node]bool{},
		look:    make(chan struct{}, 1),
	}
	opts = opts.withDefaults()
	c.opts.Store(&opts)
	c.picker.Place(opts.Zone)
	return c
}

// Configure changes how the endpoints are used from now on. Name, Engine, Wire, Limits, Budget, Dialer, OnLearned, OnSerial, OnState and
// OnOverload stay as they were: connections that speak otherwise belong to another cluster.
func (c *Cluster) Configure(opts Options) {
	next, was := opts.withDefaults(), c.opts.Load()
	next.Name, next.Engine, next.Wire, next.Limits, next.Dialer = was.Name, was.Engine, was.Wire, was.Limits, was.Dialer
	next.Budget, next.OnLearned, next.OnSerial, next.OnState, next.OnOverload = was.Budget, was.OnLearned, was.OnSerial, was.OnState, was.OnOverload
	c.mu.Lock()
	c.opts.Store(&next)
	if next.Queue.Target == 0 {
		c.loads = loads{told: c.loads.told}
	}
	if next.Balance != was.Balance {
		c.picker.Use(next.Balance.New())
	}
	c.picker.Place(next.Zone)
	c.picker.Grace = c.grace()
	stale := c.update(c.endpoints)
	if next.Leased != was.Leased {
		c.recount(next.Leased)
	}
	now := time.Now()
	c.reapAt(now, now) // connections may be kept for less time
	c.dispatch(now)
	c.mu.Unlock()
	c.closeAll(stale)
}

// Update sets the endpoints. One that stays, by address and name, keeps its connections and counts; one that is gone takes no new call
// and its calls in flight go on.
func (c *Cluster) Update(endpoints []rpc.Endpoint) {
	c.mu.Lock()
	stale := c.update(endpoints)
	c.dispatch(time.Now())
	c.mu.Unlock()
	c.closeAll(stale)
}

// update makes the picker's nodes those of endpoints, and returns the connections to be closed without the lock. c.mu is held.
func (c *Cluster) update(endpoints []rpc.Endpoint) (stale []*link) {
	if c.closed {
		endpoints = nil
	}
	c.endpoints = endpoints
	type key struct{ address, name string }
	old, left := map[key]*node{}, map[key]*node{}
	for _, n := range c.nodes {
		old[key{n.Endpoint.Address, n.Endpoint.Name}] = n
	}
	for n := range c.leaving {
		left[key{n.Endpoint.Address, n.Endpoint.Name}] = n
	}
	seen := map[key]bool{}
	reweighed := false
	for _, e := range endpoints {
		if e.Slots == 0 {
			e.Slots, e.Auto = c.opts.Load().Slots, c.opts.Load().Auto
		}
		if e.Name == "" {
			e.Name = e.Address
		}
		k := key{e.Address, e.Name}
		n := old[k]
		switch {
		case n != nil || seen[k]:
		case left[k] != nil: // its connections still count
			n = left[k]
			c.comeBack(n)
		default:
			n = &node{Node: c.picker.Add(e), cluster: c}
			c.nodes[n.Node] = n
			c.at[e.Address] = append(c.at[e.Address], n)
		}
		if n != nil {
			// Address and Name are read without the lock; they are the key and stay.
			reweighed = reweighed || n.Endpoint.Weight != e.Weight || n.Endpoint.Drained != e.Drained ||
				n.Endpoint.Zone != e.Zone || n.Endpoint.Labels != e.Labels
			n.Endpoint.Slots, n.Endpoint.Auto, n.Endpoint.Weight, n.Endpoint.Drained = e.Slots, e.Auto, e.Weight, e.Drained
			n.Endpoint.Zone, n.Endpoint.Labels = e.Zone, e.Labels
			stale = append(stale, c.resize(n)...)
		}
		seen[k] = true
	}
	for k, n := range old {
		if !seen[k] {
			stale = append(stale, c.remove(n)...)
		}
	}
	if reweighed {
		c.picker.Reweigh()
	}
	c.lookAgain()
	return stale
}

// remove takes a node out of the picker and returns its free connections, to be closed without the lock.
func (c *Cluster) remove(n *node) []*link {
	c.picker.Remove(n.Node)
	delete(c.nodes, n.Node)
	c.forget(n)
	free := n.takeFree(len(n.free))
	if n.open() > 0 {
		n.quiet = make(chan struct{})
		c.leaving[n] = true
	}
	return free
}

// Yield closes the connections without a call, and from now on each one behind its call: somebody else is to have the endpoints' slots.
// Yield(false) ends that.
func (c *Cluster) Yield(on bool) {
	var free []*link
	c.mu.Lock()
	c.yielding = on
	for _, n := range c.nodes {
		if on {
			free = append(free, n.takeFree(len(n.free))...)
		}
	}
	c.mu.Unlock()
	c.closeAll(free)
}

// comeBack puts a node that is on its way out into the picker again. c.mu is held.
func (c *Cluster) comeBack(n *node) {
	delete(c.leaving, n)
	close(n.quiet)
	c.picker.Return(n.Node)
	c.nodes[n.Node] = n
	c.at[n.Endpoint.Address] = append(c.at[n.Endpoint.Address], n)
}

// Drained waits until an endpoint that Update has taken out has no call in flight and no connection.
func (c *Cluster) Drained(ctx context.Context, endpoint string) error {
	c.mu.Lock()
	var quiet chan struct{}
	for n := range c.leaving {
		if n.Endpoint.Name == endpoint {
			quiet = n.quiet
		}
	}
	c.mu.Unlock()
	if quiet == nil {
		return nil
	}
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close takes all endpoints out for good. Calls that wait are refused; those in flight go on.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	stale := c.update(nil)
	if c.reaper != nil {
		c.reaper.Stop()
	}
	c.dispatch(time.Now())
	c.mu.Unlock()
	c.closeAll(stale)
}

// Handle makes one attempt: it waits for a slot, then calls the endpoint that has one.
func (c *Cluster) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	start := time.Now()
	g, e := c.acquire(ctx, call, start)
	if e != nil {
		return nil, e
	}
	c.closeAll(g.old)
	began := start
	if g.waited {
		began = time.Now()
	}
	n, reused := g.node, g.link != nil
	call.Whereabouts.Set(&n.Endpoint.Name)
	reply, l, e := c.attempt(ctx, call, g)
	ended := time.Now()
	took := ended.Sub(began)
	outcome := rpc.OutcomeOf(reply, e)
	if e != nil {
		c.blame(e, n, call)
	}
	call.Record.Add(rpc.Attempt{
		Cluster: c.Name(), Endpoint: n.Endpoint.Name, Start: began, Waited: began.Sub(start), Took: took,
		Reused: reused, Hedge: call.Hedge, Outcome: outcome, Err: e,
	})
	r := balance.Result{Outcome: outcome, Took: took, Method: -1, Call: call, Began: g.mark}
	if call.Method != nil {
		r.Method = call.Method.Index
	}
	if call.Oneway {
		r.Took = 0 // until it was sent
	}
	c.settle(n, l, r, took, ended)
	if e != nil {
		return nil, e
	}
	return reply, nil
}

// attempt makes the call on the connection that came with the slot, or on a new one; link is nil where there is none.
func (c *Cluster) attempt(ctx context.Context, call *rpc.Call, g grant) (reply *rpc.Reply, l *link, e *rpc.Error) {
	if l = g.link; l == nil {
		if l, e = c.connect(ctx, call, g.node); e != nil {
			return nil, nil, e
		}
	}
	reply, err := l.conn.Handle(ctx, call)
	if err != nil {
		e = rpc.AsError(err, "upstream "+c.Name())
	}
	return reply, l, e
}

// blame names who failed, as the config knows them.
func (c *Cluster) blame(e *rpc.Error, n *node, call *rpc.Call) {
	e.Op, e.Endpoint = "upstream "+c.Name(), n.Endpoint.Name
	if e.Code == rpc.HandlerFailed {
		_, method, _ := transport.SplitName(call.Name)
		e.Op = call.Service + "." + method
	}
}

// settle ends an attempt: its slot is given back now, or when the peer is done with the call.
func (c *Cluster) settle(n *node, l *link, r balance.Result, took time.Duration, now time.Time) {
	c.mu.Lock()
	if r.Check {
		n.checked, n.checkedAt = r.Outcome, now
	} else {
		c.count(n, r, took, now)
	}
	if l == nil {
		c.release(n, r, now)
	} else if l.result = r; l.freed {
		c.put(l, now)
	} else { // the peer is still at work: after a timeout, or behind a oneway
		l.result.Held, l.result.Call, r.Held = true, nil, true
		c.picker.Done(n.Node, r, now)
		c.wake(n, now)
	}
	if _, down := c.picker.Due(n.Node, now); down {
		c.lookAgain()
	}
	state, load, overloaded := n.news(), c.loads.news(), c.loads.on
	c.mu.Unlock()
	c.tell(n, state)
	if on := c.opts.Load().OnOverload; on != nil && load {
		on(overloaded)
	}
}

// count counts an attempt of a call. c.mu is held.
func (c *Cluster) count(n *node, r balance.Result, took time.Duration, now time.Time) {
	n.count(r.Outcome)
	switch r.Outcome {
	case rpc.Success, rpc.DeclaredException:
		c.answered = true
		c.latency.Add(took)
		n.latency.Add(took)
		if r.Took > 0 { // not of a oneway call, which nobody answers
			c.loadOf(c.picker.Lane(r.Call)).learn(took)
			c.typical.learn(r.Call.Method, took)
		}
	case rpc.AppException, rpc.NotServed:
	default:
		return
	}
	if r.Took > 0 {
		n.heard = now
	}
}

// tell passes a state on; "" is none.
func (c *Cluster) tell(n *node, state string) {
	if on := c.opts.Load().OnState; on != nil && state != "" {
		on(n.Endpoint.Name, state)
	}
}

// Name returns the upstream's configured name.
func (c *Cluster) Name() string { return c.opts.Load().Name }

// linger returns how long a connection whose call timed out is kept: twice the 99th percentile, one second at least, a minute at most.
func (c *Cluster) linger() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lingers()
}

// lingers is linger. c.mu is held.
func (c *Cluster) lingers() time.Duration {
	return min(max(2*c.latency.Quantile(0.99), time.Second), time.Minute)
}

func errorAt(code rpc.Code, c *Cluster, text string) *rpc.Error {
	return &rpc.Error{Code: code, Reach: rpc.NotSent, Op: "upstream " + c.Name(), Text: text}
}

// refusal is the error of a call that gets no slot.
func (c *Cluster) refusal(err error, call *rpc.Call) *rpc.Error {
	if errors.Is(err, balance.ErrSubset) {
		return errorAt(rpc.Unavailable, c, "no endpoint with "+call.Subset.Text+" is up")
	}
	if errors.Is(err, balance.ErrNoEndpoint) || errors.Is(err, balance.ErrDrained) {
		return errorAt(rpc.Unavailable, c, err.Error())
	}
	return errorAt(rpc.ResourceExhausted, c, "every slot is taken and the queue is full")
}
