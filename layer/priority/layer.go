// Package priority gives calls the class by which an overloaded upstream chooses whom it answers.
package priority

import (
	"context"
	"strings"

	"github.com/thriftloom/thriftloom/rpc"
)

// Policy is the class of one method's calls. The zero value is rpc.Normal for all.
type Policy struct {
	Class  rpc.Priority
	Header string // in which a caller may name a lower class; "": none
}

// Policy returns the policy that a config comes to. Its class is one of those that there are.
func (c Config) Policy() Policy {
	class, _ := rpc.ParsePriority(c.Class)
	return Policy{Class: class, Header: c.Header}
}

// Layer gives each call its class. What a caller says can lower it and never raise it, so that nobody has to be trusted. A call that comes with a
// class below rpc.Normal, as a reply that is loaded ahead of time does, keeps that, unless its own is lower still.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "priority",
		Why:  "above all that makes calls wait: who goes first is said by then",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !policies.Any(Policy.says) {
				return next
			}
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				class := policies.For(call).class(call)
				if call.Priority < rpc.Normal {
					class = min(class, call.Priority)
				}
				if class != call.Priority {
					classed := *call
					classed.Priority = class
					call = &classed
				}
				return next.Handle(ctx, call)
			})
		},
	}
}

func (p Policy) says() bool { return p != Policy{} }

// class returns the call's class.
func (p Policy) class(call *rpc.Call) rpc.Priority {
	if p.Header == "" {
		return p.Class
	}
	for _, h := range call.Headers {
		if strings.EqualFold(h.Key, p.Header) {
			if class, ok := rpc.ParsePriority(h.Value); ok {
				return min(class, p.Class)
			}
			break
		}
	}
	return p.Class
}
