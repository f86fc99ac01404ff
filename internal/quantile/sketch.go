// Package quantile estimates quantiles of durations in a fixed amount of memory.
package quantile

import (
	"math/bits"
	"time"
)

// fadeAt is how many samples a sketch holds before the old ones count for half.
const fadeAt = 1024

// Sketch counts durations in buckets of a quarter of an octave, from one microsecond on: an estimate is at most a quarter above the
// truth. Old samples fade. The zero value is empty. Not safe for concurrent use.
type Sketch struct {
	buckets [128]uint32
	total   uint32
}

// Add counts one duration.
func (s *Sketch) Add(d time.Duration) {
	s.buckets[bucket(d)]++
	if s.total++; s.total >= fadeAt {
		s.fade()
	}
}

func (s *Sketch) fade() {
	s.total = 0
	for i := range s.buckets {
		s.buckets[i] /= 2
		s.total += s.buckets[i]
	}
}

// Merge adds what o has counted.
func (s *Sketch) Merge(o *Sketch) {
	for i, n := range o.buckets {
		s.buckets[i] += n
	}
	s.total += o.total
}

// Quantile returns a duration that at least the part q of the samples did not pass; zero without samples.
func (s *Sketch) Quantile(q float64) time.Duration {
	if s.total == 0 {
		return 0
	}
	rank := uint32(q * float64(s.total))
	var seen uint32
	for i, n := range s.buckets {
		if seen += n; seen > rank {
			return upper(i)
		}
	}
	return upper(len(s.buckets) - 1)
}

// bucket returns the index for d: octave by octave, four to each.
func bucket(d time.Duration) int {
	us := uint64(max(d/time.Microsecond, 1))
	octave := bits.Len64(us) - 1
	quarter := int(us<<2>>octave) & 3
	return min(octave*4+quarter, len(Sketch{}.buckets)-1)
}

// upper returns the end of a bucket.
func upper(b int) time.Duration {
	octave, quarter := b/4, b%4
	return time.Duration((uint64(5+quarter)<<octave+3)/4) * time.Microsecond
}
