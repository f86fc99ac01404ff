// Package load makes calls at a peer and tells how it did: the load generator of bench and demo.
//
// A closed loop (no rate) keeps Concurrency calls in flight: each worker calls again when its call has ended. It shows what the peer can
// do, and slows down with it. An open loop (a rate) starts calls on a schedule, whatever the peer does, as independent callers would.
// Its latency runs from when a call was due, not from when a worker was free for it, so that one stall is felt by every call that it held
// up ("coordinated omission": Gil Tene, "How NOT to Measure Latency", 2013).
package load

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Config says how many calls are made, and how fast. A run ends at Duration, at Calls or with its context, whichever comes first.
type Config struct {
	// Concurrency is the number of workers: calls in flight at most. Zero: 1; at most 65,536.
	Concurrency int
	// Rate is that of an open loop, in calls a second for all workers together, evenly spaced. Zero: a closed loop.
	Rate float64
	// Duration is how long calls are measured, after Warmup. Zero: until ctx ends.
	Duration time.Duration
	// Calls bounds the measured calls. Zero: no bound.
	Calls int64
	// Warmup comes first: its calls are made and not measured.
	Warmup time.Duration
	// Drain is how long calls in flight at the end may take before their context ends. They count. Zero: 10 s.
	Drain time.Duration
	// Interval is the time between two Progress reports. Zero: 500 ms; at least 50 ms.
	Interval time.Duration
}

// Job makes one call. worker is 0 to Concurrency-1, and one worker makes one call at a time, so that a job may keep a connection for
// each. It has to return when ctx ends, and to bound its own time.
type Job func(ctx context.Context, worker int) Result

// Result is what became of a call.
type Result struct {
	Err  error  // why it failed; the first of a kind is shown as the example
	Kind string // class of failure, of bounded variety: the code of an rpc.Error; "" is a success, or "error" where Err is set
}

// Progress is how a run stands.
type Progress struct {
	Elapsed  time.Duration    // since the run began, warm-up included
	Warming  bool             // no call is measured yet
	Calls    int64            // measured so far
	Failed   int64            // of these
	Errors   map[string]int64 // failures by kind; the receiver's own
	InFlight int              // calls now
	Backlog  int64            // open loop: calls that are due and wait for a worker
	Rate     float64          // calls a second that ended since the last report, warm-up included
	P50, P99 time.Duration    // of the calls behind Rate; zero where there were none
}

// Run makes the calls and returns what it measured. It returns when every call has ended. That ctx ends is a normal end, not an error;
// the error tells of a wrong Config. progress, which may be nil, is called about every cfg.Interval and once at the end, by one
// goroutine, and has to be quick.
func Run(ctx context.Context, cfg Config, job Job, progress func(Progress)) (*Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	callCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := newRun(cfg, job)
	if cfg.Duration > 0 {
		drain := time.AfterFunc(cfg.Warmup+cfg.Duration+cfg.Drain, cancel)
		defer drain.Stop()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var all sync.WaitGroup
		for _, w := range r.workers {
			all.Go(func() { r.work(ctx, callCtx, w) })
		}
		all.Wait()
	}()
	stopped := r.watch(ctx, ended, progress)
	return r.report(stopped, time.Now()), nil
}

const maxConcurrency = 65536 // a goroutine and a buffer each

func (c Config) withDefaults() (Config, error) {
	if c.Concurrency == 0 {
		c.Concurrency = 1
	}
	if c.Drain == 0 {
		c.Drain = 10 * time.Second
	}
	if c.Interval == 0 {
		c.Interval = 500 * time.Millisecond
	}
	switch {
	case c.Concurrency < 0 || c.Concurrency > maxConcurrency:
		return c, fmt.Errorf("load: concurrency: %d is not between 1 and %d", c.Concurrency, maxConcurrency)
	case c.Rate < 0 || c.Rate > 1e9 || math.IsNaN(c.Rate):
		return c, fmt.Errorf("load: rate: %v is not between 0 and 1e9 calls a second", c.Rate)
	case c.Duration < 0:
		return c, fmt.Errorf("load: duration: %v is negative", c.Duration)
	case c.Warmup < 0:
		return c, fmt.Errorf("load: warmup: %v is negative", c.Warmup)
	case c.Drain < 0:
		return c, fmt.Errorf("load: drain: %v is negative", c.Drain)
	case c.Calls < 0:
		return c, fmt.Errorf("load: calls: %d is negative", c.Calls)
	case c.Interval < 50*time.Millisecond:
		return c, fmt.Errorf("load: interval: %v is less than 50ms", c.Interval)
	}
	return c, nil
}
