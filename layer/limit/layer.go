// Package limit bounds how many calls are taken, in a time and at one time.
package limit

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// Policy is what bounds one method's calls. The zero value bounds nothing.
type Policy struct {
	Rules  []Rule
	Bounds Bounds
}

func (p Policy) bounds() bool { return len(p.Rules) > 0 || p.Bounds.InFlight > 0 }

// narrow is the order in which rules are asked: a caller who is over its own limit takes nothing from what all share.
var narrow = []string{"argument", "header", "caller", "method", "service"}

// Layer refuses calls beyond what the rules of their method take, at once and with RESOURCE_EXHAUSTED, and has those wait of which as many as
// Bounds.InFlight are worked at. A call has to pass all rules. One that is refused has been counted by the rules before, and not by those
// after. service is the label under which state knows the calls, and svc, nil where there is no IDL, has the methods of policies.
func Layer(service string, svc *schema.Service, policies rpc.PerMethod[Policy], state *State) rpc.Layer {
	return rpc.Layer{
		Name: "limit",
		Why:  "below deadline: waiting has an end; above all that costs: what is refused costs nothing",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if state == nil || !policies.Any(Policy.bounds) {
				return next
			}
			h := &handler{next: next, state: state, limits: rpc.PerMethod[limits]{Other: newLimits(policies.Other, state, service, "_OTHER")}}
			for i, p := range policies.Methods {
				h.limits.Methods = append(h.limits.Methods, newLimits(p, state, service, svc.Methods[i].Name))
			}
			return h
		},
	}
}

type handler struct {
	next   rpc.Handler
	state  *State
	limits rpc.PerMethod[limits]
}

// limits are what bounds one method's calls, ready to be asked.
type limits struct {
	rules []Rule // the narrowest first
	gate  *gate  // nil: there is none
}

func newLimits(p Policy, state *State, service, method string) limits {
	rules := slices.SortedStableFunc(slices.Values(p.Rules), func(a, b Rule) int {
		return cmp.Compare(slices.Index(narrow, a.By), slices.Index(narrow, b.By))
	})
	return limits{rules, state.gate(service, method, p.Bounds)}
}

// Handle refuses the call, or hands it on.
func (h *handler) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	l := h.limits.For(call)
	if len(l.rules) > 0 {
		var kept [4]Key
		flights, e := h.pass(ctx, call, l.rules, kept[:0])
		defer func() {
			for _, k := range flights {
				h.state.end(k)
			}
		}()
		if e != nil {
			return nil, e
		}
	}
	if l.gate != nil {
		if e := l.gate.enter(ctx, call); e != nil {
			if e.Code != rpc.Cancelled {
				h.state.refused(call, "max_in_flight")
			}
			return nil, e
		}
		defer l.gate.leave()
	}
	return h.next.Handle(ctx, call)
}

// pass counts the call by the rules, and returns those by which it is under way from now on, with the error of the first that does not take
// it.
func (h *handler) pass(ctx context.Context, call *rpc.Call, rules []Rule, flights []Key) ([]Key, *rpc.Error) {
	now := time.Now()
	for i := range rules {
		r := &rules[i]
		of, ok := r.of(call)
		if !ok {
			continue
		}
		if r.InFlight > 0 {
			k := Key{r.counted, of}
			if !h.state.start(k, r.InFlight) {
				h.state.refused(call, r.By)
				return flights, r.refusal(strconv.Itoa(r.InFlight) + " calls at one time")
			}
			flights = append(flights, k)
		}
		if r.rate.Calls > 0 {
			ok, err := h.state.storeOf(r).Take(ctx, Key{r.bucket, of}, r.rate, r.Burst, now)
			if err == nil && !ok { // a store that fails lets through: Fallback is for those that can
				h.state.refused(call, r.By)
				return flights, r.refusal(r.rate.String())
			}
		}
	}
	return flights, nil
}
