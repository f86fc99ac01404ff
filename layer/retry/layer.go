// Package retry tries a call again where that is safe.
package retry

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
)

// maxUnsent bounds tries of a call of which no byte was sent: each finds another endpoint that cannot be reached.
const maxUnsent = 10

// Policy is what one method allows.
type Policy struct {
	Attempts   int  // tries, the first included; 1 or less: none again
	Idempotent bool // trying again is harmless though the call may have been processed
	// Budget bounds the tries of calls that were sent, and Percent is what a call puts in; nil: there is no bound.
	Budget  *budget.Budget
	Percent int
}

// Layer tries a call again by how far its request got: one that was not sent always, one that may have been processed if its method is
// idempotent and the budget has a try left, one that was answered never. The next attempt avoids the endpoint that failed. Nothing is tried after the call's deadline
// or when its caller has gone.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "retry",
		Why:  "above the cluster: each attempt picks an endpoint anew",
		Wrap: func(next rpc.Handler) rpc.Handler {
			return &handler{next: next, policies: policies}
		},
	}
}

type handler struct {
	next     rpc.Handler
	policies rpc.PerMethod[Policy]
}

// Handle tries until a try succeeds or may not be repeated. Of several tries that failed the error is the last one's, and as for what may have
// become of the call that of all.
func (h *handler) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	p := h.policies.For(call)
	if p.Budget != nil && p.Attempts > 1 && p.Idempotent {
		p.Budget.Deposit(p.Percent, call.Start)
	}
	processed := false // it may have been, by a try before
	for try, unsent := 1, 0; ; try++ {
		reply, err := h.next.Handle(ctx, call)
		if err == nil {
			return reply, nil
		}
		e := rpc.AsError(err, call.Service)
		if e.Reach == rpc.NotSent && e.Outcome != rpc.NotServed {
			unsent++
			try--
		}
		if ctx.Err() != nil || !p.again(call, e, try, unsent) {
			return nil, ofAll(e, processed)
		}
		processed = processed || e.Reach == rpc.Unknown
		other := *call
		other.Avoid = e.Endpoint
		call = &other
	}
}

// again reports whether a call that failed with e may be tried once more, after so many tries that sent something and so many that did
// not. It takes the try from the budget.
func (p *Policy) again(call *rpc.Call, e *rpc.Error, sent, unsent int) bool {
	if p.Attempts <= 1 || sent >= p.Attempts || unsent >= maxUnsent || !e.Retryable(p.Idempotent) {
		return false
	}
	now := time.Now()
	if left, ok := call.Remaining(now); ok && left <= 0 {
		return false
	}
	return e.Reach == rpc.NotSent || p.Budget == nil || p.Budget.Take(now)
}

// ofAll returns the error of the last try, which does not say that nothing was sent where a try before may have been processed.
func ofAll(e *rpc.Error, processed bool) *rpc.Error {
	if !processed || e.Reach != rpc.NotSent {
		return e
	}
	worst := *e
	worst.Reach = rpc.Unknown
	return &worst
}
