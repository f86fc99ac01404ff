package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/limit"
)

var someRule = limit.Key{Rule: "Users by caller, 100/s, 200", Of: "web"}

func perSecond(calls float64) limit.Rate { return limit.Rate{Calls: calls, Per: time.Second} }

func openLimits(t testing.TB, address string) *Limits {
	t.Helper()
	l, err := NewLimits(at(address), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// takeAt takes one call at a time of the test's.
func takeAt(t testing.TB, l *Limits, k limit.Key, r limit.Rate, burst int, now time.Time) bool {
	t.Helper()
	ok, err := l.take(t.Context(), k, r, burst, strconv.FormatInt(now.UnixMicro(), 10))
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// A bucket in Redis takes at each time what one in the process takes.
func TestLimitsAsLocal(t *testing.T) {
	l := openLimits(t, peertest.StartRedis(t).Address)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i, c := range []struct {
		rate  limit.Rate
		burst int
		most  time.Duration // between two calls
	}{
		{perSecond(100), 1, 20 * time.Millisecond},
		{perSecond(100), 200, 10 * time.Millisecond},
		{perSecond(0.3), 3, 3 * time.Second},
		{perSecond(1e7), 10, time.Microsecond},
		{limit.Rate{Calls: 90, Per: time.Minute}, 2, time.Second},
		{limit.Rate{Calls: 1000, Per: time.Hour}, 7, 5 * time.Second},
		{limit.Rate{Calls: 1, Per: time.Hour}, 1_000_000, time.Minute},
	} {
		var local limit.Local
		k := limit.Key{Rule: fmt.Sprint(i)}
		now := time.Now().Truncate(time.Microsecond)
		for n := range 500 {
			now = now.Add((time.Duration(random.Int64N(int64(c.most) + 1))).Truncate(time.Microsecond))
			want, _ := local.Take(t.Context(), k, c.rate, c.burst, now)
			if got := takeAt(t, l, k, c.rate, c.burst, now); got != want {
				t.Fatalf("%v, burst %d, call %d: %v, local %v", c.rate, c.burst, n, got, want)
			}
		}
	}
}

// A clock that is stepped back lets nothing more through, and no step stops a bucket for longer than it takes to fill.
func TestLimitsClockBack(t *testing.T) {
	l := openLimits(t, peertest.StartRedis(t).Address)
	now := time.Now()
	take := func(times int) (taken int) {
		for range times {
			if takeAt(t, l, someRule, perSecond(10), 5, now) {
				taken++
			}
		}
		return taken
	}
	if n := take(10); n != 5 {
		t.Fatalf("%d of a full bucket of 5", n)
	}
	now = now.Add(-time.Hour)
	if n := take(10); n != 0 {
		t.Errorf("%d right after the step back", n)
	}
	now = now.Add(300 * time.Millisecond)
	if n := take(10); n != 3 {
		t.Errorf("%d after 300ms of 10/s", n)
	}
	now = now.Add(time.Hour)
	if n := take(10); n != 5 {
		t.Errorf("%d after the step forward", n)
	}
}

// Gateways that share a bucket take together what it gives, by the server's clock.
func TestLimitsShared(t *testing.T) {
	const gateways, callers, rate, burst = 4, 4, 200, 50
	r := peertest.StartRedis(t)
	var taken, asked atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	began := time.Now()
	for range gateways {
		l := openLimits(t, r.Address)
		for range callers {
			all.Go(func() {
				for ctx.Err() == nil {
					ok, err := l.Take(t.Context(), someRule, perSecond(rate), burst, time.Time{})
					if err != nil {
						t.Error(err)
						return
					}
					if asked.Add(1); ok {
						taken.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	most := burst + rate*time.Since(began).Seconds()
	t.Logf("%d of %d calls in %v", taken.Load(), asked.Load(), time.Since(began))
	if n := float64(taken.Load()); n > most+1 {
		t.Errorf("%v are taken, %v may be", n, most)
	}
	if n := taken.Load(); n < min(burst, asked.Load()) {
		t.Errorf("%d are taken of a full bucket of %d", n, burst)
	}
}

// Buckets are apart, and what another program has put in the place of one is a full one.
func TestLimitsKeys(t *testing.T) {
	r := peertest.StartRedis(t)
	l := openLimits(t, r.Address)
	now := time.Now()
	keys := []limit.Key{{Rule: "a", Of: "bc"}, {Rule: "ab", Of: "c"}, {Rule: "abc"}, {Of: "abc"}}
	for _, k := range keys {
		if !takeAt(t, l, k, perSecond(1), 1, now) || takeAt(t, l, k, perSecond(1), 1, now) {
			t.Errorf("%+v is not a bucket of its own", k)
		}
	}
	do := admin(t, r.Address)
	for _, junk := range [][]string{{"SET", "x"}, {"SET", "-1 -1"}, {"SET", "1 1.1.1"}, {"RPUSH", "x"}} {
		do("DEL", l.prefix+digest(keys[0]))
		do(junk[0], l.prefix+digest(keys[0]), junk[1])
		if !takeAt(t, l, keys[0], perSecond(1), 1, now) || takeAt(t, l, keys[0], perSecond(1), 1, now) {
			t.Errorf("%v is not as a full bucket", junk)
		}
	}
}

// A server that is away is an error, at once, and none any more when it is back, with its scripts forgotten.
func TestLimitsAway(t *testing.T) {
	r := peertest.StartRedis(t)
	l := openLimits(t, r.Address)
	if !takeAt(t, l, someRule, perSecond(1), 1, time.Now()) {
		t.Fatal("refused")
	}
	r.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := l.Take(ctx, someRule, perSecond(1), 1, time.Now()); err == nil || ctx.Err() != nil {
		t.Errorf("%v", err)
	}
	r.Start()
	peertest.Eventually(t, "it takes calls again", func() bool {
		ok, err := l.Take(t.Context(), limit.Key{Rule: "another"}, perSecond(1), 1, time.Now())
		return err == nil && ok
	})
}
