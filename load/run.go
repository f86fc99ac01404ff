package load

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// run is one Run. Workers share one counter, by which each claims its next call; what they measure stays with them until it is gathered.
type run struct {
	cfg     Config
	job     Job
	workers []*worker
	start   time.Time
	warm    time.Time // the end of the warm-up
	end     time.Time // no call starts any more; zero: never

	claimed   atomic.Int64 // closed loop: measured calls; open loop: calls of the schedule
	warmCalls int64        // open loop: how many calls of the schedule belong to the warm-up
	schedule  int64        // open loop: how many calls it has, warm-up included

	mu    sync.Mutex // for tally; taken before a worker's
	tally *tally
}

// worker makes one call at a time. Its lock is its own but for the moment in which the samples are gathered.
type worker struct {
	index   int
	started atomic.Int64 // calls, warm-up included
	ended   atomic.Int64

	mu      sync.Mutex
	samples []sample
}

// maxSamples bounds what a worker keeps between two gatherings; past it, it hands the samples in by itself.
const maxSamples = 1024

// ticket is a claim to one call.
type ticket struct {
	due      time.Time // from which its latency runs
	late     bool      // no worker was free when it was due
	measured bool
}

func newRun(cfg Config, job Job) *run {
	r := &run{cfg: cfg, job: job, tally: newTally(), start: time.Now(), schedule: math.MaxInt64}
	r.warm = r.start.Add(cfg.Warmup)
	r.warmCalls = r.dueWithin(cfg.Warmup)
	if cfg.Duration > 0 {
		r.end = r.warm.Add(cfg.Duration)
		r.schedule = r.dueWithin(cfg.Warmup + cfg.Duration)
	}
	if cfg.Calls > 0 {
		r.schedule = min(r.schedule, r.warmCalls+cfg.Calls)
	}
	for i := range cfg.Concurrency {
		r.workers = append(r.workers, &worker{index: i})
	}
	return r
}

// dueWithin returns how many calls the schedule of an open loop has in its first d.
func (r *run) dueWithin(d time.Duration) int64 { return int64(math.Ceil(d.Seconds() * r.cfg.Rate)) }

// work makes calls until none is left. stop ends the claiming; calls is the context of the calls, which ends later than the schedule.
func (r *run) work(stop, calls context.Context, w *worker) {
	for {
		t, ok := r.claim(stop)
		if !ok {
			return
		}
		w.started.Add(1)
		result := r.job(calls, w.index)
		took := time.Since(t.due)
		w.ended.Add(1)
		if result.Kind == "" && result.Err != nil {
			result.Kind = "error"
		}
		s := sample{Result: result, took: took, late: t.late, measured: t.measured}
		s.abandoned = stop.Err() != nil && result.Kind != "" // it failed because the run was broken off
		if w.keep(s) {
			r.gather(w)
		}
	}
}

// keep adds a sample and reports whether there is no room for another.
func (w *worker) keep(s sample) (full bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples = append(w.samples, s)
	return len(w.samples) >= maxSamples
}

// gather moves a worker's samples into the tally.
func (r *run) gather(w *worker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.samples {
		r.tally.add(&w.samples[i])
	}
	clear(w.samples)
	w.samples = w.samples[:0]
}

// claim returns the next call for a worker, when it is due; false when the run is over.
func (r *run) claim(stop context.Context) (ticket, bool) {
	if stop.Err() != nil {
		return ticket{}, false
	}
	if r.cfg.Rate > 0 {
		return r.claimScheduled(stop)
	}
	now := time.Now()
	switch {
	case r.over(now):
		return ticket{}, false
	case now.Before(r.warm):
		return ticket{due: now}, true
	case r.cfg.Calls > 0 && r.claimed.Add(1) > r.cfg.Calls:
		return ticket{}, false
	}
	return ticket{due: now, measured: true}, true
}

