package hedge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// attempt is what becomes of one attempt.
type attempt struct {
	waits time.Duration // for a slot
	takes time.Duration
	err   *rpc.Error
}

// script answers the attempts of one call in the order in which they are started.
type script struct {
	attempts []attempt

	mu    sync.Mutex
	calls []rpc.Call
	ended []time.Time
}

var names = []string{"users-1", "users-2", "users-3", "users-4"}

func (s *script) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	s.mu.Lock()
	n := len(s.calls)
	s.calls = append(s.calls, *call)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.ended = append(s.ended, time.Now())
		s.mu.Unlock()
	}()
	a := s.attempts[n]
	time.Sleep(a.waits)
	call.Whereabouts.Set(&names[n])
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		return nil, &rpc.Error{Code: rpc.Cancelled, Reach: rpc.Unknown, Outcome: rpc.Abandoned}
	}
	if a.err != nil {
		return nil, a.err
	}
	return &rpc.Reply{Body: fmt.Append(nil, n)}, nil
}

const ms = time.Millisecond

func policy(delay time.Duration) Policy {
	return Policy{Method: &Method{purse: one}, Delay: delay, Percent: 5}
}

func wrapped(p Policy, next rpc.Handler) rpc.Handler {
	return Layer(rpc.PerMethod[Policy]{Other: p}).Wrap(next)
}

// The second attempt starts when the first is late, at another endpoint, and the first reply of the two is the call's, at once: the other goes on
// and is not cancelled. An error is the call's only where both have failed.
func TestTheFirstReplyWins(t *testing.T) {
	crash := &rpc.Error{Code: rpc.HandlerFailed, Reach: rpc.Unknown, Outcome: rpc.ClosedNoReply}
	down := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Outcome: rpc.Refused}
	full := &rpc.Error{Code: rpc.ResourceExhausted, Reach: rpc.NotSent} // no slot to spare
	for _, tt := range []struct {
		name     string
		attempts []attempt
		took     time.Duration
		reply    string
		err      error
		counts   Counts // when both have ended
	}{
		{"in time", []attempt{{takes: 9 * ms}}, 9 * ms, "0", nil, Counts{}},
		{"failed in time", []attempt{{takes: 9 * ms, err: crash}}, 9 * ms, "", crash, Counts{}},
		{"the second wins", []attempt{{takes: 500 * ms}, {takes: 5 * ms}}, 15 * ms, "1", nil, Counts{Sent: 1, Won: 1}},
		{"the first wins", []attempt{{takes: 12 * ms}, {takes: 50 * ms}}, 12 * ms, "0", nil, Counts{Sent: 1}},
		{"the first fails late", []attempt{{takes: 20 * ms, err: crash}, {takes: 50 * ms}}, 60 * ms, "1", nil, Counts{Sent: 1, Won: 1}},
		{"the second fails", []attempt{{takes: 40 * ms}, {takes: 1 * ms, err: crash}}, 40 * ms, "0", nil, Counts{Sent: 1}},
		{"both fail", []attempt{{takes: 40 * ms, err: crash}, {takes: 1 * ms, err: down}}, 40 * ms, "", crash, Counts{Sent: 1}},
		{"no slot for the second", []attempt{{takes: 25 * ms}, {err: full}, {err: full}}, 25 * ms, "0", nil, Counts{Busy: 1}},
		{"no slot for the second, and the first fails", []attempt{{takes: 15 * ms, err: down}, {err: full}}, 15 * ms, "", down, Counts{Busy: 1}},
		{"a slot for the second, later", []attempt{{takes: 500 * ms}, {err: full}, {err: full}, {takes: 5 * ms}}, 35 * ms, "3", nil, Counts{Sent: 1, Won: 1}},
		{"in the queue, then late", []attempt{{waits: 25 * ms, takes: 100 * ms}, {takes: 5 * ms}}, 35 * ms, "1", nil, Counts{Sent: 1, Won: 1}},
		{"in the queue, then in time", []attempt{{waits: 25 * ms, takes: 2 * ms}}, 27 * ms, "0", nil, Counts{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := &script{attempts: tt.attempts}, policy(10*ms)
				start := time.Now()
				reply, err := wrapped(p, s).Handle(t.Context(), &rpc.Call{})
				body := ""
				if reply != nil {
					body = string(reply.Body)
				}
				if took := time.Since(start); took != tt.took || body != tt.reply || !errors.Is(err, tt.err) && tt.err != nil || (err == nil) != (tt.err == nil) {
					t.Errorf("reply %q, error %v after %v; want %q, %v after %v", body, err, took, tt.reply, tt.err, tt.took)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got, _ := p.Method.Snapshot(); got != tt.counts {
					t.Errorf("counts %+v, want %+v", got, tt.counts)
				}
				if len(s.ended) != len(tt.attempts) {
					t.Errorf("%d of %d attempts came to their end", len(s.ended), len(tt.attempts))
				}
				if len(s.calls) == 2 && (!s.calls[1].Hedge || s.calls[1].Avoid != "users-1" || s.calls[0].Hedge) {
					t.Errorf("the attempts were %+v", s.calls)
				}
			})
		})
	}
}

