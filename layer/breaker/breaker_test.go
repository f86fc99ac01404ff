package breaker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

var (
	idl   = schema.MustParse("service Users { string getUser(), oneway void track() }").Service("Users")
	crash = []*rpc.Error{
		{Code: rpc.HandlerFailed, Reach: rpc.Unknown, Outcome: rpc.ClosedNoReply, Endpoint: "users-1"},
		{Code: rpc.HandlerFailed, Reach: rpc.Unknown, Outcome: rpc.ClosedReused, Endpoint: "users-2"},
	}
)

// bed is a layer over a handler that does what the test says, in virtual time.
type bed struct {
	*testing.T
	Breaker
	method string
	does   error // of the handler; nil: it answers
	made   int   // calls that came to it
	opened []string
}

func (b *bed) call(caller string) error {
	h := Layer(rpc.PerMethod[Policy]{Methods: []Policy{{Failures: 5}, {Failures: 5}}}, &b.Breaker).Wrap(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		b.made++
		if b.does != nil {
			return nil, b.does
		}
		return &rpc.Reply{}, nil
	}))
	call := &rpc.Call{Service: "Users", Name: b.method, Method: idl.Method(b.method), Caller: rpc.Caller{Name: caller}}
	if call.Method != nil {
		call.Oneway = call.Method.Oneway
	}
	_, err := h.Handle(b.Context(), call)
	return err
}

// crashes makes n calls that end their handlers, at two endpoints in turn, and returns how many came to a handler.
func (b *bed) crashes(caller string, n int) int {
	was := b.made
	for i := range n {
		b.does = crash[i%2]
		_ = b.call(caller)
	}
	b.does = nil
	return b.made - was
}

func with(t *testing.T, f func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bed{T: t, method: "getUser"}
		b.Opened = func(method, caller string, wait time.Duration) {
			b.opened = append(b.opened, fmt.Sprint(method, " ", caller, " ", wait))
		}
		f(b)
	})
}

func (b *bed) open() int { return len(b.Breaker.Snapshot(time.Now()).Open) }

// A caller's method that ends its handlers at two endpoints is refused after five failures, with a word on when to call again, and nobody else's
// calls are; after 1, 2, 4 … 30 s one call is let through, and the first that is answered ends it.
func TestBreaks(t *testing.T) {
	with(t, func(b *bed) {
		if n := b.crashes("web", 20); n != 5 {
			b.Errorf("%d calls came through", n)
		}
		e := rpc.AsError(b.call("web"), "")
		if e == nil || e.Code != rpc.Unavailable || e.Reach != rpc.NotSent || e.Retryable(true) {
			b.Fatalf("error %v", e)
		}
		if got := e.Public(1).Message; got != "UNAVAILABLE: Users.getUser: this caller's calls of it end without a reply wherever they are made; "+
			"the next one is let through in 1.1s; call 0000000000000001" {
			b.Errorf("the caller is told %q", got)
		}
		if err := b.call("batch"); err != nil {
			b.Errorf("another caller: %v", err)
		}
		var waits []time.Duration
		for last := time.Now(); len(waits) < 8; {
			time.Sleep(100 * time.Millisecond)
			if b.crashes("web", 3) > 0 {
				waits = append(waits, time.Since(last).Round(100*time.Millisecond))
				last = time.Now()
			}
		}
		if got := fmt.Sprint(waits); got != "[1s 2s 4s 8s 16s 30s 30s 30s]" {
			b.Errorf("calls were let through after %v", got)
		}
		if s := b.Breaker.Snapshot(time.Now()); len(s.Open) != 1 || s.Open[0].Method != "getUser" || s.Open[0].Caller != "web" || time.Until(s.Open[0].Next) != 30*time.Second || s.Refused == 0 {
			b.Errorf("snapshot %+v", s)
		}
		time.Sleep(30 * time.Second)
		for range 10 {
			if err := b.call("web"); err != nil {
				b.Errorf("it is mended: %v", err)
			}
		}
		if b.open() != 0 || len(b.opened) != 9 || b.opened[1] != "getUser web 2s" {
			b.Errorf("%d are open; told %v", b.open(), b.opened)
		}
	})
}

// Nobody is refused whose calls are answered now and then, who fails at one endpoint alone, who fails seldom, or whose calls fail in another way.
func TestSpares(t *testing.T) {
	for name, f := range map[string]func(b *bed){
		"an answer between": func(b *bed) {
			for range 50 {
				b.crashes("web", 4)
				_ = b.call("web")
			}
		},
		"one endpoint": func(b *bed) {
			b.does = crash[0]
			for range 50 {
				_ = b.call("web")
			}
		},
		"seldom": func(b *bed) {
			for range 50 {
				b.crashes("web", 2)
				time.Sleep(forgets + time.Second)
			}
		},
		"less than half": func(b *bed) {
			for range 40 {
				_ = b.call("web")
			}
			for range 10 {
				b.crashes("web", 6)
				b.does = nil
				for range 10 {
					_ = b.call("web")
				}
			}
		},
		"a oneway":                func(b *bed) { b.method = "track"; b.crashes("web", 50) },
		"a method not in the IDL": func(b *bed) { b.method = "none"; b.crashes("web", 50) },
		"other failures": func(b *bed) {
			for i, e := range []*rpc.Error{
				{Code: rpc.UnknownMethod, Reach: rpc.Answered, Outcome: rpc.AppException}, {Code: rpc.Internal, Reach: rpc.Answered, Outcome: rpc.AppException},
				{Code: rpc.DeadlineExceeded, Reach: rpc.Unknown, Outcome: rpc.ReplyTimeout}, {Code: rpc.Unavailable, Reach: rpc.NotSent, Outcome: rpc.Refused},
				{Code: rpc.Unavailable, Reach: rpc.Unknown, Outcome: rpc.ClosedShared}, {Code: rpc.ResourceExhausted, Reach: rpc.NotSent},
			} {
				for range 50 {
					e.Endpoint = crash[i%2].Endpoint
					b.does = e
					_ = b.call("web")
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, func(b *bed) {
				if f(b); len(b.opened) > 0 {
					b.Errorf("opened %v", b.opened)
				}
			})
		})
	}
}

