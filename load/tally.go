package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxLatency is the longest that the histograms tell apart; what took longer counts as this long.
const maxLatency = time.Hour

// maxKinds bounds the classes of failure that are told apart; further ones count as kindOther.
const (
	maxKinds  = 32
	kindOther = "other"
)

// sample is one call that has ended.
type sample struct {
	Result
	took      time.Duration
	late      bool
	measured  bool
	abandoned bool
}

// tally is what was measured so far. Quantiles are right to 0.1 %.
type tally struct {
	total  *hdrhistogram.Histogram // ns, of the measured calls
	recent *hdrhistogram.Histogram // ns, since the last progress report, warm-up included
	max    time.Duration
	sum    time.Duration

	calls, failed, late, abandoned int64

	errors map[string]*ErrorKind
}

func newTally() *tally {
	h := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(maxLatency), 3) }
	return &tally{total: h(), recent: h(), errors: map[string]*ErrorKind{}}
}

func (t *tally) add(s *sample) {
	if s.abandoned {
		if s.measured {
			t.abandoned++
		}
		return
	}
	ns := int64(min(max(s.took, 0), maxLatency))
	_ = t.recent.RecordValue(ns) // in range
	if !s.measured {
		return
	}
	_ = t.total.RecordValue(ns)
	t.calls++
	t.sum += s.took
	t.max = max(t.max, s.took)
	if s.late {
		t.late++
	}
	if s.Kind != "" {
		t.fail(s.Result)
	}
}

func (t *tally) fail(r Result) {
	t.failed++
	e := t.errors[r.Kind]
	if e == nil && len(t.errors) >= maxKinds {
		r.Kind = kindOther
		e = t.errors[kindOther]
	}
	if e == nil {
		e = &ErrorKind{Kind: r.Kind}
		if r.Err != nil {
			e.Example = r.Err.Error()
		}
		t.errors[r.Kind] = e
	}
	e.Calls++
}

func (t *tally) errorCounts() map[string]int64 {
	counts := make(map[string]int64, len(t.errors))
	for kind, e := range t.errors {
		counts[kind] = e.Calls
	}
	return counts
}

// kinds returns the failures, the most frequent first.
func (t *tally) kinds() []ErrorKind {
	list := make([]ErrorKind, 0, len(t.errors))
	for _, e := range t.errors {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b ErrorKind) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Kind, b.Kind))
	})
	return list
}

func (t *tally) latency() Latency {
	if t.calls == 0 {
		return Latency{}
	}
	// A bucket's upper end may lie above the longest call, which is known exactly.
	at := func(q float64) time.Duration { return min(time.Duration(t.total.ValueAtQuantile(q)), t.max) }
	return Latency{
		Mean: t.sum / time.Duration(t.calls), Min: min(time.Duration(t.total.Min()), t.max), Max: t.max,
		P50: at(50), P90: at(90), P95: at(95), P99: at(99), P999: at(99.9),
	}
}
