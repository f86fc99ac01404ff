package limit

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The bounds of a Local.
const (
	shards  = 16
	maxKeys = 1 << 16 // buckets, some 15 MB: as many callers, or values of an argument, as one process may see within a burst's time
	drawn   = 8       // buckets, of which the one that was used longest ago goes
)

// Local keeps token buckets in this process, of a bounded number. The zero value is empty.
//
// Where there are too many, one goes that was not used for long: of a few that are drawn, the longest. Whoever it was of has a full one then.
type Local struct{ shards [shards]shard }

type shard struct {
	mu      sync.Mutex
	buckets map[Key]*bucket
}

type bucket struct {
	limiter *rate.Limiter
	used    time.Time
}

var seed = maphash.MakeSeed()

// Take implements Store. It does not fail.
func (l *Local) Take(_ context.Context, k Key, r Rate, burst int, now time.Time) (bool, error) {
	s := &l.shards[maphash.Comparable(seed, k)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[k]
	if b == nil {
		b = &bucket{limiter: rate.NewLimiter(rate.Limit(r.perSecond()), burst)}
		s.add(k, b)
	}
	b.used = now
	return b.limiter.AllowN(now, 1), nil
}

// add puts a bucket in, in the place of another one where there are too many. s.mu is held.
func (s *shard) add(k Key, b *bucket) {
	if s.buckets == nil {
		s.buckets = map[Key]*bucket{}
	}
	if len(s.buckets) >= maxKeys/shards {
		var idle Key
		var used time.Time
		n := 0
		for key, b := range s.buckets { // in random order
			if n == 0 || b.used.Before(used) {
				idle, used = key, b.used
			}
			if n++; n == drawn {
				break
			}
		}
		delete(s.buckets, idle)
	}
	s.buckets[k] = b
}

// Keys returns how many buckets there are.
func (l *Local) Keys() (n int) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}
