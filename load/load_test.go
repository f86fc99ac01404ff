package load

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// takes returns a job that succeeds after d, or fails when its context ends first.
func takes(d time.Duration) Job {
	return func(ctx context.Context, _ int) Result {
		select {
		case <-time.After(d):
			return Result{}
		case <-ctx.Done():
			return Result{Err: ctx.Err(), Kind: "CANCELLED"}
		}
	}
}

// runVirtual is Run in virtual time.
func runVirtual(t *testing.T, cfg Config, job Job) (rep *Report, seen []Progress) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		rep, err = Run(t.Context(), cfg, job, func(p Progress) { seen = append(seen, p) })
		if err != nil {
			t.Fatal(err)
		}
	})
	return rep, seen
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s is %v, want %v ± %v", what, got, want, tolerance)
	}
}

// A closed loop keeps every worker busy: its rate is workers / latency.
func TestClosedLoop(t *testing.T) {
	rep, seen := runVirtual(t, Config{Concurrency: 4, Duration: 10 * time.Second}, takes(10*time.Millisecond))
	if rep.Calls != 4000 || rep.Failed != 0 || rep.Late != 0 || rep.NotStarted != 0 {
		t.Errorf("report: %+v", rep)
	}
	near(t, "rate", rep.Rate, 400, 1)
	near(t, "p99 in ms", rep.Latency.P99.Seconds()*1e3, 10, 0.02)
	if p := seen[3]; p.InFlight > 4 || p.InFlight < 3 || p.Backlog != 0 {
		t.Errorf("progress: %+v", p)
	}
}

// A closed loop that stalls once has one slow call a worker, and nothing else to show for it.
func TestClosedLoopHidesStall(t *testing.T) {
	rep, _ := runVirtual(t, Config{Concurrency: 1, Duration: 10 * time.Second}, stallsOnce(2*time.Second))
	near(t, "p99 in ms", rep.Latency.P99.Seconds()*1e3, 1, 0.01)
}

// stallsOnce returns a job that takes 1 ms, but while the peer stalls, from second 4 for d, waits for its end.
func stallsOnce(d time.Duration) Job {
	var began atomic.Pointer[time.Time]
	return func(ctx context.Context, _ int) Result {
		now := time.Now()
		began.CompareAndSwap(nil, &now)
		if at := now.Sub(*began.Load()); at >= 4*time.Second && at < 4*time.Second+d {
			time.Sleep(4*time.Second + d - at)
		}
		time.Sleep(time.Millisecond)
		return Result{}
	}
}

// An open loop that stalls shows the stall: the calls that were due in it waited, whether a worker was free for them or not.
func TestOpenLoopShowsStall(t *testing.T) {
	for _, workers := range []int{1, 10} {
		rep, _ := runVirtual(t, Config{Concurrency: workers, Rate: 100, Duration: 10 * time.Second}, stallsOnce(2*time.Second))
		if rep.Calls != 1000 || rep.NotStarted != 0 {
			t.Errorf("%d workers: %d calls, %d not started, want 1000 and 0", workers, rep.Calls, rep.NotStarted)
		}
		near(t, "p50 in ms", rep.Latency.P50.Seconds()*1e3, 1, 0.01)
		// 200 of 1000 calls were due in the stall, so that the 1 % that waited longest waited 1.9 s and more.
		near(t, "p99 in s", rep.Latency.P99.Seconds(), 1.91, 0.02)
		near(t, "max in s", rep.Latency.Max.Seconds(), 2.001, 0.001)
		if rep.Late < int64(200-workers) {
			t.Errorf("%d workers: %d late calls, want about 200", workers, rep.Late)
		}
	}
}

