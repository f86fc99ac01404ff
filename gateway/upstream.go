package gateway

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/scale/process"
)

// upstreamPlan is one place where calls go, as the config has it.
type upstreamPlan struct {
	key       string // its identity: a label of a service, or a name out of `upstreams`
	name      string // for people
	cluster   cluster.Options
	endpoints []rpc.Endpoint  // where the config names them
	run       *process.Config // where processes are started; nil otherwise
	state     string          // folder for what the processes leave
	probe     string          // method that a probe calls, "" for none of the service's
	drainTime time.Duration   // the longest a call may take
}

// upstream is a cluster, with the replicas behind it where the gateway runs them. It outlives a reload that does not change what it is.
type upstream struct {
	plan     atomic.Pointer[upstreamPlan] // what it points to is not changed
	cluster  *cluster.Cluster
	set      *process.Set    // nil where nothing is run
	life     context.Context // ends with stop, or with the gateway
	stop     context.CancelFunc
	stopped  chan struct{} // closed when everything that it started has ended
	answered chan struct{} // closed when an endpoint has answered a call
	pinned   int           // replicas that a person asked for; -1: what the file says
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
	a.Replicas, b.Replicas = 0, 0
	return reflect.DeepEqual(a, b)
}

// sameWire reports whether connections of one plan speak as the other wants.
func (p *upstreamPlan) sameWire(o *upstreamPlan) bool {
	return p.cluster.Wire == o.cluster.Wire && p.cluster.Limits == o.cluster.Limits
}

// startUpstream brings an upstream to life. Its goroutines end after halt.
func (g *Gateway) startUpstream(p upstreamPlan) (*upstream, error) {
	u := &upstream{cluster: cluster.New(p.cluster), stopped: make(chan struct{}), answered: make(chan struct{}), pinned: -1}
	ctx, cancel := context.WithCancel(g.life)
	u.life, u.stop = ctx, cancel
	u.plan.Store(&p)
	if p.run == nil {
		u.cluster.Update(p.endpoints)
		go func() {
			defer close(u.stopped)
			u.awaitAnswer(ctx)
			<-ctx.Done()
			u.cluster.Close()
		}()
		return u, nil
	}
	set, err := process.New(*p.run, process.Options{
		Name: p.name, State: p.state, Output: g.opts.Output, Log: g.log, DrainTimeout: p.drainTime,
		Probe: u.probe,
		OnEndpoints: func(endpoints []rpc.Endpoint) {
			u.cluster.Update(endpoints)
			if len(endpoints) > 0 {
				u.markAnswered()
			}
		},
		Drain: func(ctx context.Context, name string) { _ = u.cluster.Drained(ctx, name) },
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("upstream %s: %w", p.name, err)
	}
	u.set = set
	go func() {
		defer close(u.stopped)
		if err := set.Run(ctx); err != nil {
			g.log.Error("replicas ended", "upstream", p.name, "error", err)
		}
		u.cluster.Close()
	}()
	return u, nil
}

// probe asks one endpoint for a sign of life on a connection of its own.
func (u *upstream) probe(ctx context.Context, address string) error {
	o := u.plan.Load().cluster
	return client.Probe(ctx, o.Engine, address, client.Config{Wire: o.Wire, Limits: o.Limits, Dialer: o.Dialer}, u.plan.Load().probe)
}

// awaitAnswer asks the endpoints in turn until one has answered.
func (u *upstream) awaitAnswer(ctx context.Context) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		for _, e := range u.plan.Load().endpoints {
			once, cancel := context.WithTimeout(ctx, time.Second)
			err := u.probe(once, e.Address)
			cancel()
			if err == nil {
				u.markAnswered()
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (u *upstream) markAnswered() {
	select {
	case <-u.answered:
	default:
		close(u.answered)
	}
}

// change makes a living upstream what the new plan says. The two are the same in processes and wire.
func (u *upstream) change(p upstreamPlan) {
	u.plan.Store(&p)
	u.cluster.Configure(p.cluster)
	if u.set == nil {
		u.cluster.Update(p.endpoints)
		return
	}
	u.pinned = -1
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
