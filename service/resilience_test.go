package service_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/layer/breaker"
	"github.com/thriftloom/thriftloom/layer/hedge"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/layer/translate"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var users = schema.MustParse("service Users { string getUser(), string poison() }").Service("Users")

// fleet is a service over a cluster of scripted servers, in virtual time, on an in-memory network.
type fleet struct {
	*testing.T
	*service.Service
	cluster  *cluster.Cluster
	random   *rand.Rand // of whoever draws in mu
	mu       sync.Mutex
	attempts atomic.Int64 // that the servers saw
	ejected  atomic.Int64
	hedges   *hedge.State
	breaker  breaker.Breaker
	calls    sync.WaitGroup
}

// plan is what a fleet is made of.
type plan struct {
	servers, slots int
	script         func(f *fleet, m transport.Message) fakepeer.Answer
	policy         service.Policy // of all methods; Hedge.Method, Budget and Upstream are filled in
	hedged         bool
	sinks          []observe.Sink
}

// with runs f over a fleet.
func with(t *testing.T, p plan, f func(f *fleet)) {
	t.Helper()
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		network, engine := memnet.New(), netio.NewPortable()
		x := &fleet{T: t, random: rand.New(rand.NewPCG(seed, 0)), hedges: hedge.NewState()}
		speaks := transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}
		x.cluster = cluster.New(cluster.Options{
			Name: "Users", Engine: engine, Dialer: network.Dial, Wire: speaks, Slots: p.slots, Queue: cluster.Default().Queue, Balance: balance.Default(),
			OnState: func(_, state string) {
				if state == balance.Ejected {
					x.ejected.Add(1)
				}
			},
		})
		var wg sync.WaitGroup
		wg.Go(func() { _ = engine.Run(ctx) })
		var endpoints []rpc.Endpoint
		var stop []func()
		for i := range p.servers {
			peer := &fakepeer.Peer{Script: func(m transport.Message) fakepeer.Answer {
				x.attempts.Add(1)
				return p.script(x, m)
			}}
			e := rpc.Endpoint{Address: fmt.Sprintf("10.0.0.%d:6000", i+1), Name: fmt.Sprint("users-", i+1)}
			l, err := network.Listen(e.Address)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { peer.Serve(l) })
			stop = append(stop, func() { _ = l.Close() })
			endpoints = append(endpoints, e)
		}
		x.cluster.Update(endpoints)
		x.Service = service.New(service.Config{Name: "Users", Schema: users, Policies: x.policies(p), Breaker: &x.breaker, Sinks: p.sinks})
		f(x)
		x.calls.Wait()
		time.Sleep(time.Minute) // who lost is through
		x.cluster.Close()
		cancel()
		for _, s := range stop {
			s()
		}
		wg.Wait()
	})
}

func (f *fleet) policies(p plan) rpc.PerMethod[service.Policy] {
	shared := new(budget.Budget)
	all := rpc.PerMethod[service.Policy]{}
	for _, m := range users.Methods {
		one := p.policy
		one.Upstream, one.Budget, one.Wire = f.cluster, shared, translate.Policy{Protocol: wire.Binary}
		if p.hedged {
			one.Hedge.Method = f.hedges.Method(m.Name)
		}
		all.Methods = append(all.Methods, one)
	}
	all.Other = all.Methods[0]
	return all
}

// draw returns a number from 0 to 1.
func (f *fleet) draw() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.Float64()
}

// load makes calls at a rate, whatever became of those before, and hands each one's end on.
func (f *fleet) load(rate float64, lasts time.Duration, method, caller string, ended func(took time.Duration, err error)) {
	f.calls.Go(func() {
		var calls sync.WaitGroup
		defer calls.Wait()
		for end := time.Now().Add(lasts); time.Now().Before(end); {
			f.mu.Lock()
			gap := f.random.ExpFloat64()
			f.mu.Unlock()
			time.Sleep(time.Duration(gap / rate * float64(time.Second)))
			calls.Go(func() {
				ended(f.call(method, caller))
			})
		}
	})
}

// call makes one call.
func (f *fleet) call(method, caller string) (took time.Duration, err error) {
	start := time.Now()
	_, err = f.Handle(f.Context(), &rpc.Call{
		ID: rpc.NewID(), Service: "Users", Name: method, Method: users.Method(method), Protocol: wire.Binary, Body: []byte{0}, Start: start,
		Caller: rpc.Caller{Name: caller},
	})
	return time.Since(start), err
}

// tally counts ends of calls.
type tally struct {
	mu     sync.Mutex
	took   []time.Duration
	failed map[rpc.Code]int
}

func (c *tally) ended(took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, took)
	if err != nil {
		if c.failed == nil {
			c.failed = map[rpc.Code]int{}
		}
		c.failed[rpc.AsError(err, "").Code]++
	}
}

func (c *tally) quantile(q float64) time.Duration {
	slices.Sort(c.took)
	return c.took[int(q*float64(len(c.took)))]
}

