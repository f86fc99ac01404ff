package load

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/internal/figures"
)

// Report is what a run came to.
type Report struct {
	Concurrency int
	WantedRate  float64       // of an open loop; zero: closed
	Elapsed     time.Duration // from the end of the warm-up to the end of the last call
	Calls       int64         // measured, failures included
	Failed      int64
	Rate        float64 // calls a second
	Latency     Latency
	Histogram   []Bucket    // of the latency, without the empty ends
	Errors      []ErrorKind // the most frequent first
	// Late calls of an open loop were due while all workers were busy. Their wait is in their latency.
	Late int64
	// NotStarted calls of an open loop were due and had no worker by the end. They are in no other number: above zero, the quantiles
	// are better than what callers would have seen.
	NotStarted int64
	// Abandoned calls failed because ctx ended. They are in no other number.
	Abandoned int64
}

// Latency is the time of all measured calls, failed ones included. In an open loop it runs from when a call was due.
type Latency struct {
	Mean, Min, P50, P90, P95, P99, P999, Max time.Duration
}

// ErrorKind is one class of failure.
type ErrorKind struct {
	Kind    string `json:"kind"`
	Calls   int64  `json:"calls"`
	Example string `json:"example,omitempty"` // the text of the first
}

// MarshalJSON gives times in seconds.
func (r *Report) MarshalJSON() ([]byte, error) {
	l := r.Latency
	histogram := make([]map[string]any, 0, len(r.Histogram))
	for _, b := range r.Histogram {
		histogram = append(histogram, map[string]any{"up_to_seconds": b.UpTo.Seconds(), "calls": b.Calls})
	}
	return json.Marshal(map[string]any{
		"histogram":   histogram,
		"concurrency": r.Concurrency, "wanted_rate": r.WantedRate, "elapsed_seconds": r.Elapsed.Seconds(),
		"calls": r.Calls, "failed": r.Failed, "rate": r.Rate, "errors": r.Errors,
		"late": r.Late, "not_started": r.NotStarted, "abandoned": r.Abandoned,
		"latency_seconds": map[string]float64{
			"mean": l.Mean.Seconds(), "min": l.Min.Seconds(), "p50": l.P50.Seconds(), "p90": l.P90.Seconds(), "p95": l.P95.Seconds(),
			"p99": l.P99.Seconds(), "p999": l.P999.Seconds(), "max": l.Max.Seconds(),
		},
	})
}

// String returns the report for people, a few lines that end with a newline.
func (r *Report) String() string {
	var b strings.Builder
	loop := fmt.Sprintf("closed loop, %s in flight", figures.Count(int64(r.Concurrency)))
	if r.WantedRate > 0 {
		loop = fmt.Sprintf("open loop at %s calls/s, at most %s in flight", rate(r.WantedRate), figures.Count(int64(r.Concurrency)))
	}
	fmt.Fprintf(&b, "%s calls in %s: %s calls/s (%s)\n\n", figures.Count(r.Calls), figures.Short(r.Elapsed), rate(r.Rate), loop)

	l := r.Latency
	fmt.Fprintf(&b, "latency %9s %9s %9s %9s %9s %9s %9s\n", "mean", "p50", "p90", "p95", "p99", "p99.9", "max")
	fmt.Fprintf(&b, "        %9s %9s %9s %9s %9s %9s %9s\n",
		figures.Short(l.Mean), figures.Short(l.P50), figures.Short(l.P90), figures.Short(l.P95), figures.Short(l.P99), figures.Short(l.P999), figures.Short(l.Max))

	if r.Failed > 0 {
		fmt.Fprintf(&b, "\nfailed %s (%.2f%%)\n", figures.Count(r.Failed), 100*float64(r.Failed)/float64(r.Calls))
		for _, e := range r.Errors {
			b.WriteString(strings.TrimRight(fmt.Sprintf("  %-20s %9s  %s", e.Kind, figures.Count(e.Calls), e.Example), " ") + "\n")
		}
	}
	notes := []struct {
		calls int64
		text  string
	}{
		{r.Late, "started late, all workers being busy; the wait is in their latency"},
		{r.NotStarted, "were due and not started by the end; the latencies above are too good"},
		{r.Abandoned, "were cut off by the end and are not counted"},
	}
	gap := "\n"
	for _, n := range notes {
		if n.calls > 0 {
			fmt.Fprintf(&b, "%s%s calls %s\n", gap, figures.Count(n.calls), n.text)
			gap = ""
		}
	}
	return b.String()
}

// rate returns a rate, with a decimal only where it matters.
func rate(v float64) string {
	if v < 100 && v != math.Trunc(v) {
		return fmt.Sprintf("%.1f", v)
	}
	return figures.Count(int64(math.Round(v)))
}
