package cache_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/cache/cachetest"
	"github.com/thriftloom/thriftloom/rpc"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "the seed of random tests; 0: another one each time")
	callsFlag = flag.Int("calls", 100_000, "how many calls random tests make")
)

func seed(t *testing.T) uint64 {
	s := *seedFlag
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return s
}

// CA-1: 10,000 calls of one cold key cost one call at the upstream, of a fleet too, and wait little longer than that takes.
func TestCA1Stampede(t *testing.T) {
	for _, gateways := range []int{1, 4} {
		t.Run(strconv.Itoa(gateways), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up, memory := &upstream{t: t, took: 200 * time.Millisecond}, &cachetest.Memory{Tracks: true}
				var all []*gateway
				for range gateways {
					all = append(all, open(t, up, memory, ttl(time.Minute)))
				}
				took := make([]time.Duration, 10_000)
				call := getUser(t, 7)
				var calls sync.WaitGroup
				for i := range took {
					calls.Go(func() {
						began := time.Now()
						c := *call
						if got, _, err := all[i%gateways].do(&c); got != "1" || err != nil {
							t.Errorf("%q, %v", got, err)
						}
						took[i] = time.Since(began)
					})
				}
				calls.Wait()
				slices.Sort(took)
				if p99 := took[len(took)*99/100]; up.made() != 1 || p99 > 210*time.Millisecond {
					t.Errorf("%d calls at the upstream, p99 %v", up.made(), p99)
				}
			})
		})
	}
}

// … and one more for each gateway that dies while it loads.
func TestCA1LeaderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := &cachetest.Memory{Tracks: true}
		up := &upstream{t: t, took: 200 * time.Millisecond}
		dead := memory.Open(cache.Events{}) // it takes the lease, and is never heard of again
		a, b := open(t, up, memory, ttl(time.Minute)), open(t, up, memory, ttl(time.Minute))
		n := keyOf(t, memory, a)
		if _, err := dead.Acquire(t.Context(), n, nil, 2*time.Second); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var calls sync.WaitGroup
		for i := range 1000 {
			calls.Go(func() {
				if got, _, err := []*gateway{a, b}[i%2].do(getUser(t, 7)); got != "2" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		calls.Wait()
		if took := time.Since(began); up.made() != 2 || took > 2300*time.Millisecond { // one is keyOf's
			t.Errorf("%d calls at the upstream, in %v", up.made()-1, took)
		}
	})
}

// keyOf finds out what the reply to getUser(7) is called in a store, and leaves nothing there.
func keyOf(t *testing.T, memory *cachetest.Memory, g *gateway) cache.ID {
	t.Helper()
	if _, _, err := g.do(getUser(t, 7)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	for id := range memory.Values() {
		if err := g.state.PurgeCall(t.Context(), g.policy("getUser"), getUser(t, 7)); err != nil {
			t.Fatal(err)
		}
		if len(memory.Values()) > 0 {
			t.Fatal("it is kept")
		}
		return id
	}
	t.Fatal("nothing is kept")
	return cache.ID{}
}

// CA-2: of a key that is asked for all the time nobody waits for a load but the first, and it costs little more than a call for each TTL.
func TestCA2HotKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life, load = 5 * time.Second, 200 * time.Millisecond
		length := time.Duration(*callsFlag) * time.Millisecond // ten minutes with -calls 600000
		up := &upstream{t: t, took: load}
		g := open(t, up, nil, ttl(life))
		call := getUser(t, 7)
		g.wants(call, "1", rpc.CacheMiss)
		waited := 0
		for began := time.Now(); time.Since(began) < length; time.Sleep(time.Millisecond) {
			for range 1 + *callsFlag/600_000*9 { // ten times as often then
				c := *call
				if _, how, err := g.do(&c); err != nil || how != rpc.CacheHit {
					waited++
				}
			}
		}
		each := float64(up.made()-1) / (float64(length) / float64(life))
		t.Logf("%.2f calls at the upstream for each TTL, of %d", each, length/life)
		if waited > 0 || each > 1.2 {
			t.Errorf("%d calls waited, %.2f calls at the upstream for each TTL", waited, each)
		}
	})
}

