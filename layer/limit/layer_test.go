package limit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var users = schema.MustParse(`
struct User { 1: i64 id, 2: string secret }
service Users { User getUser(1: i64 id), void putUser(1: User user), void ping() }`).Service("Users")

// made is a call of a method with arguments in JSON.
func made(t *testing.T, method, caller, args string) *rpc.Call {
	t.Helper()
	m := users.Method(method)
	v, err := codec.ParseJSON(codec.TypeOf(m.Args), []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	body, err := codec.AppendValue(nil, wire.Binary, codec.TypeOf(m.Args), v)
	if err != nil {
		t.Fatal(err)
	}
	return &rpc.Call{
		Service: "Users", Name: method, Method: m, Protocol: wire.Binary, Body: body, Caller: rpc.Caller{Name: caller}, Start: time.Now(),
		Deadline: time.Now().Add(time.Minute),
	}
}

// policies compiles rules that stand at the service for each of its methods.
func policies(all ...Config) (p rpc.PerMethod[Policy]) {
	compile := func(m *schema.Method) (out Policy) {
		for _, c := range all {
			if r, ok := c.Compile("Users", m, false); ok {
				out.Rules = append(out.Rules, r)
			}
		}
		return out
	}
	for _, m := range users.Methods {
		p.Methods = append(p.Methods, compile(m))
	}
	p.Other = compile(nil)
	return p
}

var done = rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return &rpc.Reply{}, nil })

func refused(err error) bool {
	var e *rpc.Error
	return errors.As(err, &e) && e.Code == rpc.ResourceExhausted && e.Reach == rpc.NotSent
}

// A rule counts together what it says, and nothing else. What is refused is refused at once, and says by which rule, and no value.
func TestWhatIsCountedTogether(t *testing.T) {
	two := "2/h"
	header := func(c *rpc.Call, v string) *rpc.Call {
		c.Headers = []transport.KV{{Key: "X-Tenant", Value: v}}
		return c
	}
	for _, tt := range []struct {
		name     string
		rule     Config
		together func(i int) *rpc.Call // three calls, of which the last is refused
		apart    *rpc.Call
		text     string
	}{
		{
			"service", Config{Rate: two, Burst: 2},
			func(i int) *rpc.Call { return made(t, []string{"getUser", "ping", "putUser"}[i], fmt.Sprint(i), "{}") }, nil,
			"Users: more than 2/h",
		}, {
			"method", Config{Rate: two, Burst: 2, By: "method"},
			func(i int) *rpc.Call { return made(t, "getUser", fmt.Sprint(i), "{}") }, made(t, "ping", "0", "{}"),
			"Users.getUser: more than 2/h",
		}, {
			"caller", Config{Rate: two, Burst: 2, By: "caller"},
			func(i int) *rpc.Call { return made(t, []string{"getUser", "ping", "putUser"}[i], "alice", "{}") }, made(t, "ping", "bob", "{}"),
			"Users: more than 2/h by one caller",
		}, {
			"argument", Config{Rate: two, Burst: 2, Argument: "id"},
			func(i int) *rpc.Call { return made(t, "getUser", fmt.Sprint(i), `{"id": 4711}`) }, made(t, "getUser", "0", `{"id": 4712}`),
			"Users: more than 2/h with one id",
		}, {
			"a field of an argument", Config{Rate: two, Burst: 2, Argument: "user.secret"},
			func(i int) *rpc.Call {
				return made(t, "putUser", fmt.Sprint(i), fmt.Sprintf(`{"user": {"id": %d, "secret": "hunter2"}}`, i))
			},
			made(t, "putUser", "0", `{"user": {"id": 1, "secret": "hunter3"}}`),
			"Users: more than 2/h with one user.secret",
		}, {
			"header", Config{Rate: two, Burst: 2, Header: "x-tenant"},
			func(i int) *rpc.Call { return header(made(t, "ping", fmt.Sprint(i), "{}"), "acme") }, header(made(t, "ping", "0", "{}"), "other"),
			"Users: more than 2/h with one x-tenant",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				by := ""
				state := NewState()
				state.Limited = func(_ *rpc.Call, rule string) { by = rule }
				h := Layer("Users", users, policies(tt.rule), state).Wrap(done)
				for i := range 3 {
					start := time.Now()
					_, err := h.Handle(t.Context(), tt.together(i))
					if refused(err) != (i == 2) {
						t.Errorf("call %d: %v", i, err)
					}
					if d := time.Since(start); d > 0 {
						t.Errorf("call %d took %v", i, d)
					}
					if i == 2 {
						text := rpc.AsError(err, "").Public(rpc.NewID()).Message
						if !strings.HasPrefix(text, "RESOURCE_EXHAUSTED: "+tt.text+"; call ") || by != strings.Fields(tt.name)[len(strings.Fields(tt.name))-1] {
							t.Errorf("%q, by %q", text, by)
						}
						if all := err.Error() + text; strings.Contains(all, "4711") || strings.Contains(all, "hunter2") || strings.Contains(all, "acme") {
							t.Errorf("a value is told: %s", all)
						}
					}
				}
				if tt.apart == nil {
					return
				}
				if _, err := h.Handle(t.Context(), tt.apart); err != nil {
					t.Errorf("what is counted apart: %v", err)
				}
			})
		})
	}
}

