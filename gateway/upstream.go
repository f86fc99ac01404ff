package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/layer/translate"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
	"github.com/thriftloom/thriftloom/scale/process"
	"github.com/thriftloom/thriftloom/transport"
)

// upstreamPlan is one place where calls go, as the config has it.
type upstreamPlan struct {
	key         string // its identity: a label of a service, or a name out of `upstreams`
	name        string // for people
	cluster     cluster.Options
	endpoints   []rpc.Endpoint  // where the config names them
	source      *sourcePlan     // where they are looked up; nil otherwise
	run         *process.Config // where processes are started; nil otherwise
	state       string          // folder for what the processes leave
	multiplexed bool            // methods go out as service:method
	tls         *tlsPlan        // nil: none
	login       *loginPlan      // nil: none
	drainTime   time.Duration   // the longest a call may take
	viewed      bool            // how many calls it has is told to other gateways
}

// upstream is a cluster, with the replicas behind it where the gateway runs them. It outlives a reload that does not change what it is.
type upstream struct {
	plan     atomic.Pointer[upstreamPlan] // what it points to is not changed
	cluster  *cluster.Cluster
	budget   budget.Budget   // of tries, for all services that use it
	set      *process.Set    // nil where nothing is run
	life     context.Context // ends when everything that it started is to end
	stop     context.CancelFunc
	stopped  chan struct{}            // closed when all that has ended
	answered atomic.Bool              // an endpoint has given a sign of life
	before   atomic.Pointer[upstream] // whose place it takes, until this one has answered

	following atomic.Pointer[following] // nil where nothing is looked up
}

// asService is an upstream as one service calls it.
type asService struct {
	*upstream
	service string // in the IDL
}

// Handle hands the call on. Where the servers are multiplexed it is a copy under the longer name: everything above keeps the method's own.
func (a asService) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	u := a.serving()
	p := u.plan.Load()
	if p.multiplexed {
		named := *call
		named.Name = a.service + ":" + call.Name
		call = &named
	}
	if err := transport.Carries(p.cluster.Wire.Kind, call.Headers); err != nil {
		return nil, &rpc.Error{Code: rpc.Malformed, Reach: rpc.NotSent, Op: call.Service, Text: err.Error(), Err: err}
	}
	// The call has been translated for what the config says now; the upstream before it, which serves a little longer, may speak otherwise.
	return p.speaks().Handle(ctx, call, u.cluster)
}

// speaks is the protocol of an upstream.
func (p *upstreamPlan) speaks() translate.Policy {
	return translate.Policy{Protocol: p.cluster.Wire.Protocol, Limits: p.cluster.Limits}
}

// serving returns the upstream that gets the calls: itself, or the one before it; nil for nil.
func (u *upstream) serving() *upstream {
	if u == nil {
		return nil
	}
	before := u.before.Load()
	if before == nil {
		return u
	}
	if u.answered.Load() {
		u.before.Store(nil)
		return u
	}
	return before
}

// sameProcesses reports whether replicas of one plan serve the other as they are.
func (p *upstreamPlan) sameProcesses(o *upstreamPlan) bool {
	if (p.run == nil) != (o.run == nil) {
		return false
	}
	if p.run == nil {
		return true
	}
	a, b := *p.run, *o.run
	for _, c := range []*process.Config{&a, &b} { // what is changed while they run
		c.Replicas, c.StartTimeout, c.StopTimeout = 0, 0, 0
	}
	return reflect.DeepEqual(a, b)
}

// sameWire reports whether connections of one plan speak as the other wants.
func (p *upstreamPlan) sameWire(o *upstreamPlan) bool {
	return p.cluster.Wire == o.cluster.Wire && p.cluster.Limits == o.cluster.Limits && p.multiplexed == o.multiplexed && p.cluster.Tracking == o.cluster.Tracking && p.tls.equal(o.tls) && p.login.equal(o.login)
}