// CA-3: whatever becomes of the call for which a reply is loaded, others get the reply, or have their own time to wait for it.
func TestCA3Leader(t *testing.T) {
	const load = time.Second
	limited := &rpc.Error{Code: rpc.ResourceExhausted, Reach: rpc.NotSent, Op: "Users", Text: "more than 1/s by one caller"}
	for _, tt := range []struct {
		name   string
		lead   func(ctx context.Context, cancel func(), g *gateway, c *rpc.Call)
		answer func(n int) (*rpc.Reply, error) // to the n-th call at the upstream
		want   string
		calls  int
	}{
		{name: "is cancelled", want: "1", calls: 1, lead: func(ctx context.Context, cancel func(), g *gateway, c *rpc.Call) {
			time.AfterFunc(load/2, cancel)
			began := time.Now()
			if _, _, err := g.doWith(ctx, c); err == nil || time.Since(began) != load/2 {
				g.t.Errorf("the leader: %v after %v", err, time.Since(began))
			}
		}},
		{name: "has no time", want: "1", calls: 1, lead: func(ctx context.Context, _ func(), g *gateway, c *rpc.Call) {
			c.Deadline = time.Now().Add(load / 4)
			var e *rpc.Error
			if _, _, err := g.doWith(ctx, c); !errors.As(err, &e) || e.Code != rpc.DeadlineExceeded {
				g.t.Errorf("the leader: %v", err)
			}
		}},
		{name: "panics", want: "2", calls: 2, answer: func(n int) (*rpc.Reply, error) {
			if n == 1 {
				panic("the leader's")
			}
			return text(strconv.Itoa(n)), nil
		}},
		{name: "is over its limit", want: "2", calls: 2, answer: func(n int) (*rpc.Reply, error) {
			if n == 1 {
				return nil, limited
			}
			return text(strconv.Itoa(n)), nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{t: t, took: load}
				if tt.answer != nil {
					up.answer = func(context.Context, *rpc.Call) (*rpc.Reply, error) { return tt.answer(up.made()) }
				}
				g := open(t, up, nil, ttl(time.Minute))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var all sync.WaitGroup
				all.Go(func() {
					c := made(t, "getUser", "leader", `{"id": 7}`)
					if tt.lead != nil {
						tt.lead(ctx, cancel, g, c)
					} else if _, _, err := g.doWith(ctx, c); err == nil {
						t.Error("the leader's own failure is hidden from it")
					}
				})
				synctest.Wait()
				for i := range 100 {
					all.Go(func() {
						if got, _, err := g.do(made(t, "getUser", fmt.Sprint("other", i), `{"id": 7}`)); got != tt.want || err != nil {
							t.Errorf("%q, %v", got, err)
						}
					})
				}
				all.Wait()
				if up.made() != tt.calls {
					t.Errorf("%d calls at the upstream", up.made())
				}
			})
		})
	}
}

// CA-3: a load that hangs holds nobody longer than that caller's own time, and ends with the method's.
func TestCA3Hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadline := make(chan time.Time, 1)
		up := &upstream{t: t}
		up.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			deadline <- c.Deadline
			time.Sleep(time.Until(c.Deadline))
			return nil, &rpc.Error{Code: rpc.DeadlineExceeded, Reach: rpc.Unknown, Outcome: rpc.ReplyTimeout}
		}
		g := open(t, up, nil, ttl(time.Minute))
		began := time.Now()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				c := getUser(t, 7)
				own := time.Duration(i+1) * 100 * time.Millisecond
				c.Deadline = time.Now().Add(own)
				if _, _, err := g.do(c); err == nil || time.Since(began) != own {
					t.Errorf("a caller with %v: %v after %v", own, err, time.Since(began))
				}
			})
		}
		all.Wait()
		if until := (<-deadline).Sub(began); until != 10*time.Second {
			t.Errorf("the load has until %v after it began", until)
		}
		time.Sleep(10 * time.Second)
	})
}

// CA-4: what is made void is not answered with any more by the gateway that has done it once it says so, nor by others once they have been
// told, and no load that had begun before brings it back. Random gateways call, change and purge at the same time.
func TestCA4NothingOld(t *testing.T) {
	for _, tracks := range []bool{true, false} {
		t.Run(fmt.Sprint("tracks ", tracks), func(t *testing.T) {
			s := seed(t)
			memory := &cachetest.Memory{Tracks: tracks}
			var truth [4]atomic.Int64
			var told [3][4]atomic.Int64 // what was true when the last change had been answered that a gateway has to know of
			var changing [4]sync.Mutex
			up := rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
				if c.Name != "getUser" {
					return &rpc.Reply{Protocol: c.Protocol, Body: []byte{0}}, nil
				}
				return text(strconv.FormatInt(truth[c.Body[10]].Load(), 10)), nil
			})
			configs := with(map[string]func(*cache.Config){
				"getUser": func(c *cache.Config) {
					c.TTL, c.Tags, c.StaleWhileRevalidate = time.Minute, []string{"user:{id}"}, time.Minute
				},
				"removeUser": func(c *cache.Config) { c.Invalidates = []string{"getUser(id)"} },
				"putUser":    func(c *cache.Config) { c.Invalidates = []string{"tag:user:{user.id}"} },
			})
			if !tracks { // then others are not told, and keep nothing of their own
				c := configs["getUser"]
				c.NearTTL = 0
				configs["getUser"] = c
			}
			gateways := []*gateway{open(t, up, memory, configs), open(t, up, memory, configs), open(t, up, memory, configs)}
			calls := [4][3]*rpc.Call{}
			for i := range calls {
				calls[i] = [3]*rpc.Call{getUser(t, i), made(t, "removeUser", "", fmt.Sprintf(`{"id": %d}`, i)), made(t, "putUser", "", fmt.Sprintf(`{"user": {"id": %d}}`, i))}
			}
			for _, g := range gateways {
				g.patient(memory)
			}
			var all sync.WaitGroup
			for w := range 8 {
				random := rand.New(rand.NewPCG(s, uint64(w)))
				all.Go(func() {
					for range *callsFlag / 8 {
						i, at := random.IntN(len(truth)), random.IntN(len(gateways))
						g := gateways[at]
						switch random.IntN(20) {
						case 0:
							changing[i].Lock()
							now := truth[i].Add(1)
							c := *calls[i][1+random.IntN(2)]
							if _, err := g.handler.Handle(t.Context(), &c); err != nil {
								t.Error(err)
							}
							for other := range told {
								if tracks || other == at { // the double tells at once
									told[other][i].Store(now)
								}
							}
							changing[i].Unlock()
						case 1:
							if err := g.state.PurgeMethod(t.Context(), g.place, "getUser"); err != nil {
								t.Error(err)
							}
						default:
							least, c := told[at][i].Load(), *calls[i][0]
							c.Deadline = time.Now().Add(time.Minute)
							got, how, err := g.do(&c)
							if n, _ := strconv.ParseInt(got, 10, 64); err != nil || n < least {
								t.Errorf("%d by %q, %v, after %d was answered", n, how, err, least)
								return
							}
						}
					}
				})
			}
			all.Wait()
			for i := range truth {
				for _, g := range gateways {
					c := *calls[i][0]
					if got, _, err := g.do(&c); got != strconv.FormatInt(truth[i].Load(), 10) || err != nil {
						t.Errorf("in the end %s, %v, and %d is true", got, err, truth[i].Load())
					}
				}
			}
		})
	}
}

