package limit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shared is a store as several gateways share one: buckets by arrival times (GCRA), as a script of Redis would keep them; slow and failing where
// a test says so.
type shared struct {
	mu    sync.Mutex
	full  map[Key]time.Time // when the bucket will be
	takes time.Duration
	err   error
	asked int
}

func (s *shared) Take(ctx context.Context, k Key, r Rate, burst int, now time.Time) (bool, error) {
	s.mu.Lock()
	s.asked++
	takes, err := s.takes, s.err
	s.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	each := time.Duration(float64(r.Per) / r.Calls)
	full := s.full[k]
	if full.Before(now) {
		full = now
	}
	if full.Add(each).Sub(now) > time.Duration(burst)*each {
		return false, nil
	}
	s.full[k] = full.Add(each)
	return true, nil
}

func newShared() *shared { return &shared{full: map[Key]time.Time{}} }

// eachStore runs f over every store.
func eachStore(t *testing.T, f func(t *testing.T, s Store)) {
	for name, s := range map[string]func() Store{
		"local":    func() Store { return &Local{} },
		"shared":   func() Store { return newShared() },
		"fallback": func() Store { return &Fallback{Store: newShared(), Local: &Local{}} },
		"fallen":   func() Store { return &Fallback{Store: &shared{err: errors.New("gone")}, Local: &Local{}} },
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, s()) }) })
	}
}

// take takes n calls at once, and returns how many there were.
func take(t *testing.T, s Store, k Key, r Rate, burst, n int) (taken int) {
	t.Helper()
	for range n {
		ok, err := s.Take(t.Context(), k, r, burst, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			taken++
		}
	}
	return taken
}

// A bucket is full at first, empty after a burst, fills at its rate and to the burst; buckets do not know each other.
func TestStoreTakes(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		k, r := Key{"Users by caller, 10/s, 20", "alice"}, Rate{10, time.Second}
		for _, step := range []struct {
			rest time.Duration
			want int
		}{{0, 20}, {0, 0}, {time.Second, 10}, {350 * time.Millisecond, 3}, {50 * time.Millisecond, 1}, {time.Hour, 20}} {
			time.Sleep(step.rest)
			if got := take(t, s, k, r, 20, 50); got != step.want {
				t.Errorf("after %v: %d calls, want %d", step.rest, got, step.want)
			}
		}
		if got := take(t, s, Key{k.Rule, "bob"}, r, 20, 50); got != 20 {
			t.Errorf("another caller has %d calls", got)
		}
	})
}

// Over any time no more calls are taken than the burst and the rate come to, and no fewer, however many ask at once.
func TestStoreHoldsTheRate(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		k, r, taken := Key{Rule: "Users, 50/s, 5"}, Rate{50, time.Second}, 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 1000 {
					if ok, _ := s.Take(t.Context(), k, r, 5, time.Now()); ok {
						mu.Lock()
						taken++
						mu.Unlock()
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if taken < 495 || taken > 506 {
			t.Errorf("%d calls in ten seconds", taken)
		}
	})
}

// A store that fails, or is slow, does not hold calls up: the local one answers, the state is told once, and one call a second finds out
// whether the store is back.
func TestFallback(t *testing.T) {
	for _, how := range []string{"fails", "is slow"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShared()
				var told []string
				f := &Fallback{Store: s, Local: &Local{}, OnState: func(err error) { told = append(told, fmt.Sprint(err)) }}
				k, r := Key{Rule: "Users, 1/s, 3"}, Rate{1, time.Second}
				if got := take(t, f, k, r, 3, 9); got != 3 {
					t.Errorf("%d calls", got)
				}
				if how == "fails" {
					s.err = errors.New("connection refused")
				} else {
					s.takes = time.Minute
				}
				before, start := s.asked, time.Now()
				if got := take(t, f, k, r, 3, 9); got != 3 { // the local bucket is full
					t.Errorf("%d calls without the store", got)
				}
				if d := time.Since(start); d > defaultPatience {
					t.Errorf("they took %v", d)
				}
				if s.asked != before+1 {
					t.Errorf("the store that %s was asked %d times", how, s.asked-before)
				}
				for range 35 {
					time.Sleep(100 * time.Millisecond)
					take(t, f, k, r, 3, 1)
				}
				if n := s.asked - before; n < 3 || n > 5 {
					t.Errorf("it was asked %d times in 3.5 s", n)
				}
				s.err, s.takes = nil, 0
				time.Sleep(time.Second)
				take(t, f, k, r, 3, 1)
				before = s.asked
				if take(t, f, k, r, 3, 5); s.asked != before+5 {
					t.Error("the store is back, and not asked")
				}
				if len(told) != 2 || told[0] == "<nil>" || told[1] != "<nil>" {
					t.Errorf("told: %q", told)
				}
			})
		})
	}
}

// A caller that has gone is no failure of the store.
func TestCallerGoneIsNoFailureOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared()
		s.takes = time.Millisecond
		f := &Fallback{Store: s, Local: &Local{}, OnState: func(err error) { t.Errorf("told: %v", err) }}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = f.Take(ctx, Key{Rule: "x"}, Rate{1, time.Second}, 1, time.Now())
	})
}

// However many keys there are, memory is bounded, and what is in use stays.
func TestKeysAreBounded(t *testing.T) {
	var l Local
	now, busy, r := time.Unix(1, 0), Key{"Users by caller, 1/h, 1", "busy"}, Rate{1, time.Hour}
	if ok, _ := l.Take(t.Context(), busy, r, 1, now); !ok {
		t.Fatal("the first call")
	}
	for i := range maxKeys + maxKeys/4 {
		now = now.Add(time.Microsecond)
		if ok, _ := l.Take(t.Context(), Key{busy.Rule, fmt.Sprint(i)}, r, 1, now); !ok {
			t.Fatalf("the first call of key %d", i)
		}
		if i%64 == 0 {
			if ok, _ := l.Take(t.Context(), busy, r, 1, now); ok {
				t.Fatalf("a bucket that is in use was forgotten after %d others", i)
			}
		}
	}
	if n := l.Keys(); n > maxKeys {
		t.Errorf("%d keys", n)
	}
}
