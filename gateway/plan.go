package gateway

import (
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/service"
)

// plan is what one version of the config asks of the gateway.
type plan struct {
	hash      string
	listeners []listenerPlan
	upstreams []upstreamPlan
	services  []servicePlan
	sample    float64 // of calls that succeed, for the access log
}

// plan takes the plan of a config; services that are stale keep what they were.
func (g *Gateway) plan(cfg *Config, stale []string) plan {
	r := cfg.Resolved
	p := plan{
		hash: hashFiles(r.Files), listeners: r.listeners, services: r.services, sample: cfg.Logs.Access.Sample,
		upstreams: slices.Clone(r.upstreams),
	}
	if len(stale) > 0 {
		p.keep(g.current.Load(), stale)
	}
	for i := range p.upstreams {
		p.upstreams[i].cluster.Engine, p.upstreams[i].cluster.Budget = g.engine, g.budget
	}
	return p
}

// keep puts the last good version of the stale services in the place of what the config has of them. One that is new has no such
// version, and is left out.
func (p *plan) keep(was *state, stale []string) {
	broken := func(label string) bool { return slices.Contains(stale, label) }
	p.services = slices.DeleteFunc(slices.Clone(p.services), func(s servicePlan) bool { return broken(s.label) })
	p.listeners = slices.DeleteFunc(slices.Clone(p.listeners), func(l listenerPlan) bool { return l.own && broken(l.services[0]) })
	p.upstreams = slices.DeleteFunc(p.upstreams, func(u upstreamPlan) bool {
		label, own := strings.CutPrefix(u.key, "services.")
		return own && broken(label)
	})
	for _, label := range stale {
		if old, ok := was.plans[label]; ok {
			p.keepService(old, was)
		}
	}
	for i, l := range p.listeners {
		p.listeners[i].services = slices.DeleteFunc(slices.Clone(l.services), func(label string) bool {
			return !slices.ContainsFunc(p.services, func(s servicePlan) bool { return s.label == label })
		})
	}
}

// keepService adds what a service was, with the addresses and upstreams that the config does not give to others.
func (p *plan) keepService(old servicePlan, was *state) {
	p.services = append(p.services, old)
	for _, l := range old.listen {
		if !slices.ContainsFunc(p.listeners, func(x listenerPlan) bool { return x.id() == l.id() }) {
			p.listeners = append(p.listeners, l)
		}
	}
	for _, m := range append(slices.Clone(old.methods), old.other) {
		if !slices.ContainsFunc(p.upstreams, func(x upstreamPlan) bool { return x.key == m.upstream }) {
			p.upstreams = append(p.upstreams, *was.upstreams[m.upstream].plan.Load())
		}
	}
}

// reread loads the config file anew. The config is nil where nothing of it can be taken over.
func (g *Gateway) reread(was *Config) (cfg *Config, stale, mistakes []string) {
	l := Load(was.Resolved.Path, g.opts.Env)
	for _, m := range l.Mistakes {
		mistakes = append(mistakes, m.String())
	}
	stale, outside := l.Broken()
	if outside {
		return nil, nil, mistakes
	}
	return l.Config, stale, mistakes
}

// policy is the plan with its upstream looked up, as the IDL's service calls it.
func (m methodPlan) policy(idlService string, upstreams map[string]*upstream) service.Policy {
	return service.Policy{
		Timeout: m.policies.Deadline.Timeout, Retry: m.policies.Retry, Idempotent: m.idempotent,
		Upstream: asService{upstreams[m.upstream], idlService},
	}
}
