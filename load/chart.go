package load

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/thriftloom/thriftloom/internal/figures"
)

// Bucket is a part of a histogram: how many calls took longer than the bucket before allows, and no longer than UpTo.
type Bucket struct {
	UpTo  time.Duration
	Calls int64
}

// steps are the bounds of the buckets within a decade: each is about half more than the one before.
var steps = [...]float64{1, 1.5, 2, 3, 5, 7}

// bound returns the n-th bound, from 1 ns on.
func bound(n int) time.Duration {
	return time.Duration(math.Round(steps[n%len(steps)] * math.Pow10(n/len(steps))))
}

// buckets returns the histogram of the measured calls, without the empty ends.
func (t *tally) buckets() (all []Bucket) {
	n := 0
	for _, bar := range t.total.Distribution() {
		if bar.Count == 0 {
			continue
		}
		took := time.Duration(bar.From) // right to 0.1 %, as all that is measured
		for bound(n) < took {
			if n++; len(all) > 0 {
				all = append(all, Bucket{UpTo: bound(n)})
			}
		}
		if len(all) == 0 {
			all = []Bucket{{UpTo: bound(n)}}
		}
		all[len(all)-1].Calls += bar.Count
	}
	return all
}

// Chart returns the histogram for people, a line a bucket and no longer than width columns; "" where no call was measured.
func (r *Report) Chart(width int) string {
	most := int64(1)
	for _, b := range r.Histogram {
		most = max(most, b.Calls)
	}
	var s strings.Builder
	for _, b := range r.Histogram {
		line := fmt.Sprintf("%10s %11s  ", "≤ "+figures.Short(b.UpTo), figures.Count(b.Calls))
		room := max(1, width-1-utf8.RuneCountInString(line))
		line += bar(float64(b.Calls)/float64(most), room)
		s.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return s.String()
}

// eighths are the parts of a column that a bar may end with.
var eighths = []rune("▏▎▍▌▋▊▉█")

// bar draws a share of width columns; what is not zero is seen.
func bar(share float64, width int) string {
	n := int(math.Ceil(share * float64(width*len(eighths))))
	full := strings.Repeat("█", n/len(eighths))
	if rest := n % len(eighths); rest > 0 {
		full += string(eighths[rest-1])
	}
	return full
}

// String returns one line for people, of what has ended since the report before.
func (p Progress) String() string {
	if p.Warming {
		return "warming up  " + rate(p.Rate) + " calls/s"
	}
	text := fmt.Sprintf("%s calls/s  p50 %s  p99 %s  %s in flight", rate(p.Rate), figures.Short(p.P50), figures.Short(p.P99), figures.Count(int64(p.InFlight)))
	if p.Backlog > 0 {
		text += fmt.Sprintf("  %s due", figures.Count(p.Backlog))
	}
	if p.Failed > 0 {
		text += fmt.Sprintf("  %s failed", figures.Count(p.Failed))
	}
	return text
}
