package gateway

import (
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/layer/breaker"
	"github.com/thriftloom/thriftloom/layer/required"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/service"
)

// plan is what one version of the config asks of the gateway.
type plan struct {
	hash      string
	listeners []listenerPlan
	upstreams []upstreamPlan
	services  []servicePlan
	adminTLS  *tlsPlan
	sample    float64 // of calls that succeed, for the access log
	sharing   *sharing
	stores    storesPlan
}

// plan takes the plan of a config; what is stale keeps what it was.
func (g *Gateway) plan(cfg *Config, stale stale) plan {
	r := cfg.Resolved
	p := plan{
		hash: hashFiles(r.Files, r.Secrets), adminTLS: r.adminTLS, listeners: r.listeners, services: r.services, sample: cfg.Logs.Access.Sample,
		upstreams: slices.Clone(r.upstreams), sharing: r.sharing, stores: r.stores,
	}
	p.keep(g.current.Load(), stale)
	for i := range p.upstreams {
		u := &p.upstreams[i]
		o := &u.cluster
		o.Engine, o.Budget = g.engine, g.budget
		o.Leased, o.Changed = o.Leased && p.sharing != nil, g.used
		o.Busy = nil
		if u.viewed = u.viewed && p.sharing != nil; u.viewed {
			o.Busy = g.busy
		}
	}
	return p
}

// stale is what keeps its last good version.
type stale struct {
	services  []string // labels
	upstreams []string // names of shared ones: those whose users are all among the services
}

// keep puts the last good version of what is stale in the place of what the config has of it. A service that is new has no such version,
// and is left out.
func (p *plan) keep(was *state, stale stale) {
	broken := func(label string) bool { return slices.Contains(stale.services, label) }
	p.services = slices.DeleteFunc(slices.Clone(p.services), func(s servicePlan) bool { return broken(s.label) })
	p.listeners = slices.DeleteFunc(slices.Clone(p.listeners), func(l listenerPlan) bool { return l.own && broken(l.services[0]) })
	p.upstreams = slices.DeleteFunc(p.upstreams, func(u upstreamPlan) bool {
		if name, shared := strings.CutPrefix(u.key, sharedPrefix); shared {
			return slices.Contains(stale.upstreams, name)
		}
		return broken(strings.TrimPrefix(u.key, "services."))
	})
	for _, label := range stale.services {
		if old, ok := was.plans[label]; ok {
			p.keepService(old, was)
		}
	}
	for i, l := range p.listeners {
		p.listeners[i].services = p.served(l)
	}
}

// served returns the labels of those services of a listener that there are.
func (p *plan) served(l listenerPlan) (labels []string) {
	for _, s := range p.services {
		if l.all || slices.Contains(l.services, s.label) {
			labels = append(labels, s.label)
		}
	}
	return labels
}

// keepService adds what a service was, with the addresses and upstreams that the config does not give to others.
func (p *plan) keepService(old servicePlan, was *state) {
	p.services = append(p.services, old)
	for _, l := range old.listen {
		if !slices.ContainsFunc(p.listeners, func(x listenerPlan) bool { return x.id() == l.id() }) {
			p.listeners = append(p.listeners, l)
		}
	}
	for _, key := range old.uses() {
		if !slices.ContainsFunc(p.upstreams, func(x upstreamPlan) bool { return x.key == key }) {
			p.upstreams = append(p.upstreams, *was.upstreams[key].plan.Load())
		}
	}
}

// staleIn returns what keeps its last good version where these mistakes were found: besides what they stand in, the services that broken
// files held when they were whole, but for those that stand in another file now.
func (st *state) staleIn(l *Loaded) stale {
	s := stale{services: l.blamed.services, upstreams: l.blamed.upstreams}
	now := l.Config.Services.Names()
	for _, t := range st.services {
		label := t.Name()
		if slices.Contains(l.blamed.files, st.plans[label].file) && !slices.Contains(now, label) {
			s.services = with(s.services, label)
		}
	}
	return s
}

// policy is the plan of one method, nil for those that the IDL does not have, with its upstream looked up, as the IDL's service calls it.
func (m methodPlan) policy(svc *schema.Service, method *schema.Method, upstreams map[string]*upstream) service.Policy {
	to := upstreams[m.upstream]
	var broken breaker.Policy
	if m.policies.Breaker.On {
		broken.Failures = m.policies.Breaker.Failures
	}
	return service.Policy{
		Timeout: m.policies.Deadline.Timeout, Retry: m.policies.Retry, Budget: &to.budget, Idempotent: m.idempotent, Allow: m.policies.Allow,
		Upstream: asService{to, svc.Name}, Wire: to.plan.Load().speaks(), Required: required.For(method, m.policies.RequiredFields),
		Affinity: m.affinity, Breaker: broken, Priority: m.policies.Priority.Policy(), Limit: m.limit, Cache: m.cache, Subset: m.subset,
	}
}