// A caller that is over its own limit takes nothing from what all share, whatever the order in which the rules are written.
func TestNarrowRulesComeFirst(t *testing.T) {
	all, each := Config{Rate: "10/h", Burst: 10}, Config{Rate: "3/h", Burst: 3, By: "caller"}
	for _, rules := range [][]Config{{all, each}, {each, all}} {
		h := Layer("Users", users, policies(rules...), NewState()).Wrap(done)
		for range 100 {
			_, _ = h.Handle(t.Context(), made(t, "ping", "flood", "{}"))
		}
		for _, caller := range []string{"a", "a", "a", "b", "b", "b"} {
			if _, err := h.Handle(t.Context(), made(t, "ping", caller, "{}")); err != nil {
				t.Errorf("%s: %v", caller, err)
			}
		}
	}
}

// A call whose argument is not there, or cannot be read, is not counted: the server will say what is wrong with it.
func TestCallsWithoutTheArgument(t *testing.T) {
	h := Layer("Users", users, policies(Config{Rate: "1/h", Burst: 1, Argument: "id"}), NewState()).Wrap(done)
	for range 3 {
		for _, c := range []*rpc.Call{made(t, "getUser", "a", "{}"), made(t, "ping", "a", "{}"), {Method: users.Method("getUser"), Protocol: wire.Binary, Body: []byte{9}}, {}} {
			if _, err := h.Handle(t.Context(), c); err != nil {
				t.Error(err)
			}
		}
	}
}

// in_flight refuses a caller's call beyond those that are under way, and takes one again when one has ended; nothing is left behind.
func TestInFlightByCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := NewState()
		h := Layer("Users", users, policies(Config{InFlight: 2, By: "caller"}), state).Wrap(slow(time.Second, nil))
		var wg sync.WaitGroup
		call := func(caller string, want bool) {
			wg.Go(func() {
				if _, err := h.Handle(t.Context(), made(t, "ping", caller, "{}")); refused(err) == want {
					t.Errorf("%s: %v", caller, err)
				}
			})
			synctest.Wait()
		}
		call("a", true)
		call("a", true)
		call("a", false)
		call("b", true)
		time.Sleep(time.Second)
		synctest.Wait()
		call("a", true)
		wg.Wait()
		if len(state.flights) > 0 {
			t.Errorf("left behind: %v", state.flights)
		}
	})
}

// slow works at a call for so long, and notes in most how many there were at one time.
func slow(d time.Duration, most *int) rpc.Handler {
	var mu sync.Mutex
	now := 0
	return rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		mu.Lock()
		if now++; most != nil {
			*most = max(*most, now)
		}
		mu.Unlock()
		time.Sleep(d)
		mu.Lock()
		now--
		mu.Unlock()
		return &rpc.Reply{}, nil
	})
}

// gated is a policy of max_in_flight for ping.
func gated(b Bounds) rpc.PerMethod[Policy] {
	p := policies()
	p.Methods[users.Method("ping").Index].Bounds = b
	return p
}

// With max_in_flight no more calls of the method are worked at; others wait for their turn, until the queue's bounds or their deadline. Other
// methods do not wait.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most := 0
		h := Layer("Users", users, gated(Bounds{InFlight: 2, MaxCalls: 5, MaxWait: 2500 * time.Millisecond}), NewState()).Wrap(slow(time.Second, &most))
		took := map[string]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		start := time.Now()
		for range 8 {
			wg.Go(func() {
				_, err := h.Handle(t.Context(), made(t, "ping", "a", "{}"))
				mu.Lock()
				took[fmt.Sprint(time.Since(start), " ", refused(err))]++
				mu.Unlock()
			})
			synctest.Wait()
		}
		wg.Wait()
		if got, want := fmt.Sprint(took), "map[0s true:1 1s false:2 2.5s true:1 2s false:2 3s false:2]"; got != want || most != 2 {
			t.Errorf("%s, at most %d at one time; want %s", got, most, want)
		}
		for range 3 { // all has been given back
			wg.Go(func() { _, _ = h.Handle(t.Context(), made(t, "ping", "a", "{}")) })
		}
		late := made(t, "ping", "b", "{}")
		late.Deadline = time.Now().Add(300 * time.Millisecond)
		synctest.Wait()
		if _, err := h.Handle(t.Context(), made(t, "getUser", "b", "{}")); err != nil {
			t.Errorf("another method: %v", err)
		}
		wg.Wait()
		for range 2 {
			wg.Go(func() { _, _ = h.Handle(t.Context(), made(t, "ping", "a", "{}")) })
		}
		synctest.Wait()
		late.Deadline = time.Now().Add(300 * time.Millisecond)
		start = time.Now()
		_, err := h.Handle(t.Context(), late)
		if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.DeadlineExceeded || time.Since(start) != 300*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		wg.Wait()
	})
}

