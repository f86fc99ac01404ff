package sim

import (
	"slices"
	"time"
)

// Outcome is what became of a run's calls.
type Outcome struct {
	Arrived  int
	Calls    int // of these, that are over
	Failed   int // of these, those that timed out among them
	TimedOut int
	Duration time.Duration
	Sent     []int    // attempts by replica
	Learned  [][]int  // slots by second, from the end of the first on, and by replica, where they are learned
	Seconds  []Second // by when the calls arrived
	seconds  []float32
	sorted   bool
}

// Second is one second of a run. The watched replica is the first, to which things happen.
type Second struct {
	Calls, Failed int
	Sent          int // attempts at the watched replica that began then
	Lost          int // of these, those that failed, or took longer than a second
	latencies     []float32
}

func at[T any](s *[]T, i int) *T {
	for len(*s) <= i {
		var zero T
		*s = append(*s, zero)
	}
	return &(*s)[i]
}

func (o *Outcome) second(t time.Duration) *Second { return at(&o.Seconds, int(t/time.Second)) }

// attempted is the end of an attempt.
func (o *Outcome) attempted(replica int, began, took time.Duration, failed bool) {
	*at(&o.Sent, replica)++
	if replica != 0 {
		return
	}
	s := o.second(began)
	s.Sent++
	if failed || took > time.Second {
		s.Lost++
	}
}

// ended is the end of a call. warm is when latencies begin to count.
func (o *Outcome) ended(arrived, took time.Duration, ok bool, warm time.Duration) {
	o.Calls++
	s := o.second(arrived)
	s.Calls++
	if !ok {
		o.Failed++
		s.Failed++
	}
	s.latencies = append(s.latencies, float32(took.Seconds()))
	if arrived >= warm {
		o.seconds = append(o.seconds, float32(took.Seconds()))
	}
}

// Quantile returns a quantile of the latency of all calls, those that failed or were given up included.
func (o *Outcome) Quantile(q float64) time.Duration {
	if !o.sorted {
		slices.Sort(o.seconds)
		o.sorted = true
	}
	return quantile(o.seconds, q)
}

// QuantileIn returns a quantile of the calls that arrived from one second on, before another.
func (o *Outcome) QuantileIn(from, to int, q float64) time.Duration {
	var all []float32
	for i := from; i < min(to, len(o.Seconds)); i++ {
		all = append(all, o.Seconds[i].latencies...)
	}
	slices.Sort(all)
	return quantile(all, q)
}

// In sums what the watched replica got, and lost, from one second on, before another, and all calls.
func (o *Outcome) In(from, to int) (sent, lost, calls, failed int) {
	for i := from; i < min(to, len(o.Seconds)); i++ {
		s := &o.Seconds[i]
		sent, lost, calls, failed = sent+s.Sent, lost+s.Lost, calls+s.Calls, failed+s.Failed
	}
	return sent, lost, calls, failed
}

func quantile(sorted []float32, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return time.Duration(float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]) * float64(time.Second))
}
