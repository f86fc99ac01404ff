package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// target is a service as a listener sees it.
type target struct {
	*service.Service
	forward     bool   // methods that the IDL does not have go on to the service
	fingerprint string // of the IDL: made once, for it walks the whole document
}

// routes leads messages of one listener to services: by the multiplexed name, else by the method's name. Immutable.
type routes struct {
	services map[string]*target   // by label
	methods  map[string][]*target // by method name, in the order of the labels
	bare     *target              // gets bare names that fit several services, or none: the only service, or the default; may be nil
	unrouted func(reason string)  // counts calls that lead nowhere
}

// controlPrefix begins the methods by which Thriftloom's own clients probe and fence a peer. No service has one: they are answered here,
// counted nowhere, and never reach a worker.
const controlPrefix = "__thriftloom_"

// newRoutes makes the routes of a listener. fallback is the label of its default service, "" for none.
func newRoutes(targets []*target, fallback string, unrouted func(string)) *routes {
	r := &routes{services: map[string]*target{}, methods: map[string][]*target{}, unrouted: unrouted}
	for _, t := range targets {
		r.services[t.Name()] = t
		if t.Name() == fallback || len(targets) == 1 {
			r.bare = t
		}
		for _, m := range t.Schema().Methods {
			r.methods[m.Name] = append(r.methods[m.Name], t)
		}
	}
	return r
}

// route finds who answers a message, and fills what the call is named. The error is what the caller is told.
func (r *routes) route(head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
	name := head.Name
	if strings.HasPrefix(name, controlPrefix) {
		return nil, &rpc.Error{Code: rpc.UnknownMethod, Reach: rpc.Answered, Op: "gateway", Text: "no service has this method"}
	}
	if label, method, ok := transport.SplitName(name); ok {
		t := r.services[label]
		if t == nil {
			return nil, r.refuse("unknown_service", "no service is named %q here", clip(label))
		}
		return t.take(method, head, call)
	}
	switch fits := r.methods[name]; {
	case len(fits) == 1:
		return fits[0].take(name, head, call)
	case len(fits) > 1 && r.bare == nil:
		return nil, r.refuse("ambiguous", "%q fits %s; call it by service:method", name, labels(fits))
	case r.bare != nil:
		return r.bare.take(name, head, call)
	}
	return nil, r.refuse("unknown_method", "no service here has a method %q", clip(name))
}

func (r *routes) refuse(reason, format string, args ...any) *rpc.Error {
	r.unrouted(reason)
	return &rpc.Error{Code: rpc.UnknownMethod, Reach: rpc.NotSent, Op: "gateway", Text: fmt.Sprintf(format, args...)}
}

// take makes the call one of this service's.
func (t *target) take(method string, head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
	call.Service, call.Name = t.Name(), method
	call.Method = t.Schema().Method(method)
	if call.Method != nil {
		call.Oneway = call.Method.Oneway
		return t.Service, nil
	}
	call.Oneway = head.Type == wire.Oneway
	if t.forward {
		return t.Service, nil
	}
	// Through the outermost layers: refused calls are counted too, and who may not call does not learn which methods there are.
	return t.Stack().Through("authz").Over(rpc.HandlerFunc(refuseUnknown)), nil
}

func refuseUnknown(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
	text := fmt.Sprintf("no method %q", clip(call.Name))
	return nil, &rpc.Error{Code: rpc.UnknownMethod, Reach: rpc.NotSent, Op: call.Service, Text: text}
}

// clip bounds a name that a caller made up.
func clip(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}

func labels(targets []*target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Name()
	}
	return strings.Join(names, " and ")
}