// claimScheduled takes the earliest call of the schedule that nobody has claimed and waits for its time. Free workers so hold the calls
// to come, each its own timer; a call that is late was claimed by nobody in time.
func (r *run) claimScheduled(stop context.Context) (ticket, bool) {
	n := r.claimed.Add(1) - 1
	if n >= r.schedule {
		return ticket{}, false
	}
	t := ticket{due: r.start.Add(time.Duration(float64(n) / r.cfg.Rate * float64(time.Second))), measured: n >= r.warmCalls}
	now := time.Now()
	if t.late = now.After(t.due); t.late {
		return t, !r.over(now)
	}
	timer := time.NewTimer(t.due.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return t, true
	case <-stop.Done():
		return ticket{}, false
	}
}

func (r *run) over(now time.Time) bool { return !r.end.IsZero() && !now.Before(r.end) }

// watch gathers the samples and reports progress until ended is closed. It returns when the claiming stopped.
func (r *run) watch(ctx context.Context, ended <-chan struct{}, progress func(Progress)) (stopped time.Time) {
	tick := time.NewTicker(r.cfg.Interval)
	defer tick.Stop()
	last, done := r.start, ctx.Done()
	for {
		select {
		case now := <-tick.C:
			progress(r.progress(now, now.Sub(last)))
			last = now
		case <-done:
			stopped, done = time.Now(), nil
		case <-ended:
			now := time.Now()
			progress(r.progress(now, now.Sub(last)))
			switch {
			case !stopped.IsZero():
				return stopped
			case ctx.Err() != nil: // both came at once
				return now
			case r.over(now):
				return r.end
			}
			return now
		}
	}
}

// progress gathers and says how the run stands; since is the time after the last report.
func (r *run) progress(now time.Time, since time.Duration) Progress {
	started, ended := r.counts()
	for _, w := range r.workers {
		r.gather(w)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Progress{
		Elapsed: now.Sub(r.start), Warming: now.Before(r.warm), InFlight: int(started - ended),
		Calls: r.tally.calls, Failed: r.tally.failed, Errors: r.tally.errorCounts(),
	}
	if r.cfg.Rate > 0 && !r.over(now) {
		p.Backlog = max(0, min(r.dueWithin(p.Elapsed), r.schedule)-started)
	}
	recent := r.tally.recent
	if n := recent.TotalCount(); n > 0 {
		p.Rate = float64(n) / max(since, time.Millisecond).Seconds()
		p.P50, p.P99 = time.Duration(recent.ValueAtQuantile(50)), time.Duration(recent.ValueAtQuantile(99))
		recent.Reset()
	}
	return p
}

// counts returns the calls started and ended so far, over all workers. Ended is read first: it is never above started.
func (r *run) counts() (started, ended int64) {
	for _, w := range r.workers {
		ended += w.ended.Load()
		started += w.started.Load()
	}
	return started, ended
}

// report says what the run came to. stopped is when the claiming ended, now when the last call did.
func (r *run) report(stopped, now time.Time) *Report {
	t := r.tally
	rep := &Report{
		Concurrency: r.cfg.Concurrency, WantedRate: r.cfg.Rate, Elapsed: max(now.Sub(r.warm), 0),
		Calls: t.calls, Failed: t.failed, Latency: t.latency(), Histogram: t.buckets(), Errors: t.kinds(), Late: t.late, Abandoned: t.abandoned,
	}
	if r.cfg.Rate > 0 {
		// n calls of a schedule take n/rate, though the last one starts a step before that.
		rep.Elapsed = max(rep.Elapsed, time.Duration(float64(rep.Calls)/r.cfg.Rate*float64(time.Second)))
		due := min(r.dueWithin(stopped.Sub(r.start)), r.schedule)
		rep.NotStarted = max(0, due-r.warmCalls-t.calls-t.abandoned)
	}
	if rep.Elapsed > 0 {
		rep.Rate = float64(rep.Calls) / rep.Elapsed.Seconds()
	}
	return rep
}
