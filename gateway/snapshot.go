package gateway

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/rpc"
)

// Snapshot returns the gateway as it is now.
func (g *Gateway) Snapshot() status.Snapshot {
	now, st := time.Now(), g.current.Load()
	s := status.Snapshot{
		Version: g.opts.Version, UptimeSeconds: now.Sub(g.started).Seconds(), Draining: g.draining.Load(),
		Config: status.ConfigInfo{Path: st.config.Resolved.Path, Hash: st.hash, LoadedAt: st.loaded, Stale: slices.Clone(st.stale)},
	}
	for _, l := range st.listeners {
		s.Listeners = append(s.Listeners, status.Listener{
			Address: l.address(), Services: l.plan.Load().services, Connections: l.server.Snapshot().Connections,
		})
	}
	s.Certificates = st.keys.snapshot()
	s.Gateways = g.gateways()
	names := map[string]string{}
	for key, u := range st.upstreams {
		names[key] = u.plan.Load().name
		s.Clusters = append(s.Clusters, u.snapshot())
		s.Replicas = append(s.Replicas, u.replicas()...)
	}
	slices.SortFunc(s.Listeners, func(a, b status.Listener) int { return strings.Compare(a.Address, b.Address) })
	slices.SortFunc(s.Clusters, func(a, b status.Cluster) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Replicas, func(a, b status.Replica) int { return strings.Compare(a.Name, b.Name) })
	counts := g.cache.Counts()
	s.Cache = g.cacheInfo(counts)
	for _, t := range st.services {
		p := st.plans[t.Name()]
		of := g.service(t, p, st.learned[t.Name()], names, now)
		for i, m := range p.schema.Methods {
			of.Methods[i].Cache = g.cached(counts, t.Name(), m.Name, &p.methods[i])
		}
		s.Services = append(s.Services, of)
	}
	total := g.stats.Total(now)
	s.Totals = status.Totals{
		Calls: total.Calls, Errors: total.Errors, InFlight: total.InFlight, CallsPerSecond: total.CallsPerSecond,
		P50Seconds: total.P50.Seconds(), P99Seconds: total.P99.Seconds(),
	}
	for _, c := range s.Clusters {
		s.Totals.Queue += c.QueueCalls
	}
	return s
}

func (g *Gateway) service(t *target, p servicePlan, known *learned, upstreams map[string]string, now time.Time) status.Service {
	s := status.Service{
		Name: t.Name(), IDLService: t.Schema().Name, IDLFingerprint: t.fingerprint,
		UnknownMethods: "refuse", Upstream: upstreams[p.upstream],
	}
	if t.forward {
		s.UnknownMethods = "forward"
	}
	for _, l := range t.Stack() {
		s.Stack = append(s.Stack, status.Layer{Name: l.Name, Why: l.Why})
	}
	s.Stack = append(s.Stack, status.Layer{Name: "cluster", Why: "innermost: one queue for all slots"})
	s.Breaker = known.broken(&p, now)
	for i, m := range t.Schema().Methods {
		method := g.method(t.Name(), m.Name, p.methods[i], upstreams, now)
		method.Hedges = known.hedged(&p, i)
		s.Methods = append(s.Methods, method)
	}
	if other := g.method(t.Name(), "_OTHER", p.other, upstreams, now); other.Calls > 0 {
		s.Methods = append(s.Methods, other)
	}
	return s
}

func (g *Gateway) method(label, name string, p methodPlan, upstreams map[string]string, now time.Time) status.Method {
	m := g.stats.Method(rpc.MethodKey{Service: label, Method: name}, now)
	s := status.Method{
		Name: name, Calls: m.Calls, Errors: m.Errors, InFlight: m.InFlight, P50Seconds: m.P50.Seconds(), P99Seconds: m.P99.Seconds(),
		TimeoutSeconds: p.policies.Deadline.Timeout.Seconds(), Idempotent: p.idempotent, Upstream: upstreams[p.upstream],
		Allow: p.policies.Allow, Priority: p.policies.Priority.Class, MaxInFlight: p.maxInFlight,
	}
	g.rollout.show(&s, label, &p)
	for _, r := range p.limit.Rules {
		s.Limits = append(s.Limits, r.String())
	}
	return s
}

