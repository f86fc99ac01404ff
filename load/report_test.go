package load

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func richReport() *Report {
	return &Report{
		Concurrency: 64, WantedRate: 12000, Elapsed: 10004 * time.Millisecond, Calls: 119876, Failed: 14, Rate: 11982.4,
		Latency: Latency{
			Mean: 1234567, Min: 400 * time.Microsecond, P50: 1100 * time.Microsecond, P90: 2 * time.Millisecond, P95: 3456 * time.Microsecond,
			P99: 12345 * time.Microsecond, P999: 123456 * time.Microsecond, Max: 1234 * time.Millisecond,
		},
		Errors:    []ErrorKind{{"DEADLINE_EXCEEDED", 12, "cluster Users: no answer by the deadline"}, {"UNAVAILABLE", 2, ""}},
		Histogram: []Bucket{{2 * time.Millisecond, 119862}, {1500 * time.Millisecond, 14}},
		Late:      230, NotStarted: 24, Abandoned: 3,
	}
}

// The report for people is a table that fits 80 columns, with what went wrong below it.
func TestReportString(t *testing.T) {
	want := `119,876 calls in 10s: 11,982 calls/s (open loop at 12,000 calls/s, at most 64 in flight)

latency      mean       p50       p90       p95       p99     p99.9       max
           1.23ms     1.1ms       2ms    3.46ms    12.3ms     123ms     1.23s

failed 14 (0.01%)
  DEADLINE_EXCEEDED           12  cluster Users: no answer by the deadline
  UNAVAILABLE                  2

230 calls started late, all workers being busy; the wait is in their latency
24 calls were due and not started by the end; the latencies above are too good
3 calls were cut off by the end and are not counted
`
	if diff := cmp.Diff(want, richReport().String()); diff != "" {
		t.Error(diff)
	}
	want = `0 calls in 0s: 0 calls/s (closed loop, 1 in flight)

latency      mean       p50       p90       p95       p99     p99.9       max
               0s        0s        0s        0s        0s        0s        0s
`
	if diff := cmp.Diff(want, (&Report{Concurrency: 1}).String()); diff != "" {
		t.Error(diff)
	}
}

// The report for machines has its times in seconds.
func TestReportJSON(t *testing.T) {
	text, err := json.Marshal(richReport())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"concurrency": 64.0, "wanted_rate": 12000.0, "elapsed_seconds": 10.004, "calls": 119876.0, "failed": 14.0, "rate": 11982.4,
		"late": 230.0, "not_started": 24.0, "abandoned": 3.0,
		"histogram": []any{
			map[string]any{"up_to_seconds": 0.002, "calls": 119862.0},
			map[string]any{"up_to_seconds": 1.5, "calls": 14.0},
		},
		"errors": []any{
			map[string]any{"kind": "DEADLINE_EXCEEDED", "calls": 12.0, "example": "cluster Users: no answer by the deadline"},
			map[string]any{"kind": "UNAVAILABLE", "calls": 2.0},
		},
		"latency_seconds": map[string]any{
			"mean": 0.001234567, "min": 0.0004, "p50": 0.0011, "p90": 0.002, "p95": 0.003456, "p99": 0.012345, "p999": 0.123456, "max": 1.234,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
