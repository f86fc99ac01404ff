package quantile

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// An estimate is never below the true quantile and at most a quarter (and a microsecond) above it.
func TestQuantileIsClose(t *testing.T) {
	for _, scale := range []time.Duration{3 * time.Microsecond, 400 * time.Microsecond, 20 * time.Millisecond, 3 * time.Second} {
		random := rand.New(rand.NewPCG(1, uint64(scale)))
		var s Sketch
		var all []time.Duration
		for range fadeAt - 1 {
			d := time.Duration(random.ExpFloat64()*float64(scale)) + time.Microsecond
			s.Add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.9, 0.99} {
			truth := all[int(q*float64(len(all)))]
			got := s.Quantile(q)
			if got < truth.Truncate(time.Microsecond) || got > truth*5/4+time.Microsecond {
				t.Errorf("scale %v: quantile %v = %v, the truth is %v", scale, q, got, truth)
			}
		}
	}
}

// An empty sketch answers zero, and one that has seen only old slow samples forgets them.
func TestQuantileFades(t *testing.T) {
	var s Sketch
	if got := s.Quantile(0.99); got != 0 {
		t.Errorf("empty: %v", got)
	}
	for range fadeAt {
		s.Add(time.Second)
	}
	for range 20 * fadeAt {
		s.Add(time.Millisecond)
	}
	if got := s.Quantile(0.99); got > 2*time.Millisecond {
		t.Errorf("after 20,480 samples of 1ms the 99th percentile is still %v", got)
	}
}

// Any duration has a bucket, the longest and the negative too.
func TestAnyDuration(t *testing.T) {
	var s Sketch
	for _, d := range []time.Duration{-1, 0, 1, time.Hour, 1<<63 - 1} {
		s.Add(d)
	}
	if got := s.Quantile(1); got < time.Hour {
		t.Errorf("highest = %v", got)
	}
}