// A trial that tells nothing, since it timed out or its caller went, leaves the pair half open: the next trial comes when the same time has
// passed again. While a trial is on its way no other call is let through, and an answer to one that had begun before closes the pair.
func TestTrials(t *testing.T) {
	with(t, func(b *bed) {
		b.crashes("web", 5)
		time.Sleep(time.Second)
		b.does = &rpc.Error{Code: rpc.DeadlineExceeded, Reach: rpc.Unknown, Outcome: rpc.ReplyTimeout}
		for range 3 {
			_ = b.call("web")
		}
		if b.made != 6 {
			b.Errorf("%d calls came through, want five and a trial", b.made)
		}
		time.Sleep(time.Second)
		if n := b.crashes("web", 1); n != 1 {
			b.Error("there is no other trial")
		}
		if got := strings.Join(b.opened, ", "); got != "getUser web 1s, getUser web 2s" {
			b.Errorf("opened %s", got)
		}
		b.Breaker.failed(pair{"getUser", "web"}, "users-1", false, 5, time.Now()) // of a call that began before
		if got := b.Breaker.Snapshot(time.Now()).Open[0].Next; time.Until(got) != 2*time.Second {
			b.Errorf("the next trial is in %v", time.Until(got))
		}
		b.Breaker.answered(pair{"getUser", "web"})
		if err := b.call("web"); err != nil {
			b.Errorf("a call that began before was answered: %v", err)
		}
	})
}

// What is kept is bounded, however many callers fail; those that are refused are not the first to be forgotten. Who does not call any more is
// forgotten.
func TestPairsAreBounded(t *testing.T) {
	with(t, func(b *bed) {
		b.crashes("web", 5)
		for i := range 2 * maxPairs {
			b.crashes(fmt.Sprint("other ", i), 1)
			if b.call("web") == nil {
				b.Fatalf("after %d others it is forgotten", i)
			}
		}
		if n := len(b.records); n != maxPairs || b.order.Len() != n {
			b.Errorf("%d pairs are kept", n)
		}
		time.Sleep(firstWait + forgets + time.Second)
		_ = b.call("somebody")
		if n := len(b.records); n != 1 || b.order.Len() != n {
			b.Errorf("%d pairs are kept after a rest", n)
		}
	})
}

// Whatever the order of calls and their ends, the counts stay whole, and a pair of which every call is answered is never refused.
func TestAnyOrder(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var b Breaker
	now := time.Unix(1, 0)
	type trip struct {
		pair
		trial bool
	}
	var underway []trip
	for range 200_000 {
		now = now.Add(time.Duration(random.IntN(20)) * time.Millisecond)
		if n := len(underway); n > 0 && random.IntN(2) == 0 {
			i := random.IntN(n)
			x := underway[i]
			underway[i] = underway[n-1]
			underway = underway[:n-1]
			switch {
			case x.caller == "healthy" || random.IntN(8) == 0:
				b.answered(x.pair)
			case random.IntN(8) > 0:
				b.failed(x.pair, fmt.Sprint("users-", random.IntN(3)), x.trial, 5, now)
			}
			continue
		}
		x := trip{pair: pair{"getUser", []string{"healthy", "a", "b", "c", "d", "e"}[random.IntN(6)]}}
		wait, trial := b.allow(x.pair, now)
		if wait < 0 || wait > maxWait || x.caller == "healthy" && (wait > 0 || trial) {
			t.Fatalf("seed %d: %s is to wait %v, trial %v", seed, x.caller, wait, trial)
		}
		if wait == 0 {
			x.trial = trial
			underway = append(underway, x)
		}
		if n := len(b.records); b.order.Len() != n {
			t.Fatalf("seed %d: %d records, %d in order", seed, n, b.order.Len())
		}
	}
	if b.refused == 0 {
		t.Errorf("seed %d: nobody was ever refused", seed)
	}
}

// Where no method has a breaker the layer is not there; else a call costs no allocation.
func TestCostsNothing(t *testing.T) {
	next := rpc.Handler(rpc.HandlerFunc(nil))
	if fmt.Sprintf("%p", Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, 2)}, nil).Wrap(next)) != fmt.Sprintf("%p", next) {
		t.Error("there is a layer")
	}
	reply := &rpc.Reply{}
	h := Layer(rpc.PerMethod[Policy]{Methods: []Policy{{Failures: 5}}}, new(Breaker)).Wrap(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return reply, nil }))
	call := &rpc.Call{Method: idl.Methods[0], Caller: rpc.Caller{Name: "web"}}
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Handle(t.Context(), call) }); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}