// A caller that goes away takes both attempts along while it is waited for; one that goes when it has its reply does not touch the one that lost.
func TestTheCallerGoes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		code  rpc.Code      // zero: a reply
		lost  time.Duration // when the first attempt ended
	}{{"while it waits", 12 * ms, rpc.Cancelled, 12 * ms}, {"after its reply", 50 * ms, 0, 500 * ms}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(tt.after, cancel)
				s, start := &script{attempts: []attempt{{takes: 500 * ms}, {takes: 10 * ms}}}, time.Now()
				_, err := wrapped(policy(10*ms), s).Handle(ctx, &rpc.Call{})
				if e := rpc.AsError(err, ""); (e == nil) != (tt.code == 0) || e != nil && e.Code != tt.code {
					t.Errorf("error %v", err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if len(s.ended) != 2 || s.ended[1].Sub(start) != tt.lost {
					t.Errorf("the attempts ended at %v, want the last one after %v", s.ended, tt.lost)
				}
			})
		})
	}
}

// Nothing is made twice of a oneway, of a call that ends before it would be late, without a budget, and of a method that nothing is known of.
func TestNoHedge(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(p *Policy, call *rpc.Call)
		want Counts
	}{
		{"oneway", func(_ *Policy, c *rpc.Call) { c.Oneway = true }, Counts{}},
		{"its deadline is earlier", func(_ *Policy, c *rpc.Call) { c.Deadline = time.Now().Add(10 * ms) }, Counts{}},
		{"not this method", func(p *Policy, _ *rpc.Call) { p.Method = nil }, Counts{}},
		{"nothing is known", func(p *Policy, _ *rpc.Call) { p.Delay = 0 }, Counts{}},
		{"the method's budget is used up", func(p *Policy, _ *rpc.Call) { p.Method.purse = 0 }, Counts{OverBudget: 1}},
		{"the upstream's budget is used up", func(p *Policy, _ *rpc.Call) { p.Budget = spent() }, Counts{OverBudget: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, call, s := policy(10*ms), rpc.Call{}, &script{attempts: []attempt{{takes: 100 * ms}}}
				m := p.Method
				tt.with(&p, &call)
				if _, err := wrapped(p, s).Handle(t.Context(), &call); err != nil || len(s.calls) != 1 {
					t.Errorf("%d attempts, error %v", len(s.calls), err)
				}
				if got, _ := m.Snapshot(); got != tt.want {
					t.Errorf("counts %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

// spent returns a budget without a try in it.
func spent() *budget.Budget {
	b := new(budget.Budget)
	for b.Take(time.Now()) { //nolint:revive // until there is none
	}
	return b
}

// Where no method is hedged the layer is not there.
func TestNoLayer(t *testing.T) {
	s := &script{}
	if got := Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, 3)}).Wrap(s); got != rpc.Handler(s) {
		t.Errorf("it is %T", got)
	}
}

// What is learned is of first attempts alone, of those that lose too: else the method would seem to be as fast as its hedges.
func TestLearnsFromLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(10 * ms)
		for range 2 * enough {
			p.Method.purse = one
			s := &script{attempts: []attempt{{takes: 100 * ms}, {takes: ms}}}
			if _, err := wrapped(p, s).Handle(t.Context(), &rpc.Call{}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if _, late := p.Method.Snapshot(); late < 100*ms || late > 125*ms {
			t.Errorf("late after %v", late)
		}
	})
}

// What the layer costs a call that is answered in time.
func BenchmarkHandle(b *testing.B) {
	reply := &rpc.Reply{}
	next := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return reply, nil })
	for name, p := range map[string]Policy{"hedge=off": {}, "hedge=on": {Method: new(Method), Delay: time.Second, Percent: 5}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			h := Layer(rpc.PerMethod[Policy]{Methods: []Policy{{Method: new(Method)}}, Other: p}).Wrap(next)
			for b.Loop() {
				_, _ = h.Handle(b.Context(), &rpc.Call{})
			}
		})
	}
}
