// Package subset limits calls to the endpoints of their cluster that have certain labels.
package subset

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/rpc"
)

// Value is the value that an endpoint's label has to have. The zero value says nothing.
type Value struct {
	// By says where the value stands in a call. One that no endpoint can have, since it is too long for instance, is of none. The zero value is
	// nowhere.
	By affinity.Policy
	// Is is the value, or, where By is set, that of a call which has none there; "": the label does not matter to such a call.
	Is string
}

// Policy is the labels that one method's calls ask for. The zero value asks for none.
type Policy struct {
	labels []label // by name
	fixed  bool    // no value stands in the call
	subset rpc.Subset
}

type label struct {
	name string
	Value
}

// New returns the policy of calls that go to endpoints with each of the labels. Where no such endpoint is up they are refused, or may go to any.
func New(labels map[string]Value, refuse bool) Policy {
	p := Policy{fixed: true}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		l := label{name, labels[name]}
		switch {
		case l.By.Gives():
			p.fixed = false
			text = append(text, name)
		case l.Is == "":
			continue
		default:
			text = append(text, name+"="+l.Is)
		}
		p.labels = append(p.labels, l)
	}
	p.subset = rpc.Subset{Text: strings.Join(text, ", "), Refuse: refuse}
	if p.fixed {
		p.subset.Labels = p.of(nil)
	}
	return p
}

// Layer says of each call which endpoints it may go to. All attempts of a call have the same.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "subset",
		Why:  "above retry: all attempts of a call go to the same endpoints",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !policies.Any(func(p Policy) bool { return len(p.labels) > 0 }) {
				return next
			}
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				p := policies.For(call)
				if s := p.Subset(call); s.Labels != "" {
					limited := *call
					limited.Subset = s
					call = &limited
				}
				return next.Handle(ctx, call)
			})
		},
	}
}

// Subset returns which endpoints a call may go to.
func (p Policy) Subset(call *rpc.Call) rpc.Subset {
	s := p.subset
	if !p.fixed {
		s.Labels = p.of(call)
	}
	return s
}

// of returns the labels that a call asks for.
func (p Policy) of(call *rpc.Call) rpc.Labels {
	var room [256]byte
	text := room[:0]
	for _, l := range p.labels {
		value := l.Is
		if l.By.Gives() {
			if v := l.By.Value(call); v != nil {
				value = plain(v)
			} else if value == "" {
				continue
			}
		}
		if len(text) > 0 {
			text = append(text, ',')
		}
		text = append(append(text, l.name...), '=')
		if rpc.IsLabel(value) {
			text = append(text, value...)
		}
	}
	return rpc.Labels(text)
}

// plain returns what stands in a call as a label's value: a text, or an enum's name, without its quotes.
func plain(v []byte) string {
	var text string
	if len(v) > 1 && v[0] == '"' && json.Unmarshal(v, &text) == nil {
		return text
	}
	return string(v)
}