// At the gate too callers take turns, a higher class goes first, and the noisiest gives way where the queue is full.
func TestTurnsAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		work := slow(time.Second, nil)
		next := rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			mu.Lock()
			order = append(order, c.Caller.Name)
			mu.Unlock()
			return work.Handle(ctx, c)
		})
		h := Layer("Users", users, gated(Bounds{InFlight: 1, MaxCalls: 4, MaxWait: time.Hour}), NewState()).Wrap(next)
		var wg sync.WaitGroup
		gone := 0
		for _, caller := range []string{"noisy", "noisy", "noisy", "noisy", "noisy", "quiet", "vip"} {
			c := made(t, "ping", caller, "{}")
			if caller == "vip" {
				c.Priority = rpc.Critical
			}
			wg.Go(func() {
				_, err := h.Handle(t.Context(), c)
				mu.Lock()
				defer mu.Unlock()
				if refused(err) && caller == "noisy" {
					gone++
				} else if err != nil {
					t.Errorf("%s: %v", caller, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if got := fmt.Sprint(order); got != "[noisy vip noisy quiet noisy]" || gone != 2 {
			t.Errorf("%s, and %d gave way", got, gone)
		}
	})
}

// A call whose caller goes while it waits leaves its place, and a stack that is replaced leaves what is known: buckets, calls under way, and
// who waits at the gate, which has its new bounds at once.
func TestStateOutlivesTheStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := NewState()
		rule := Config{Rate: "2/h", Burst: 2, By: "caller"}
		bounds := Bounds{InFlight: 1, MaxCalls: 9, MaxWait: time.Hour}
		with := func(b Bounds, rules ...Config) rpc.Handler {
			p := policies(rules...)
			p.Methods[users.Method("ping").Index].Bounds = b
			return Layer("Users", users, p, state).Wrap(slow(time.Second, nil))
		}
		was := with(bounds, rule)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		for i := range 4 {
			wg.Go(func() {
				of := t.Context()
				if i == 1 {
					of = ctx
				}
				_, err := was.Handle(of, made(t, "ping", fmt.Sprint(i), "{}"))
				if e := rpc.AsError(err, ""); i == 1 && (e == nil || e.Code != rpc.Cancelled) || i != 1 && err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		cancel()
		now := with(Bounds{InFlight: 3, MaxCalls: 9, MaxWait: time.Hour}, rule)
		wg.Wait()
		if d := time.Since(start); d != time.Second {
			t.Errorf("three calls at one time took %v", d)
		}
		for i, want := range []bool{true, false} {
			if _, err := now.Handle(t.Context(), made(t, "getUser", "0", "{}")); (err == nil) != want {
				t.Errorf("call %d of a bucket that had one left: %v", i, err)
			}
		}
	})
}

// A method without a rule is not in the way of its calls: they pass without a lock and without an allocation, and where no method has one there
// is no layer.
func TestNothingInTheWay(t *testing.T) {
	if _, ok := Layer("Users", users, policies(), NewState()).Wrap(done).(rpc.HandlerFunc); !ok {
		t.Error("the layer is in the way")
	}
	h := Layer("Users", users, gated(Bounds{InFlight: 1}), NewState()).Wrap(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, nil }))
	call := made(t, "getUser", "a", "{}")
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Handle(t.Context(), call) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A rate is a number of calls in a second, a minute or an hour.
func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"100/s": {100, time.Second}, "90/m": {90, time.Minute}, "1000 / h": {1000, time.Hour}, "0.5/s": {0.5, time.Second},
		"": {}, "100": {}, "100/d": {}, "0/s": {}, "-1/s": {}, "NaN/s": {}, "Inf/s": {}, "1e9/s": {}, "x/s": {}, "/s": {},
	} {
		if got, err := ParseRate(text); got != want || (err == nil) != (want != Rate{}) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		} else if back, _ := ParseRate(got.String()); back != got {
			t.Errorf("%q is written as %q", text, got)
		}
	}
}

func BenchmarkLimit(b *testing.B) {
	for _, by := range []string{"service", "caller"} {
		b.Run("by="+by, func(b *testing.B) {
			r, _ := Config{Rate: "10000000/s", Burst: 1e6, By: by}.Compile("Users", users.Method("ping"), false)
			h := Layer("Users", users, rpc.PerMethod[Policy]{Other: Policy{Rules: []Rule{r}}}, NewState()).Wrap(done)
			call := &rpc.Call{Service: "Users", Caller: rpc.Caller{Name: "alice"}}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = h.Handle(b.Context(), call)
			}
		})
	}
}
