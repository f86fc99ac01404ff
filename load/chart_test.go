package load

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The buckets' bounds grow by about a half; the empty ends are left out, and what is empty between is not.
func TestHistogram(t *testing.T) {
	tally := newTally()
	for took, calls := range map[time.Duration]int{90 * time.Microsecond: 3, 100 * time.Microsecond: 1, 101 * time.Microsecond: 2, 450 * time.Microsecond: 4} {
		for range calls {
			tally.add(&sample{took: took, measured: true})
		}
	}
	tally.add(&sample{took: time.Second}) // warm-up
	us := time.Microsecond
	want := []Bucket{{100 * us, 4}, {150 * us, 2}, {200 * us, 0}, {300 * us, 0}, {500 * us, 4}}
	if diff := cmp.Diff(want, tally.buckets()); diff != "" {
		t.Error(diff)
	}
	if got := newTally().buckets(); got != nil {
		t.Errorf("%v of no call", got)
	}
}

// The chart scales to its longest bar, shows what is not zero, and stays within the columns that it is given.
func TestChart(t *testing.T) {
	r := &Report{Histogram: []Bucket{{time.Millisecond, 1200}, {1500 * time.Microsecond, 0}, {2 * time.Millisecond, 600}, {3 * time.Millisecond, 1}}}
	want := "     ≤ 1ms       1,200  ███████████████\n   ≤ 1.5ms           0\n     ≤ 2ms         600  ███████▌\n     ≤ 3ms           1  ▏\n"
	if diff := cmp.Diff(want, r.Chart(40)); diff != "" {
		t.Error(diff)
	}
	if got := (&Report{}).Chart(40); got != "" {
		t.Errorf("%q of no call", got)
	}
	for _, width := range []int{0, 10, 26} { // no room: a column all the same
		if got := (&Report{Histogram: []Bucket{{time.Second, 1}}}).Chart(width); got != "      ≤ 1s           1  █\n" {
			t.Errorf("%d columns: %q", width, got)
		}
	}
}

// A line of progress says what callers feel now, and of backlog and failures only where there are any.
func TestProgressString(t *testing.T) {
	for want, p := range map[string]Progress{
		"warming up  1,200 calls/s":                                   {Warming: true, Rate: 1200},
		"1,200 calls/s  p50 1.5ms  p99 20ms  64 in flight":            {Rate: 1200, P50: 1500 * time.Microsecond, P99: 20 * time.Millisecond, InFlight: 64},
		"0 calls/s  p50 0s  p99 0s  8 in flight  3,000 due  2 failed": {InFlight: 8, Backlog: 3000, Failed: 2},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
