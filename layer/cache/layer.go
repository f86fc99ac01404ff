// Package cache answers calls with replies that were given before: out of this process, or out of a store that gateways share. Equal calls
// that are under way at one time are made once.
//
// Calls are equal where their canonical arguments are (codec.Canonical), whatever the protocol, the transport and the order of what they are
// made of. A reply is never answered with, nor kept, whose load had begun before it was made void.
package cache

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Layer answers calls of methods whose policy keeps replies from state, and has calls of methods that make replies void do so when they have
// succeeded. Never answered so, and never kept: calls of methods without a policy, oneways, calls that ask for it (BypassHeader), calls whose
// arguments or whose caller have no one name, TApplicationExceptions and failures, declared exceptions that are not named, and replies that
// are too long.
func Layer(policies rpc.PerMethod[Policy], state *State) rpc.Layer {
	return rpc.Layer{
		Name: "cache",
		Why:  "below deadline: each caller waits as long as it may; above all that costs: a hit takes no slot",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if state == nil || !policies.Any(Policy.acts) {
				return next
			}
			h := &handler{next: next, state: state}
			for _, p := range policies.Methods {
				m := method{rules: p.rules, state: state, next: next, answers: p.answers()}
				if p.acts() {
					m.counts = state.counts.of(rpc.MethodKey{Service: p.place.Service, Method: p.method.Name})
				}
				h.methods.Methods = append(h.methods.Methods, m)
			}
			return h
		},
	}
}

type handler struct {
	next    rpc.Handler
	state   *State
	methods rpc.PerMethod[method]
}

// Handle answers the call.
func (h *handler) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	m := h.methods.For(call)
	if m.rules == nil || call.Oneway {
		return h.next.Handle(ctx, call)
	}
	if !m.answers {
		return m.change(ctx, call)
	}
	return m.answer(ctx, call)
}

// method is a policy with what it works on.
type method struct {
	*rules
	state   *State
	next    rpc.Handler
	counts  *methodCounts
	answers bool
}

// change makes a call, and void what it changes, before its caller knows that it has. A call of which nobody knows whether it was
// processed may have changed something too, and so may one whose handler has failed, as Apache's servers say it (INTERNAL_ERROR).
func (m *method) change(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	reply, err := m.next.Handle(ctx, call)
	e := rpc.AsError(err, call.Service)
	if e == nil && reply.Exception == 0 || e != nil && (e.Reach == rpc.Unknown || e.Reach == rpc.Answered && e.Code == rpc.Internal) {
		keys, groups := m.targetsOf(call)
		_ = m.state.void(ctx, keys, groups, m.place.serviceID()) // a store that is away is told when it is back
		m.counts.voids.Add(int64(len(keys) + len(groups)))
	}
	return reply, err
}

// answer answers a call out of this process, or with what a load brings.
func (m *method) answer(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	n, why := m.name(call)
	if why != 0 {
		m.counts.bypassed[why].Add(1)
		m.counts.answered(call, rpc.CacheBypass, 0)
		return m.next.Handle(ctx, call)
	}
	now := time.Now()
	e := m.state.find(n.reply)
	if e != nil {
		switch e.at(now) {
		case young:
			m.counts.answered(call, rpc.CacheHit, now.Sub(e.Loaded))
			return e.Reply, nil
		case early:
			m.refresh(call, n, e, now)
			m.counts.answered(call, rpc.CacheHit, now.Sub(e.Loaded))
			return e.Reply, nil
		case stale:
			m.refresh(call, n, e, now)
			m.counts.answered(call, rpc.CacheStale, now.Sub(e.Loaded))
			return e.Reply, nil
		case gone:
			e = nil
		}
	}
	return m.await(ctx, call, n, e)
}

// rounds is how often a call that waits for another's load, which is refused for that other caller's sake, begins again before it is made
// by itself.
const rounds = 3

// await waits for the load of a call, which it begins where nobody has.
func (m *method) await(ctx context.Context, call *rpc.Call, n names, old *Entry) (*rpc.Reply, error) {
	groups := m.groupsOf(call, n)
	for range rounds {
		f, mine := m.state.flights.join(n.reply, call.Caller.Share(), &m.state.journal, groups)
		if mine {
			m.state.loads.Go(func() { m.fly(context.WithoutCancel(ctx), f, call, n, groups, old) })
		}
		if e := wait(ctx, call, f); e != nil {
			return nil, e
		}
		how, age := f.how, time.Duration(0)
		switch {
		case f.err != nil && f.own && !mine && f.owner != call.Caller.Share():
			continue
		case f.err != nil:
			m.counts.answered(call, rpc.CacheMiss, 0)
			return nil, f.err
		case !mine && how == rpc.CacheMiss:
			how = rpc.CacheCoalesced
		case how != rpc.CacheMiss:
			age = time.Since(f.entry.Loaded)
		}
		m.counts.answered(call, how, age)
		return f.entry.Reply, nil
	}
	m.counts.answered(call, rpc.CacheMiss, 0)
	return m.next.Handle(ctx, call)
}

// wait waits until a flight has landed, or the call has no more time for it.
func wait(ctx context.Context, call *rpc.Call, f *flight) *rpc.Error {
	var late <-chan time.Time
	if left, ok := call.Remaining(time.Now()); ok {
		timer := time.NewTimer(left)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-f.done:
		return nil
	case <-late:
		return &rpc.Error{Code: rpc.DeadlineExceeded, Reach: rpc.Unknown, Op: call.Service + "." + call.Name, Text: "no reply in time"}
	case <-ctx.Done():
		return &rpc.Error{Code: rpc.Cancelled, Reach: rpc.Unknown, Op: call.Service + "." + call.Name, Text: "the caller has gone"}
	}
}

// refresh loads a reply anew that is still answered with, unless somebody does so already.
func (m *method) refresh(call *rpc.Call, n names, old *Entry, now time.Time) {
	if !old.pause.over(now) {
		return
	}
	f, mine := m.state.flights.join(n.reply, call.Caller.Share(), &m.state.journal, old.Groups)
	if !mine {
		return
	}
	ahead := *call
	ahead.Priority = min(call.Priority, rpc.Batch) // somebody waits for it, but not now
	m.counts.refreshes.Add(1)
	m.state.loads.Go(func() { m.fly(context.Background(), f, &ahead, n, old.Groups, old) })
}