// An open loop holds its rate while there are workers for it.
func TestOpenLoopRate(t *testing.T) {
	for _, rate := range []float64{1, 33.3, 1000, 12345} {
		rep, seen := runVirtual(t, Config{Concurrency: 100, Rate: rate, Duration: 4 * time.Second}, takes(2*time.Millisecond))
		near(t, "calls", float64(rep.Calls), 4*rate, 1)
		near(t, "rate", rep.Rate, rate, rate/100)
		if rep.Late != 0 || rep.NotStarted != 0 {
			t.Errorf("rate %v: %d late, %d not started", rate, rep.Late, rep.NotStarted)
		}
		if rate >= 1000 {
			near(t, "progress rate", seen[2].Rate, rate, rate/50)
		}
	}
}

// A peer that is too slow for the rate makes a backlog, which is bounded, seen and reported; never more than Concurrency calls are in flight.
func TestOpenLoopOverload(t *testing.T) {
	var inFlight, most atomic.Int64
	job := func(context.Context, int) Result {
		most.Store(max(most.Load(), inFlight.Add(1)))
		time.Sleep(100 * time.Millisecond)
		inFlight.Add(-1)
		return Result{}
	}
	rep, seen := runVirtual(t, Config{Concurrency: 2, Rate: 100, Duration: 5 * time.Second}, job)
	if most.Load() != 2 {
		t.Errorf("%d calls in flight, want 2", most.Load())
	}
	near(t, "calls", float64(rep.Calls), 100, 2)
	near(t, "rate", rep.Rate, 20, 1)
	near(t, "not started", float64(rep.NotStarted), 400, 2)
	near(t, "max in s", rep.Latency.Max.Seconds(), 4.1, 0.1)
	near(t, "backlog after 4 s", float64(seen[7].Backlog), 320, 5)
}

// Exactly Calls calls are made, in either loop, however many workers compete for the last one; those of the warm-up come on top.
func TestCallsBound(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		warm int64
	}{
		{Config{Concurrency: 7, Calls: 100}, 0},
		{Config{Concurrency: 7, Calls: 100, Rate: 500}, 0},
		{Config{Concurrency: 200, Calls: 1}, 0},
		{Config{Concurrency: 7, Calls: 100, Rate: 500, Warmup: time.Second}, 500},
		{Config{Concurrency: 7, Calls: 100, Warmup: time.Second}, 700},
	} {
		var made atomic.Int64
		rep, _ := runVirtual(t, tt.cfg, func(context.Context, int) Result {
			made.Add(1)
			time.Sleep(10 * time.Millisecond)
			return Result{}
		})
		if rep.Calls != tt.cfg.Calls || made.Load() != tt.cfg.Calls+tt.warm {
			t.Errorf("%+v: %d measured, %d made", tt.cfg, rep.Calls, made.Load())
		}
	}
}

// The warm-up is not measured.
func TestWarmup(t *testing.T) {
	for _, rate := range []float64{0, 50} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			job := func(context.Context, int) Result {
				if time.Since(start) < 900*time.Millisecond {
					time.Sleep(100 * time.Millisecond)
					return Result{Kind: "COLD"}
				}
				time.Sleep(time.Millisecond)
				return Result{}
			}
			var seen []Progress
			cfg := Config{Concurrency: 5, Rate: rate, Warmup: time.Second, Duration: time.Second}
			rep, err := Run(t.Context(), cfg, job, func(p Progress) { seen = append(seen, p) })
			if err != nil || rep.Failed != 0 || rep.Latency.Max > 2*time.Millisecond || rep.Calls < 50 {
				t.Errorf("rate %v: %v, %v", rate, rep, err)
			}
			near(t, "elapsed in s", rep.Elapsed.Seconds(), 1, 0.02)
			if !seen[0].Warming || seen[0].Calls != 0 || seen[0].Rate == 0 || seen[len(seen)-1].Warming {
				t.Errorf("rate %v: progress %+v", rate, seen)
			}
		})
	}
}