// CA-6: a hundred callers who ask for the same things, each in its own name, are never answered with another's.
func TestCA6Isolation(t *testing.T) {
	s := seed(t)
	up := rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) { return text(c.Caller.Identities[0]), nil })
	memory := &cachetest.Memory{Tracks: true}
	configs := with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) { c.TTL, c.StaleIfError = time.Minute, time.Minute }})
	gateways := []*gateway{open(t, up, memory, configs), open(t, up, memory, configs)}
	for _, g := range gateways {
		g.patient(memory)
	}
	var calls [100][10]*rpc.Call
	for who := range calls {
		for i := range calls[who] {
			c := getUser(t, i)
			c.Caller = rpc.Caller{Verified: true, Identities: []string{fmt.Sprintf("spiffe://acme/%d", who)}}
			calls[who][i] = c
		}
	}
	var all sync.WaitGroup
	var hits atomic.Int64
	for w := range 4 {
		random := rand.New(rand.NewPCG(s, uint64(w)))
		all.Go(func() {
			for range *callsFlag / 4 {
				c := *calls[random.IntN(len(calls))][random.IntN(10)]
				got, how, err := gateways[random.IntN(2)].do(&c)
				if err != nil || got != c.Caller.Identities[0] {
					t.Errorf("%s is answered with what is %s's, by %q, %v", c.Caller.Identities[0], got, how, err)
					return
				}
				if how == rpc.CacheHit {
					hits.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := int(hits.Load()); n < *callsFlag*9/10 {
		t.Errorf("%d hits of %d", n, *callsFlag)
	}
}

// CA-9: a store that is away, slow, or there and not there costs no caller an error and little time, and is left alone after a few failures.
func TestCA9StoreDown(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(began time.Time, ctx context.Context) error
	}{
		{"away", func(time.Time, context.Context) error { return cachetest.ErrAway }},
		{"slow", func(_ time.Time, ctx context.Context) error { return late(ctx, time.Second) }},
		{"hangs", func(_ time.Time, ctx context.Context) error { return late(ctx, time.Hour) }},
		{"flaps", func(began time.Time, ctx context.Context) error {
			if time.Since(began)/time.Second%2 == 0 {
				return late(ctx, time.Second)
			}
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, asked := time.Now(), 0
				var mu sync.Mutex
				memory := &cachetest.Memory{Tracks: true}
				memory.Before = func(ctx context.Context, _ string) error {
					err := tt.before(began, ctx)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						asked++
					}
					return err
				}
				up := &upstream{t: t, took: 5 * time.Millisecond}
				g := open(t, up, memory, ttl(time.Second))
				took := make([]time.Duration, 0, 10_000)
				var all sync.WaitGroup
				for i := range 10_000 { // a thousand a second
					all.Go(func() {
						at := time.Now()
						if _, _, err := g.do(getUser(t, i%500)); err != nil {
							t.Error(err)
						}
						mu.Lock()
						took = append(took, time.Since(at))
						mu.Unlock()
					})
					time.Sleep(time.Millisecond)
				}
				all.Wait()
				slices.Sort(took)
				p99 := took[len(took)*99/100]
				outages := 1
				if tt.name == "flaps" {
					outages = 5
				}
				looks := 10 // at whether it is back
				t.Logf("p99 %v, %d failures", p99, asked)
				if p99 > up.took+5*time.Millisecond || asked > outages*20+looks {
					t.Errorf("p99 %v, %d failures", p99, asked)
				}
			})
		})
	}
}

// late waits as long as it may.
func late(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
