package gateway

import (
	"slices"

	"github.com/thriftloom/thriftloom/rpc"
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
		p.keep(g.current.Load(), g.upstreams, stale)
	}
	for i := range p.upstreams {
		p.upstreams[i].cluster.Engine = g.engine
	}
	return p
}

// keep puts the last good version of the stale services in the place of what the config has of them.
func (p *plan) keep(was *state, upstreams map[string]*upstream, stale []string) {
	p.services = slices.DeleteFunc(slices.Clone(p.services), func(s servicePlan) bool { return slices.Contains(stale, s.label) })
	have := map[string]bool{}
	for _, label := range stale {
		old, ok := was.plans[label]
		if !ok {
			continue // it is new, and has no good version
		}
		p.services = append(p.services, old)
		need := []string{old.upstream, old.other.upstream}
		for _, m := range old.methods {
			need = append(need, m.upstream)
		}
		for _, key := range need {
			if u := upstreams[key]; u != nil && !have[key] {
				have[key] = true
				p.upstreams = slices.DeleteFunc(p.upstreams, func(x upstreamPlan) bool { return x.key == key })
				p.upstreams = append(p.upstreams, *u.plan.Load())
			}
		}
		p.listeners = slices.DeleteFunc(slices.Clone(p.listeners), func(l listenerPlan) bool {
			return len(l.services) == 1 && l.services[0] == label
		})
		p.listeners = append(p.listeners, old.listen...)
	}
	served := map[string]bool{}
	for _, s := range p.services {
		served[s.label] = true
	}
	for i := range p.listeners { // labels of new services that are broken lead nowhere
		p.listeners[i].services = slices.DeleteFunc(slices.Clone(p.listeners[i].services), func(s string) bool { return !served[s] })
	}
}

// reread loads the config file anew. The config is nil where nothing of it can be taken over.
func (g *Gateway) reread(was *Config) (cfg *Config, stale, mistakes []string) {
	l := Load(was.Resolved.Path, g.opts.Env)
	for _, m := range l.Mistakes {
		mistakes = append(mistakes, m.String())
	}
	broken, outside := l.Broken()
	if outside || len(broken) > 0 && len(broken) == len(l.Config.Services) && len(g.current.Load().plans) == 0 {
		return nil, nil, mistakes
	}
	return l.Config, broken, mistakes
}

// policy is the plan with its upstream looked up.
func (m methodPlan) policy(clusters map[string]rpc.Handler) service.Policy {
	return service.Policy{
		Timeout: m.policies.Deadline.Timeout, Retry: m.policies.Retry, Idempotent: m.idempotent, Upstream: clusters[m.upstream],
	}
}
