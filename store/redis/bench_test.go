package redis

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// callers runs f b.N times, from so many goroutines.
func callers(b *testing.B, n int, f func() error) {
	b.Helper()
	b.ReportAllocs()
	var all sync.WaitGroup
	work := make(chan struct{}, n)
	for range n {
		all.Go(func() {
			for range work {
				if err := f(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	all.Wait()
}

// A reply of 200 bytes and the version of its group.
func BenchmarkGet(b *testing.B) {
	s := open(b, at(peertest.StartRedis(b).Address), cache.Events{})
	load(b, s, key, string(make([]byte, 200)), group)
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			callers(b, n, func() error {
				_, err := s.Get(b.Context(), key, []cache.ID{group})
				return err
			})
		})
	}
}

func BenchmarkTake(b *testing.B) {
	l := openLimits(b, peertest.StartRedis(b).Address)
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			callers(b, n, func() error {
				_, err := l.Take(b.Context(), someRule, perSecond(1e6), 1000, time.Time{})
				return err
			})
		})
	}
}

// From the start of a Delete or an Invalidate at one gateway until another is told.
func BenchmarkTold(b *testing.B) {
	r := peertest.StartRedis(b)
	told := make(chan time.Time, 1)
	s := open(b, at(r.Address), cache.Events{Changed: func([]cache.ID) {
		select {
		case told <- time.Now():
		default:
		}
	}})
	other := open(b, at(r.Address), cache.Events{})
	for name, change := range map[string]func() error{
		"delete":     func() error { return other.Delete(b.Context(), key) },
		"invalidate": func() error { return other.Invalidate(b.Context(), group) },
	} {
		b.Run("change="+name, func(b *testing.B) {
			var all []time.Duration
			for range b.N {
				load(b, other, key, "x", group)
				get(b, s, key, group)
				for len(told) > 0 { // of what was before: it came before the answer
					<-told
				}
				began := time.Now()
				if err := change(); err != nil {
					b.Fatal(err)
				}
				all = append(all, (<-told).Sub(began))
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
		})
	}
}