// When ctx ends, the run ends at once; calls that fail because of it are set apart, not counted as failures.
func TestContextEnd(t *testing.T) {
	for _, rate := range []float64{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
			defer cancel()
			start := time.Now()
			rep, err := Run(ctx, Config{Concurrency: 2, Rate: rate}, takes(time.Second), nil)
			if err != nil || time.Since(start) != 3500*time.Millisecond {
				t.Errorf("rate %v: ended after %v: %v", rate, time.Since(start), err)
			}
			if rep.Calls != 6 || rep.Failed != 0 || rep.Abandoned != 2 {
				t.Errorf("rate %v: %+v", rate, rep)
			}
			if rate > 0 && rep.NotStarted != 350-8 {
				t.Errorf("%d not started, want 342", rep.NotStarted)
			}
		})
	}
}

// A call in flight at the end is waited for and counted; one that outlives Drain has its context ended, and counts too.
func TestDrain(t *testing.T) {
	cfg := Config{Concurrency: 1, Duration: time.Second, Drain: 5 * time.Second}
	rep, _ := runVirtual(t, cfg, takes(3*time.Second))
	if rep.Calls != 1 || rep.Failed != 0 {
		t.Errorf("within the drain time: %+v", rep)
	}
	rep, _ = runVirtual(t, cfg, takes(time.Hour))
	if rep.Calls != 1 || rep.Failed != 1 || rep.Latency.Max != 6*time.Second {
		t.Errorf("past the drain time: %+v", rep)
	}
}

// Failures are counted by kind, each with the text of its first; kinds past the bound are counted together.
func TestErrors(t *testing.T) {
	var n atomic.Int64
	rep, seen := runVirtual(t, Config{Calls: 10}, func(context.Context, int) Result {
		time.Sleep(time.Millisecond)
		switch n.Add(1) {
		case 3:
			return Result{Err: errors.New("users-1: no answer"), Kind: "DEADLINE_EXCEEDED"}
		case 4, 5:
			return Result{Err: errors.New("refused")}
		}
		return Result{}
	})
	want := []ErrorKind{{"error", 2, "refused"}, {"DEADLINE_EXCEEDED", 1, "users-1: no answer"}}
	if rep.Failed != 3 || len(rep.Errors) != 2 || rep.Errors[0] != want[0] || rep.Errors[1] != want[1] {
		t.Errorf("errors: %+v", rep.Errors)
	}
	if last := seen[len(seen)-1]; last.Errors["error"] != 2 || last.Failed != 3 || last.Calls != 10 || last.InFlight != 0 {
		t.Errorf("last progress: %+v", last)
	}

	n.Store(0)
	rep, _ = runVirtual(t, Config{Calls: 5000}, func(context.Context, int) Result {
		return Result{Kind: strings.Repeat("x", int(n.Add(1)%100)+1)}
	})
	if len(rep.Errors) != maxKinds+1 || rep.Failed != 5000 || rep.Errors[0].Kind != kindOther {
		t.Errorf("%d kinds, the first %+v", len(rep.Errors), rep.Errors[0])
	}
}

// A wrong configuration is refused with the name of what is wrong.
func TestConfigMistakes(t *testing.T) {
	for want, cfg := range map[string]Config{
		"concurrency: -1":      {Concurrency: -1},
		"concurrency: 1000000": {Concurrency: 1e6},
		"rate: -5":             {Rate: -5},
		"rate: NaN":            {Rate: math.NaN()},
		"rate: +Inf":           {Rate: math.Inf(1)},
		"duration: -1s":        {Duration: -time.Second},
		"warmup: -1s":          {Warmup: -time.Second},
		"drain: -1s":           {Drain: -time.Second},
		"calls: -1":            {Calls: -1},
		"interval: 1ms":        {Interval: time.Millisecond},
	} {
		if _, err := Run(t.Context(), cfg, takes(0), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// The generator itself costs little: no allocation a call in a closed loop.
func TestHotPathAllocations(t *testing.T) {
	r := newRun(Config{Concurrency: 1, Calls: 1 << 40}, nil)
	w := r.workers[0]
	w.samples = make([]sample, 0, maxSamples)
	got := testing.AllocsPerRun(3000, func() {
		ticket, _ := r.claim(t.Context())
		if w.keep(sample{took: time.Since(ticket.due), measured: true}) {
			r.gather(w)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations a call, want none", got)
	}
}
