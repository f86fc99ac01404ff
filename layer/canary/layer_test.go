package canary

import (
	"context"
	"fmt"
	"testing"

	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/layer/match"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
)

// place is an upstream that counts its calls.
type place struct {
	calls int
	fail  func() error
}

func (p *place) Handle(context.Context, *rpc.Call) (*rpc.Reply, error) {
	p.calls++
	if p.fail != nil {
		if err := p.fail(); err != nil {
			return nil, err
		}
	}
	return &rpc.Reply{}, nil
}

func wrap(p Policy, main rpc.Handler) rpc.Handler {
	return Layer(rpc.PerMethod[Policy]{Other: p}).Wrap(main)
}

func by(user string) *rpc.Call {
	return &rpc.Call{ID: rpc.NewID(), Headers: []transport.KV{{Key: "x-user", Value: user}}}
}

// A share of the calls goes there, and each is counted where it went.
func TestShareOfCalls(t *testing.T) {
	var main, other place
	counts := &Counts{}
	h := wrap(Policy{To: &other, Percent: 10, Counts: counts}, &main)
	for range 10_000 {
		_, _ = h.Handle(t.Context(), &rpc.Call{ID: rpc.NewID()})
	}
	if other.calls < 800 || other.calls > 1200 {
		t.Errorf("%d of 10,000 calls went to a canary of 10 %%", other.calls)
	}
	if c, m := counts.Canary.Load(), counts.Main.Load(); int(c) != other.calls || int(m) != main.calls {
		t.Errorf("%d and %d are counted, %d and %d were made", c, m, other.calls, main.calls)
	}
}

// All calls of a user go to the same place; those who were there stay when the share grows, and those who leave when it shrinks are the ones
// who came last.
func TestUsersStay(t *testing.T) {
	was := map[string]bool{}
	for _, percent := range []float64{0, 1, 10, 50, 100} {
		moved := 0
		for u := range 2000 {
			user := fmt.Sprint("user-", u)
			var main, other place
			h := wrap(Policy{To: &other, Percent: percent, By: affinity.ByHeader("X-User")}, &main)
			for range 3 {
				_, _ = h.Handle(t.Context(), by(user))
			}
			if other.calls != 0 && main.calls != 0 {
				t.Fatalf("%s is at both places at %v %%", user, percent)
			}
			if was[user] && other.calls == 0 {
				t.Fatalf("%s has left at %v %%", user, percent)
			}
			was[user] = other.calls > 0
			if was[user] {
				moved++
			}
		}
		if want := 20 * percent; float64(moved) < 0.6*want || float64(moved) > 1.4*want {
			t.Errorf("%d of 2000 users are there at %v %%", moved, percent)
		}
	}
}

// Calls that match go there even at 0 %.
func TestMatch(t *testing.T) {
	var main, other place
	h := wrap(Policy{To: &other, Match: match.Match{match.Header("x-user", "alice")}}, &main)
	for _, user := range []string{"alice", "bob", "alice"} {
		_, _ = h.Handle(t.Context(), by(user))
	}
	if other.calls != 2 || main.calls != 1 {
		t.Errorf("%d and %d calls", other.calls, main.calls)
	}
}

// All attempts of a call go to the same place, and it is counted once.
func TestAttemptsStay(t *testing.T) {
	broken := func() error {
		return &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Outcome: rpc.Refused, Endpoint: "a"}
	}
	main, other := place{fail: broken}, place{fail: broken}
	counts := &Counts{}
	again := retry.Layer(rpc.PerMethod[retry.Policy]{Other: retry.Policy{Attempts: 3}})
	h := again.Wrap(wrap(Policy{To: &other, Percent: 50, Counts: counts}, &main))
	for range 200 {
		before := [2]int{main.calls, other.calls}
		_, err := h.Handle(t.Context(), &rpc.Call{ID: rpc.NewID()})
		if err == nil || main.calls != before[0] && other.calls != before[1] {
			t.Fatalf("attempts at both places: %d and %d more, %v", main.calls-before[0], other.calls-before[1], err)
		}
	}
	if c, m := counts.Canary.Load(), counts.Main.Load(); c+m != 200 || c < 60 || m < 60 {
		t.Errorf("%d and %d calls are counted, want 200 together", c, m)
	}
}

// failing fails every so many calls.
func failing(every int, code rpc.Code) func() error {
	n := 0
	return func() error {
		if n++; n%every != 0 {
			return nil
		}
		return &rpc.Error{Code: code, Reach: rpc.Unknown}
	}
}

// A canary that fails more than the main upstream does ends: no call goes there any more, and it is told once. One that fails as much, or
// whose callers go away, does not.
func TestFailingCanaryEnds(t *testing.T) {
	for _, tt := range []struct {
		name         string
		main, canary func() error
		ends         bool
	}{
		{"every call", nil, failing(1, rpc.Unavailable), true}, {"every third", nil, failing(3, rpc.HandlerFailed), true},
		{"a few", nil, failing(10, rpc.Unavailable), false}, {"both", failing(3, rpc.Unavailable), failing(3, rpc.Unavailable), false},
		{"callers leave", nil, failing(1, rpc.Cancelled), false}, {"none", nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			main, other, told := place{fail: tt.main}, place{fail: tt.canary}, 0
			trial := NewTrial(20, func(canary, main float64) {
				if told++; canary <= main+20 {
					t.Errorf("it ended at %v %% beside %v %%", canary, main)
				}
			})
			h := wrap(Policy{To: &other, Percent: 50, Trial: trial}, &main)
			for range 2000 {
				_, _ = h.Handle(t.Context(), &rpc.Call{ID: rpc.NewID()})
			}
			switch {
			case trial.Stopped() != tt.ends || (told == 1) != tt.ends:
				t.Errorf("ended: %v, told %d times", trial.Stopped(), told)
			case tt.ends && (other.calls < enough || other.calls > 3*enough):
				t.Errorf("%d calls went there before it ended", other.calls)
			case !tt.ends && other.calls < 800:
				t.Errorf("%d of 2000 calls went to a canary of 50 %%", other.calls)
			}
		})
	}
}

// What happened long ago does not count.
func TestOldFailuresFade(t *testing.T) {
	var w window
	for i := range 250 {
		w.add(i < 120)
	}
	if w.n != lately || w.bad != 0 || w.percent() != 0 {
		t.Errorf("%d failures of %d are left", w.bad, w.n)
	}
	for range 30 {
		w.add(true)
	}
	if w.percent() != 30 {
		t.Errorf("%v %% have failed, want 30", w.percent())
	}
}

// Where no method has a canary the layer is not there, and a call of one that has none allocates nothing.
func TestNoCanary(t *testing.T) {
	next := new(place)
	if Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, 2)}).Wrap(next) != rpc.Handler(next) {
		t.Error("a layer without a canary stands in the way")
	}
	h := Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, 1), Other: Policy{To: next, Percent: 100}}).Wrap(rpc.HandlerFunc(nothing))
	call := &rpc.Call{Method: &schema.Method{}}
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Handle(context.Background(), call) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func nothing(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, nil }