// late answers after ten milliseconds or so, and one call of a hundred fifty times as late: because of the server, not of the call.
func late(f *fleet, _ transport.Message) fakepeer.Answer {
	took := time.Duration((5 + 10*f.draw()) * float64(time.Millisecond))
	if f.draw() < 0.01 {
		took *= 50
	}
	return fakepeer.Answer{After: took}
}

// Where one call of a hundred takes fifty times as long because of the server, hedges halve the 99.9th percentile at least, for five percent more
// load at most. Where more than 60 % of the slots are taken there are none.
func TestHL9Hedging(t *testing.T) {
	hedged := service.Policy{Timeout: 10 * time.Second, Idempotent: true, Retry: retry.Default(), Hedge: hedge.Policy{Percent: 5}}
	play := func(on bool, rate float64) (p999 time.Duration, extra float64) {
		with(t, plan{servers: 4, slots: 4, script: late, policy: hedged, hedged: on}, func(f *fleet) {
			var all tally
			f.load(rate, 100*time.Second, "getUser", "web", all.ended)
			f.calls.Wait()
			p999 = all.quantile(0.999)
			time.Sleep(10 * time.Second)
			extra = float64(f.attempts.Load())/float64(len(all.took)) - 1
			if len(all.failed) > 0 {
				t.Errorf("failed: %v", all.failed)
			}
		})
		return p999, extra
	}
	without, none := play(false, 200)
	got, extra := play(true, 200)
	t.Logf("p99.9 %v without, %v with hedges; extra load %.2f %%", without, got, 100*extra)
	if none != 0 || 2*got > without || extra > 0.05 || extra <= 0 {
		t.Errorf("p99.9 is %v without and %v with hedges, for %.2f %% more load", without, got, 100*extra)
	}

	holding := func(n int) (counts hedge.Counts) {
		policy := hedged
		policy.Timeout, policy.Hedge.Delay = time.Hour, 11*time.Millisecond
		with(t, plan{servers: 4, slots: 4, script: holds, policy: policy, hedged: true}, func(f *fleet) {
			for range n {
				f.calls.Go(func() {
					call := &rpc.Call{Service: "Users", Name: "poison", Protocol: wire.Binary, Body: []byte{0}, Start: time.Now()}
					_, _ = f.cluster.Handle(f.Context(), call)
				})
			}
			synctest.Wait()
			f.load(20, 50*time.Second, "getUser", "web", func(_ time.Duration, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			f.calls.Wait()
			counts, _ = f.hedges.Method("getUser").Snapshot()
		})
		return counts
	}
	if c := holding(8); c.Sent == 0 { // and one: 56 %
		t.Errorf("with half of the slots taken: %+v", c)
	}
	if c := holding(10); c.Sent != 0 || c.Busy == 0 { // and one: 69 %
		t.Errorf("with more than 60 %% of the slots taken: %+v", c)
	}
}

// holds keeps a slot for a minute, or is late as late is.
func holds(f *fleet, m transport.Message) fakepeer.Answer {
	if m.Head.Name == "poison" {
		return fakepeer.Answer{After: time.Minute}
	}
	return late(f, m)
}

// Fifty calls a second that end their handlers, among five hundred: no server is ejected, nobody else notices, and the caller's method is refused
// within a second. It costs the servers a call now and then, until it is mended.
func TestHL4PoisonCaller(t *testing.T) {
	var mended atomic.Bool
	script := func(f *fleet, m transport.Message) fakepeer.Answer {
		if m.Head.Name == "poison" && !mended.Load() {
			return fakepeer.Answer{After: time.Millisecond, Close: true}
		}
		return fakepeer.Answer{After: time.Duration(f.draw() * 10 * float64(time.Millisecond))}
	}
	for name, idempotent := range map[string]bool{"tried once": false, "tried three times": true} {
		t.Run(name, func(t *testing.T) {
			mended.Store(false)
			policy := service.Policy{Timeout: 5 * time.Second, Idempotent: idempotent, Retry: retry.Default(), Breaker: breaker.Policy{Failures: breaker.Default().Failures}}
			with(t, plan{servers: 4, slots: 4, script: script, policy: policy}, func(f *fleet) {
				var others, poison tally
				var broken atomic.Pointer[time.Duration]
				began := time.Now()
				f.load(150, time.Minute, "getUser", "web", others.ended)
				f.load(150, time.Minute, "getUser", "batch", others.ended)
				f.load(150, time.Minute, "getUser", "bad", others.ended) // another method of the same caller
				f.load(50, time.Minute, "poison", "bad", func(took time.Duration, err error) {
					poison.ended(took, err)
					if rpc.AsError(err, "").Code == rpc.Unavailable {
						after := time.Since(began)
						broken.CompareAndSwap(nil, &after)
					}
				})
				f.calls.Wait()
				failed := 0
				for _, n := range others.failed {
					failed += n
				}
				t.Logf("%d others, %v failed; of %d poisoned %v; broken after %v", len(others.took), others.failed, len(poison.took), poison.failed, *broken.Load())
				if f.ejected.Load() > 0 || float64(failed) > 0.0001*float64(len(others.took)) {
					t.Errorf("%d ejections, %d of %d others failed: %v", f.ejected.Load(), failed, len(others.took), others.failed)
				}
				if *broken.Load() > time.Second {
					t.Errorf("broken after %v", *broken.Load())
				}
				if n := poison.failed[rpc.HandlerFailed]; n > 30 { // those until it was broken, and six trials
					t.Errorf("%d poisoned calls came through", n)
				}
				if open := f.breaker.Snapshot(time.Now()).Open; len(open) != 1 || open[0].Method != "poison" || open[0].Caller != "bad" {
					t.Errorf("open are %+v", open)
				}
				mended.Store(true)
				var after tally
				f.load(50, 40*time.Second, "poison", "bad", after.ended)
				f.calls.Wait()
				if _, open := after.failed[rpc.Unavailable]; len(f.breaker.Snapshot(time.Now()).Open) != 0 || !open || len(after.failed) != 1 {
					t.Errorf("after it was mended: %v", after.failed)
				}
			})
		})
	}
}

// Where every call fails for a minute, late and then not at all, all attempts are 1.2 times the calls at most, with retries and hedges both.
func TestWholeFleetFails(t *testing.T) {
	for _, tt := range []struct {
		name    string
		retries retry.Config
		rate    float64
	}{{"with retries", retry.Default(), 500}, {"hedges alone", retry.Config{Attempts: 1}, 100}} {
		t.Run(tt.name, func(t *testing.T) {
			var failing atomic.Bool
			script := func(f *fleet, _ transport.Message) fakepeer.Answer {
				if failing.Load() {
					return fakepeer.Answer{After: 30 * time.Millisecond, Close: true}
				}
				return fakepeer.Answer{After: time.Duration(f.draw() * 10 * float64(time.Millisecond))}
			}
			policy := service.Policy{Timeout: 5 * time.Second, Idempotent: true, Retry: tt.retries, Hedge: hedge.Policy{Percent: hedge.Default().Percent}}
			with(t, plan{servers: 4, slots: 64, script: script, policy: policy, hedged: true}, func(f *fleet) {
				var before, during tally
				f.load(tt.rate, 30*time.Second, "getUser", "web", before.ended)
				f.calls.Wait()
				failing.Store(true)
				was := f.attempts.Load()
				f.load(tt.rate, time.Minute, "getUser", "web", during.ended)
				f.calls.Wait()
				time.Sleep(time.Second)
				counts, _ := f.hedges.Method("getUser").Snapshot()
				got := float64(f.attempts.Load()-was) / float64(len(during.took))
				t.Logf("%.3f attempts a call, hedges %+v", got, counts)
				if got > 1.2 || got < 1.03 || counts.Sent == 0 {
					t.Errorf("%.3f attempts a call, hedges %+v", got, counts)
				}
				if during.failed[rpc.HandlerFailed] != len(during.took) {
					t.Errorf("of %d calls failed %v", len(during.took), during.failed)
				}
			})
		})
	}
}

// lateness collects attempts that end after their calls.
type lateness struct {
	mu   sync.Mutex
	late []rpc.Attempt
	said []rpc.Attempt
}

func (l *lateness) Begun(*rpc.Call) {}

func (l *lateness) Ended(r *rpc.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, r.Attempts()...)
}

func (l *lateness) Late(_ *rpc.Call, a rpc.Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = append(l.late, a)
}

// An attempt that loses is an event of its own, with what came of it; its connection serves the next call, and its slot is free again.
func TestALosersConnectionIsKept(t *testing.T) {
	var calls atomic.Int64
	calls.Store(1)
	script := func(*fleet, transport.Message) fakepeer.Answer {
		if calls.Add(1) == 1 {
			return fakepeer.Answer{After: 500 * time.Millisecond}
		}
		return fakepeer.Answer{After: time.Millisecond}
	}
	var seen lateness
	policy := service.Policy{Timeout: 5 * time.Second, Idempotent: true, Hedge: hedge.Policy{Percent: 5, Delay: 10 * time.Millisecond}}
	with(t, plan{servers: 2, slots: 1, script: script, policy: policy, hedged: true, sinks: []observe.Sink{&seen}}, func(f *fleet) {
		for range 20 { // what one hedge costs
			if took, err := f.call("getUser", "web"); err != nil || took != time.Millisecond {
				t.Fatalf("error %v after %v", err, took)
			}
		}
		calls.Store(0)
		seen.said = nil
		if took, err := f.call("getUser", "web"); err != nil || took != 11*time.Millisecond {
			t.Errorf("error %v after %v", err, took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(seen.said) != 1 || !seen.said[0].Hedge || len(seen.late) != 1 || seen.late[0].Hedge || seen.late[0].Outcome != rpc.Success || seen.late[0].Took != 500*time.Millisecond {
			t.Errorf("attempts %+v, late %+v", seen.said, seen.late)
		}
		for _, e := range f.cluster.Snapshot().Endpoints {
			if e.InFlight != 0 || e.Zombies != 0 || e.Connections != 1 || e.Failures != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}
