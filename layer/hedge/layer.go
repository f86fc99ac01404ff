// Package hedge makes a second attempt of a call where the first is late.
package hedge

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
)

// Policy is what one method allows. The zero value hedges nothing.
type Policy struct {
	// Method is what is known of the method, whose calls may be made twice; nil: none of them is.
	Method  *Method
	Delay   time.Duration // of the second attempt; zero: what is learned
	Percent int           // of the method's calls that may have one
	// Budget, which may be nil, bounds them with the tries of all calls of the upstream, and Deposit is what a call puts in, in hundredths of a try.
	Budget  *budget.Budget
	Deposit int
}

func (p Policy) hedges() bool { return p.Method != nil }

// Layer makes a second attempt, at another endpoint, of a call whose first one has had no reply in time. The first reply of the two is the
// call's; an error is it only where both attempts have failed. Who loses is not cancelled: Thrift has no word for that, and a connection whose
// reply is awaited by nobody would be lost. It goes on to its end, and is recorded then.
//
// Where there is no slot to spare for the second attempt, it is looked for again after as much time. A call that waits for a slot is not late: a
// second one would wait as well. A oneway has no reply that could be late.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "hedge",
		Why:  "under retry: each try may have a second attempt; above the cluster, which knows where the first one is and what slots are to spare",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !policies.Any(Policy.hedges) {
				return next
			}
			return &handler{next: next, policies: policies}
		},
	}
}

type handler struct {
	next     rpc.Handler
	policies rpc.PerMethod[Policy]
}

// Handle makes the first attempt, and the second where it is time for it.
func (h *handler) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	p := h.policies.For(call)
	if !p.hedges() || call.Oneway {
		return h.next.Handle(ctx, call)
	}
	start := time.Now()
	if p.Budget != nil && p.Deposit > 0 {
		p.Budget.Deposit(p.Deposit, start)
	}
	delay := p.Method.begin(p.Percent)
	if p.Delay > 0 {
		delay = p.Delay
	}
	if left, ok := call.Remaining(start); delay == 0 || ok && left <= delay {
		return p.first(ctx, h.next, call, start)
	}
	// The attempts outlive the caller's wait: what it cancels is passed on while it waits.
	r := &race{policy: p, next: h.next, ended: make(chan result, 2)}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	first := *call
	first.Whereabouts = &r.at
	go func() { r.end(p.first(r.ctx, h.next, &first, start)) }()
	return r.wait(ctx, &first, delay)
}

// first makes the first attempt, and learns from it how long the method takes.
func (p *Policy) first(ctx context.Context, next rpc.Handler, call *rpc.Call, start time.Time) (*rpc.Reply, error) {
	reply, err := next.Handle(ctx, call)
	if err == nil || rpc.AsError(err, "").Code == rpc.DeadlineExceeded { // a failure says nothing of how long an answer takes
		p.Method.sample(time.Since(start))
	}
	return reply, err
}

// race is a call with one attempt or two.
type race struct {
	policy *Policy
	next   rpc.Handler
	ctx    context.Context //nolint:containedctx // of both attempts
	cancel context.CancelFunc
	at     rpc.Whereabouts // of the first one
	ended  chan result     // has room for both: nobody who ends waits for who reads
}

// result is what came of an attempt.
type result struct {
	reply   *rpc.Reply
	err     error
	hedge   bool
	refused bool // there was no slot for it
}

func (r *race) end(reply *rpc.Reply, err error) { r.ended <- result{reply: reply, err: err} }

// wait returns what comes of the call.
func (r *race) wait(ctx context.Context, call *rpc.Call, delay time.Duration) (*rpc.Reply, error) {
	late, gone := time.NewTimer(delay), ctx.Done()
	defer late.Stop()
	var failed *rpc.Error
	hedges, refused := 0, 0
	defer func() {
		if hedges > 0 && hedges == refused {
			r.policy.Method.count(func(c *Counts) { c.Busy++ })
		}
	}()
	for underway := 1; underway > 0; {
		select {
		case x := <-r.ended:
			underway--
			switch {
			case x.refused: // there may be a slot to spare later
				refused++
				late.Reset(delay)
			case x.err != nil:
				failed = worse(failed, rpc.AsError(x.err, call.Service))
			default:
				if x.hedge {
					r.policy.Method.count(func(c *Counts) { c.Won++ })
				}
				return x.reply, nil
			}
		case <-late.C:
			switch at := r.at.Endpoint(); {
			case r.ctx.Err() != nil:
			case at == "":
				late.Reset(delay)
			case r.hedge(call, at):
				underway++
				hedges++
			}
		case <-gone:
			r.cancel() // they end at once, and say what became of them
			gone = nil
		}
	}
	return nil, failed
}

// worse returns the error of a call whose attempts have failed with one and the other: what may have been processed was so.
func worse(one, other *rpc.Error) *rpc.Error {
	if one == nil || other.Reach > one.Reach {
		return other
	}
	return one
}

// hedge starts the second attempt, which avoids the endpoint of the first, and reports whether the budgets allow it.
func (r *race) hedge(call *rpc.Call, at string) bool {
	m, b := r.policy.Method, r.policy.Budget
	ok := m.take()
	if ok && b != nil && !b.Take(time.Now()) {
		m.giveBack()
		ok = false
	}
	if !ok {
		m.count(func(c *Counts) { c.OverBudget++ })
		return false
	}
	second := *call
	second.Avoid, second.Hedge, second.Whereabouts = at, true, nil
	go func() {
		x := result{hedge: true}
		x.reply, x.err = r.next.Handle(r.ctx, &second)
		e := rpc.AsError(x.err, "")
		if x.refused = e != nil && e.Reach == rpc.NotSent && e.Outcome == 0; x.refused {
			m.giveBack()
			if b != nil {
				b.Return()
			}
		} else {
			m.count(func(c *Counts) { c.Sent++ })
		}
		r.ended <- x
	}()
	return true
}
