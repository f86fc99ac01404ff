package balance

import (
	"math"
	"time"
)

const (
	samples  = 15               // of the last calls, of which a node's speed is the median: a few slow calls say nothing
	enough   = 3                // samples, without which a node is as fast as any
	forgets  = 10 * time.Second // after which a node without a new sample is as fast as any: who has stalled gets calls again
	fades    = 8                // picks of the fleet for each node, in which a node that is passed by becomes a bucket faster
	octave   = 4                // buckets in which a time doubles: each is 19 %
	easy     = 2                // buckets from the pace on that are all the same: the median of 15 samples is no better than that
	drift    = 0.02             // of a pace, with each call: it follows the median
	maxPaces = 256              // methods that have a pace of their own
)

// speed is how long a node takes for a call, beside what the fleet takes for calls of that method. The zero value is as fast as any.
type speed struct {
	median int8
	n, at  uint8
	last   time.Duration
	ring   [samples]int8
}

// add takes a sample in.
func (s *speed) add(ratio float64, now time.Duration) {
	bucket := math.Round(math.Log2(ratio) * octave)
	s.ring[s.at] = int8(max(-100, min(bucket, 100)))
	s.at = (s.at + 1) % samples
	s.n = min(s.n+1, samples)
	s.last = now
	s.median = middle(s.ring[:s.n])
}

// middle returns the median.
func middle(ring []int8) int8 {
	var sorted [samples]int8
	for i, v := range ring {
		j := i
		for ; j > 0 && sorted[j-1] > v; j-- {
			sorted[j] = sorted[j-1]
		}
		sorted[j] = v
	}
	return sorted[len(ring)/2]
}

// slowness returns how slow the node has been: 0 for as fast as any, a bucket more for each 19 %. It fades while the node is passed by, since a
// node that looked slow by chance would stay so: who gets no calls has no new samples.
func (n *Node) slowness(r *Round) int {
	s := &n.speed
	if s.median < easy || s.n < enough || r.Now-s.last > forgets {
		return 0
	}
	return max(0, int(s.median)-int((r.picks-n.picked)/(fades*r.fleet)))
}

// pace is what the fleet takes for a call, by method. The zero value has seen none.
type pace struct {
	typical []float64
	calls   []float64 // of the last few thousand
	sum     float64   // of calls
	time    float64   // of calls × typical
}

// recent is how many calls a pace knows the methods of; half of them are forgotten at once.
const recent = 4096

// ratio returns how took compares with what calls of the method take, and learns from it.
func (p *pace) ratio(method int, took time.Duration) float64 {
	i := min(method+1, maxPaces-1)
	for len(p.typical) <= i {
		p.typical, p.calls = append(p.typical, 0), append(p.calls, 0)
	}
	t, x := &p.typical[i], float64(took)
	was := *t
	switch {
	case *t == 0:
		*t = x
	case x > *t:
		*t *= 1 + drift
	default:
		*t /= 1 + drift
	}
	p.time += p.calls[i]*(*t-was) + *t
	p.calls[i]++
	if p.sum++; p.sum >= recent {
		p.forget()
	}
	return x / *t
}

// forget makes old calls count half.
func (p *pace) forget() {
	p.sum, p.time = 0, 0
	for i := range p.calls {
		p.calls[i] /= 2
		p.sum += p.calls[i]
		p.time += p.calls[i] * p.typical[i]
	}
}

// weight returns how long a call of the method typically takes beside the mean of all calls. It does not matter to it that all of them take
// longer; 1 where the method is not known.
func (p *pace) weight(method int) float64 {
	i := min(method+1, maxPaces-1)
	if i >= len(p.typical) || p.typical[i] == 0 || p.time <= 0 {
		return 1
	}
	return p.typical[i] * p.sum / p.time
}
