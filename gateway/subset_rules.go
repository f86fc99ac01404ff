package gateway

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/layer/subset"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// subset resolves which endpoints calls of one method go to.
func (r *rollouts) subset(p *methodPlan, m *schema.Method) subset.Policy {
	c := &p.policies.Subset
	if len(c.Labels) == 0 || r.told(c.at.key) {
		return subset.Policy{}
	}
	values := map[string]subset.Value{}
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		values[name] = r.labelValue(c.Labels[name], m)
	}
	own := !strings.HasPrefix(c.at.key, "defaults.") // what stands there is of all services, and may fit none of one
	if upstream := r.upstreamPlan(p.upstream); own && upstream != nil && upstream.source == nil {
		r.warnLabels(c, upstream)
	}
	return subset.New(values, c.Otherwise == "refuse")
}

// labelValue says where the value of a label stands in the calls of one method.
func (r *rollouts) labelValue(v LabelValue, m *schema.Method) subset.Value {
	value := subset.Value{Is: cmp.Or(v.Is, v.Default)}
	switch {
	case v.Header != "":
		value.By = affinity.ByHeader(v.Header)
	case v.Argument != "":
		by, ok := affinity.ByArgument(m, v.Argument)
		at := v.at.below("argument")
		r.wants(at, ok, "no method of "+r.service.Service+" has an argument "+v.Argument)
		if !ok {
			break
		}
		switch t := by.Type(); t.Kind {
		case schema.Struct, schema.List, schema.Set, schema.Map:
			r.mistake(at, "", "%s: is a %s: only a single value can be a label's", m.Name, t)
		default:
			value.By = by
		}
	}
	return value
}

// upstreamPlan returns an upstream that is resolved already; nil where there is none.
func (l *loader) upstreamPlan(key string) *upstreamPlan {
	all := l.cfg.Resolved.upstreams
	if i := slices.IndexFunc(all, func(u upstreamPlan) bool { return u.key == key }); i >= 0 {
		return &all[i]
	}
	return nil
}

// warnLabels tells of labels that none of the endpoints has which the config names: each by itself, or else all of the config's values together.
func (r *rollouts) warnLabels(c *Subset, u *upstreamPlan) {
	becomes := ": such calls go to any"
	if c.Otherwise == "refuse" {
		becomes = ": such calls are refused"
	}
	none := func(has func(rpc.Labels) bool) bool {
		return !slices.ContainsFunc(u.endpoints, func(e rpc.Endpoint) bool { return has(e.Labels) })
	}
	fixed, lacking := map[string]string{}, false
	for name, v := range c.Labels {
		what := "the label " + name
		has := func(l rpc.Labels) bool { return l.Map()[name] != "" }
		if value := cmp.Or(v.Is, v.Default); value != "" {
			what = name + "=" + value
			has = func(l rpc.Labels) bool { return l.Map()[name] == value }
		}
		if v.Is != "" {
			fixed[name] = v.Is
		}
		if v.at.node != nil && none(has) {
			lacking = true
			r.warn(v.at, "no endpoint of "+u.name+" has "+what+becomes)
		}
	}
	if labels := rpc.NewLabels(fixed); !lacking && none(func(l rpc.Labels) bool { return l.Have(labels) }) {
		r.warn(c.at, "no endpoint of "+u.name+" has "+string(labels)+" together"+becomes)
	}
}
