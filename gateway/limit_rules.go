package gateway

import (
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/limit"
	"github.com/thriftloom/thriftloom/schema"
)

// limits makes the rules of each method ready, and finds arguments that no method has.
func (l *loader) limits(key string, s *Service, p *servicePlan) {
	compile := func(m *methodPlan, method *schema.Method) {
		m.limit.Rules, m.limit.Bounds = nil, gate(m.maxInFlight, s.Cluster.Queue)
		for _, rule := range m.policies.Limit {
			ofMethod := strings.HasPrefix(rule.at.key, key+".methods.")
			l.ruleStore(rule)
			if r, ok := rule.Compile(p.label, method, ofMethod); ok {
				m.limit.Rules = append(m.limit.Rules, r)
			} else if method != nil && ofMethod {
				l.noArgument(rule, "the method has no argument")
			}
		}
	}
	compile(&p.other, nil)
	if p.schema == nil {
		return
	}
	for i := range p.methods {
		compile(&p.methods[i], p.schema.Methods[i])
	}
	for _, rule := range s.Policies.Limit { // those of defaults are for services of all kinds
		has := func(m *schema.Method) bool { _, ok := codec.FindArgument(m, rule.Argument); return ok }
		if rule.Argument != "" && strings.HasPrefix(rule.at.key, key+".") && !slices.ContainsFunc(p.schema.Methods, has) {
			l.noArgument(rule, "no method of "+s.Service+" has an argument")
		}
	}
}

// ruleStore finds a rule that counts in a store that the config does not have.
func (l *loader) ruleStore(rule Limit) {
	if at := rule.at.key + ".store"; rule.Store == "redis" && !l.cfg.Stores.Redis.at.written() && !l.told(at) {
		l.noting(rule.file).Addf(strictyaml.At(rule.at.node, "store"), at, "redis has no block in stores")
	}
}

// noArgument tells of a rule whose argument is not there.
func (l *loader) noArgument(rule Limit, text string) {
	if at := rule.at.key + ".argument"; !l.told(at) {
		l.noting(rule.file).Addf(strictyaml.At(rule.at.node, "argument"), at, "%s %s", text, rule.Argument)
	}
}

// gate is the bounds of a method with max_in_flight.
func gate(inFlight int, q cluster.QueueConfig) limit.Bounds {
	if inFlight == 0 {
		return limit.Bounds{}
	}
	return limit.Bounds{InFlight: inFlight, MaxCalls: q.MaxCalls, MaxWait: q.MaxWait}
}
