package overload

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/layer/breaker"
	"github.com/thriftloom/thriftloom/layer/hedge"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// tally counts ends of calls.
type tally struct {
	mu     sync.Mutex
	took   []time.Duration
	failed map[rpc.Code]int
}

func (c *tally) ended(took time.Duration, e *rpc.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, took)
	if e != nil {
		if c.failed == nil {
			c.failed = map[rpc.Code]int{}
		}
		c.failed[e.Code]++
	}
}

// late answers after ten milliseconds or so, and one call of a hundred fifty times as late: because of the server, not of the call.
func late(w *world, _ transport.Message) fakepeer.Answer {
	took := time.Duration((5 + 10*w.random.share()) * float64(time.Millisecond))
	if w.random.share() < 0.01 {
		took *= 50
	}
	return fakepeer.Answer{After: took}
}

// Where one call of a hundred takes fifty times as long because of the server, hedges halve the 99.9th percentile at least, for five percent more
// load at most. Where more than 60 % of the slots are taken there are none.
func TestHL9Hedging(t *testing.T) {
	run := func(on bool, rate float64) (p999 time.Duration, extra float64) {
		hedged := func(p *service.Policy) {
			if on {
				p.Hedge = hedge.Policy{Percent: 5}
			}
		}
		play(t, setup{peers: 4, slots: 4, script: late, timeout: 10 * time.Second, idempotent: true, policy: hedged}, func(w *world) {
			var all tally
			w.load(rate, 100*time.Second, "list", "web", all.ended)
			w.loads.Wait()
			p999 = quantile(all.took, 0.999)
			time.Sleep(10 * time.Second)
			extra = float64(w.attempts.Load())/float64(len(all.took)) - 1
			if len(all.failed) > 0 {
				t.Errorf("failed: %v", all.failed)
			}
		})
		return p999, extra
	}
	without, none := run(false, 200)
	got, extra := run(true, 200)
	t.Logf("p99.9 %v without, %v with hedges; extra load %.2f %%", without, got, 100*extra)
	if none != 0 || 2*got > without || extra > 0.05 || extra <= 0 {
		t.Errorf("p99.9 is %v without and %v with hedges, for %.2f %% more load", without, got, 100*extra)
	}

	holding := func(n int) (counts hedge.Counts) {
		hedged := func(p *service.Policy) { p.Hedge = hedge.Policy{Percent: 5, Delay: 11 * time.Millisecond} }
		play(t, setup{peers: 4, slots: 4, script: holds, timeout: time.Hour, idempotent: true, policy: hedged}, func(w *world) {
			for range n {
				w.loads.Go(func() {
					call := &rpc.Call{Service: "Shop", Name: "poison", Protocol: wire.Binary, Body: []byte{0}, Start: time.Now()}
					_, _ = w.cluster.Handle(w.Context(), call)
				})
			}
			synctest.Wait()
			w.load(20, 50*time.Second, "list", "web", func(_ time.Duration, e *rpc.Error) {
				if e != nil {
					t.Error(e)
				}
			})
			w.loads.Wait()
			counts, _ = w.hedges.Method("list").Snapshot()
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
func holds(w *world, m transport.Message) fakepeer.Answer {
	if m.Head.Name == "poison" {
		return fakepeer.Answer{After: time.Minute}
	}
	return late(w, m)
}

// Fifty calls a second that end their handlers, among five hundred: no server is ejected, nobody else notices, and the caller's method is refused
// within a second. It costs the servers a call now and then, until it is mended.
func TestHL4PoisonCaller(t *testing.T) {
	var mended atomic.Bool
	script := func(w *world, m transport.Message) fakepeer.Answer {
		if m.Head.Name == "poison" && !mended.Load() {
			return fakepeer.Answer{After: time.Millisecond, Close: true}
		}
		return fakepeer.Answer{After: time.Duration(w.random.share() * 10 * float64(time.Millisecond))}
	}
	for name, idempotent := range map[string]bool{"tried once": false, "tried three times": true} {
		t.Run(name, func(t *testing.T) {
			mended.Store(false)
			breaks := func(p *service.Policy) { p.Breaker.Failures = breaker.Default().Failures }
			play(t, setup{peers: 4, slots: 4, script: script, idempotent: idempotent, policy: breaks}, func(w *world) {
				var others, poison tally
				var broken atomic.Pointer[time.Duration]
				began := time.Now()
				w.load(150, time.Minute, "list", "web", others.ended)
				w.load(150, time.Minute, "list", "batch", others.ended)
				w.load(150, time.Minute, "list", "bad", others.ended) // another method of the same caller
				w.load(50, time.Minute, "poison", "bad", func(took time.Duration, e *rpc.Error) {
					poison.ended(took, e)
					if e != nil && e.Code == rpc.Unavailable {
						after := time.Since(began)
						broken.CompareAndSwap(nil, &after)
					}
				})
				w.loads.Wait()
				failed := 0
				for _, n := range others.failed {
					failed += n
				}
				t.Logf("%d others, %v failed; of %d poisoned %v; broken after %v", len(others.took), others.failed, len(poison.took), poison.failed, *broken.Load())
				if w.ejected.Load() > 0 || float64(failed) > 0.0001*float64(len(others.took)) {
					t.Errorf("%d ejections, %d of %d others failed: %v", w.ejected.Load(), failed, len(others.took), others.failed)
				}
				if *broken.Load() > time.Second {
					t.Errorf("broken after %v", *broken.Load())
				}
				if n := poison.failed[rpc.HandlerFailed]; n > 30 { // those until it was broken, and six trials
					t.Errorf("%d poisoned calls came through", n)
				}
				if open := w.breaker.Snapshot(time.Now()).Open; len(open) != 1 || open[0].Method != "poison" || open[0].Caller != "bad" {
					t.Errorf("open are %+v", open)
				}
				mended.Store(true)
				var after tally
				w.load(50, 40*time.Second, "poison", "bad", after.ended)
				w.loads.Wait()
				if _, open := after.failed[rpc.Unavailable]; len(w.breaker.Snapshot(time.Now()).Open) != 0 || !open || len(after.failed) != 1 {
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
			script := func(w *world, _ transport.Message) fakepeer.Answer {
				if failing.Load() {
					return fakepeer.Answer{After: 30 * time.Millisecond, Close: true}
				}
				return fakepeer.Answer{After: time.Duration(w.random.share() * 10 * float64(time.Millisecond))}
			}
			policy := func(p *service.Policy) { p.Retry, p.Hedge.Percent = tt.retries, hedge.Default().Percent }
			play(t, setup{peers: 4, slots: 64, script: script, idempotent: true, policy: policy}, func(w *world) {
				var before, during tally
				w.load(tt.rate, 30*time.Second, "list", "web", before.ended)
				w.loads.Wait()
				failing.Store(true)
				was := w.attempts.Load()
				w.load(tt.rate, time.Minute, "list", "web", during.ended)
				w.loads.Wait()
				time.Sleep(time.Second)
				counts, _ := w.hedges.Method("list").Snapshot()
				got := float64(w.attempts.Load()-was) / float64(len(during.took))
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
	script := func(*world, transport.Message) fakepeer.Answer {
		if calls.Add(1) == 1 {
			return fakepeer.Answer{After: 500 * time.Millisecond}
		}
		return fakepeer.Answer{After: time.Millisecond}
	}
	var seen lateness
	policy := func(p *service.Policy) {
		p.Retry, p.Hedge = retry.Config{}, hedge.Policy{Percent: 5, Delay: 10 * time.Millisecond}
	}
	play(t, setup{peers: 2, script: script, idempotent: true, policy: policy, sinks: []observe.Sink{&seen}}, func(w *world) {
		call := func() (time.Duration, *rpc.Error) {
			start := time.Now()
			e := w.call("list", "web")
			return time.Since(start), e
		}
		for range 20 { // what one hedge costs
			if took, e := call(); e != nil || took != time.Millisecond {
				t.Fatalf("error %v after %v", e, took)
			}
		}
		calls.Store(0)
		seen.said = nil
		if took, e := call(); e != nil || took != 11*time.Millisecond {
			t.Errorf("error %v after %v", e, took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(seen.said) != 1 || !seen.said[0].Hedge || len(seen.late) != 1 || seen.late[0].Hedge || seen.late[0].Outcome != rpc.Success || seen.late[0].Took != 500*time.Millisecond {
			t.Errorf("attempts %+v, late %+v", seen.said, seen.late)
		}
		for _, e := range w.cluster.Snapshot().Endpoints {
			if e.InFlight != 0 || e.Zombies != 0 || e.Connections != 1 || e.Failures != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}