func (u *upstream) snapshot() status.Cluster {
	c := u.cluster.Snapshot()
	s := status.Cluster{Name: c.Name, Leased: u.plan.Load().cluster.Leased, Viewed: u.plan.Load().viewed, QueueCalls: c.Waiting, QueueMax: u.plan.Load().cluster.Queue.MaxCalls, Refused: c.Refused, Source: u.source(), Overloaded: c.Overloaded, TargetSeconds: c.Target.Seconds()}
	for _, x := range c.Shed {
		s.Shed = append(s.Shed, status.Shed{Priority: x.Priority.String(), Full: x.Full, Crowd: x.Crowd, Waited: x.Waited, Late: x.Late})
	}
	for _, e := range c.Endpoints {
		s.Endpoints = append(s.Endpoints, status.Endpoint{
			Name: e.Name, Address: e.Address, Zone: e.Zone, Labels: e.Labels.Map(), State: e.State, Slots: e.Slots, SlotsLearned: e.Auto, LeasedSlots: e.Leased, InFlight: e.InFlight, Others: e.Others, Zombies: e.Zombies,
			Connections: e.Connections, Calls: e.Calls, Failures: e.Failures, LastErrorCode: e.LastFailure,
			P50Seconds: e.P50.Seconds(), P99Seconds: e.P99.Seconds(),
			LearnedIdleSeconds: e.Learned.IdleExpiry.Seconds(), LearnedAgeSeconds: e.Learned.MaxAge.Seconds(),
			Checked: e.Checked, Check: e.Check,
		})
	}
	slices.SortStableFunc(s.Endpoints, func(a, b status.Endpoint) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func (u *upstream) replicas() (all []status.Replica) {
	if u.set == nil {
		return nil
	}
	for _, r := range u.set.Snapshot().Replicas {
		all = append(all, status.Replica{
			Service: u.plan.Load().name, Name: r.Name, PID: r.PID, State: fmt.Sprint(r.State), Restarts: r.Restarts, Since: r.Since,
			LastExit: r.LastExit, LastOutput: r.Output,
		})
	}
	return all
}

// readyAfter is how long the gateway waits for a service's first answer before it is ready without it.
const readyAfter = 10 * time.Second

// Live returns why the process should be restarted: never yet, as far as it can tell itself.
func (g *Gateway) Live() error { return nil }

// Ready reports whether calls should be sent here: for one service, or for the whole where it is "". The whole is ready once listeners
// are bound and each service has had an endpoint answer, or is at zero by choice, or ten seconds have passed (but for required services);
// then until it drains, whatever one service does. A service is ready while it has an endpoint that is up.
func (g *Gateway) Ready(label string) (ok bool, reasons []string) {
	st := g.current.Load()
	if g.draining.Load() {
		return false, []string{"draining"}
	}
	if st.plans == nil {
		return false, []string{"starting"}
	}
	if label != "" {
		p, known := st.plans[label]
		if !known {
			return false, []string{fmt.Sprintf("no service is named %q", label)}
		}
		if !st.upstreams[p.upstream].up() {
			return false, []string{label + ": no endpoint is up"}
		}
		return true, nil
	}
	ok = true
	early := !g.ready.Load() && time.Since(g.started) < readyAfter
	for _, t := range st.services {
		p := st.plans[t.Name()]
		u := st.upstreams[p.upstream]
		switch {
		case u.atZero():
		case p.required && !u.up():
			ok = false
			reasons = append(reasons, t.Name()+": is required, and no endpoint is up")
		case !u.answered.Load():
			ok = ok && !early
			reasons = append(reasons, t.Name()+": no endpoint has answered yet")
		}
	}
	if ok {
		g.ready.Store(true)
	}
	return ok, reasons
}

// up reports whether an endpoint has answered, and one at least was not found unreachable since.
func (u *upstream) up() bool { return u.answered.Load() && u.cluster.Answering() }

// atZero reports whether no replica is to run, by choice.
func (u *upstream) atZero() bool { return u.set != nil && u.set.Snapshot().Target == 0 }

var _ rpc.Handler = (*target)(nil)
