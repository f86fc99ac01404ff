// Package breaker refuses the calls of one method by one caller where they end their handlers wherever they are made.
package breaker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Policy is what one method allows. The zero value breaks nobody.
type Policy struct {
	Failures int // in a row, from which on the calls of a caller are refused; zero: none is
}

func (p Policy) breaks() bool { return p.Failures > 0 }

// Layer refuses calls that state has found to end their handlers for the method and its caller. What counts as such a failure is HandlerFailed
// alone: no reply, and no other reason known. Each answer counts against it: a result, a declared exception and a TApplicationException alike.
// Nothing is known of oneways, which have no answer, and of methods that the IDL does not have, which some servers treat as others do a crash.
func Layer(policies rpc.PerMethod[Policy], state *Breaker) rpc.Layer {
	return rpc.Layer{
		Name: "breaker",
		Why:  "above retry: what fails however often it is tried counts once",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !slices.ContainsFunc(policies.Methods, Policy.breaks) {
				return next
			}
			return &handler{next: next, policies: policies, state: state}
		},
	}
}

type handler struct {
	next     rpc.Handler
	policies rpc.PerMethod[Policy]
	state    *Breaker
}

// Handle refuses, or hands the call on and learns from what becomes of it.
func (h *handler) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	p := h.policies.For(call)
	if call.Method == nil || call.Oneway || !p.breaks() {
		return h.next.Handle(ctx, call)
	}
	who := pair{call.Method.Name, call.Caller.Share()}
	wait, trial := h.state.allow(who, time.Now())
	if wait > 0 {
		return nil, refusal(call, wait)
	}
	reply, err := h.next.Handle(ctx, call)
	switch e := rpc.AsError(err, call.Service); {
	case e == nil || e.Reach == rpc.Answered:
		h.state.answered(who)
	case e.Code == rpc.HandlerFailed:
		h.state.failed(who, e.Endpoint, trial, p.Failures, time.Now())
	}
	return reply, err
}

const tenth = 100 * time.Millisecond

// refusal says when it is worth to call again, rounded up.
func refusal(call *rpc.Call, wait time.Duration) *rpc.Error {
	wait = wait.Truncate(tenth) + tenth
	return &rpc.Error{
		Code: rpc.Unavailable, Reach: rpc.NotSent, Op: call.Service + "." + call.Method.Name,
		Text: fmt.Sprintf("this caller's calls of it end without a reply wherever they are made; the next one is let through in %v", wait),
	}
}