// startUpstream brings an upstream to life. Its goroutines end after halt.
// before, which may be nil, is the upstream whose place it takes: it gets the calls until the new one has answered.
func (g *Gateway) startUpstream(p upstreamPlan, before *upstream) (*upstream, error) {
	opts := p.cluster
	opts.OnLearned = func(endpoint string, l cluster.Learned) {
		g.log.Warn("an endpoint closes connections early: they are kept for less time than its server kind says",
			"upstream", p.name, "endpoint", endpoint, "idle_expiry", l.IdleExpiry, "max_age", l.MaxAge)
	}
	opts.OnSerial = func(endpoint string) {
		g.log.Warn("an endpoint that is said to be concurrent answers in order: each of its slots is a connection",
			"upstream", p.name, "endpoint", endpoint)
	}
	opts.OnState = func(endpoint, state string) {
		level, text := slog.LevelWarn, "an endpoint is down: it could not be reached several times in a row"
		switch state {
		case balance.Ejected:
			text = "an endpoint is ejected: it fails calls that the others answer"
		case balance.Up:
			level, text = slog.LevelInfo, "an endpoint is up again"
		}
		g.log.Log(g.life, level, text, "upstream", p.name, "endpoint", endpoint)
	}
	opts.OnOverload = func(on bool) {
		level, text := slog.LevelWarn, "an upstream is overloaded: more calls come than it answers, and some are refused"
		if !on {
			level, text = slog.LevelInfo, "an upstream is overloaded no longer"
		}
		if n, ok := g.quiet.take(fmt.Sprint("overload ", p.name, on), time.Now()); ok {
			g.log.Log(g.life, level, text, "upstream", p.name, "not_told", n)
		}
	}
	u := &upstream{cluster: cluster.New(opts), stopped: make(chan struct{})}
	u.plan.Store(&p)
	u.before.Store(before.serving())
	u.life, u.stop = context.WithCancel(g.life)
	if p.run == nil {
		u.cluster.Update(p.endpoints)
		if p.source != nil {
			g.follow(u, &p, resolve.NewKeeper(nil))
		}
		if p.cluster.Leased && g.follows {
			u.answered.Store(true) // without a slot it cannot be asked; the process before vouches for it
		}
		go func() {
			defer close(u.stopped)
			u.awaitAnswer()
			u.cluster.Watch(u.life)
			u.unfollow()
			u.cluster.Close()
		}()
		return u, nil
	}
	set, err := process.New(*p.run, process.Options{
		Name: p.name, State: p.state, Output: g.opts.Output, Log: g.log, DrainTimeout: p.drainTime,
		Probe: u.probe, Adopt: g.adopt(&p),
		OnEndpoints: func(endpoints []rpc.Endpoint) {
			u.cluster.Update(endpoints)
			if len(endpoints) > 0 {
				u.answered.Store(true)
			}
		},
		Drain: func(ctx context.Context, name string) { _ = u.cluster.Drained(ctx, name) },
	})
	if err != nil {
		u.stop()
		return nil, fmt.Errorf("upstream %s: %w", p.name, err)
	}
	u.set = set
	go func() {
		defer close(u.stopped)
		var watch sync.WaitGroup
		watch.Go(func() { u.cluster.Watch(u.life) })
		defer watch.Wait()
		if err := set.Run(u.life); err != nil {
			g.log.Error("replicas ended", "upstream", p.name, "error", err)
		}
		u.cluster.Close()
	}()
	return u, nil
}

// probe asks one endpoint for a sign of life on a connection of its own.
func (u *upstream) probe(ctx context.Context, address string) error {
	o := u.plan.Load().cluster
	return client.Probe(ctx, o.Engine, address, client.Config{Wire: o.Wire, Limits: o.Limits, Budget: o.Budget, Dialer: o.Dialer}, o.Checks.Method)
}

// awaitAnswer asks the endpoints until one has answered, or the upstream ends. Each question takes a slot: a server with one worker, or
// one that other gateways share, has no connection to spare.
func (u *upstream) awaitAnswer() {
	const first = 50 * time.Millisecond
	for pause := first; u.life.Err() == nil; pause = min(2*pause, 2*time.Second) {
		n := len(u.plan.Load().endpoints)
		if s := u.source(); s != nil {
			n = s.Endpoints
		}
		if n == 0 { // the source has not answered yet
			pause = first
		}
		for range n {
			once, cancel := context.WithTimeout(u.life, time.Second)
			err := u.cluster.Probe(once, u.probe)
			cancel()
			if err == nil {
				u.answered.Store(true)
				return
			}
		}
		wait(u.life, pause)
	}
}

// change makes a living upstream what the new plan says. The two are the same in processes and wire.
func (g *Gateway) change(u *upstream, p upstreamPlan) {
	was := u.plan.Swap(&p)
	u.cluster.Configure(p.cluster)
	if u.set == nil {
		g.changeEndpoints(u, was, &p)
		return
	}
	u.set.SetTimeouts(process.Timeouts{Start: p.run.StartTimeout, Stop: p.run.StopTimeout, Drain: p.drainTime})
	u.set.Scale(p.run.Replicas)
}

// grace is how long an upstream that nobody routes to any more is kept for calls that had been routed and have not come to it yet.
const grace = time.Second

// halt ends an upstream whose calls nobody routes here any more: those that began before are answered first, within the longest that a
// call may take. It waits for its processes.
func (u *upstream) halt() {
	drain, cancel := context.WithTimeout(u.life, grace+u.plan.Load().drainTime)
	defer cancel()
	wait(drain, grace)
	for drain.Err() == nil {
		if taken, waiting := u.cluster.InFlight(); taken+waiting == 0 {
			break
		}
		wait(drain, 20*time.Millisecond)
	}
	u.cluster.Close()
	u.stop()
	<-u.stopped
}
