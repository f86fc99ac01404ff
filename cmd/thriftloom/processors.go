package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// processors says how many of the machine's processors the Go scheduler is given: as many as the work fills. One more than that wakes up for
// each call, looks for work that the others have, and sleeps again; on two processors that was a fifth of the CPU of a forwarded call.
type processors struct {
	most, now int

	collecting float64       // share of the time used that went to the collector, of the last second or so
	full       int           // samples in a row that filled those that there are
	slack      time.Duration // for which fewer would have done
	patience   time.Duration // of slack, before one is taken away
}

const (
	atRest      = 50 * time.Millisecond // between two samples
	underLoad   = 25 * time.Millisecond // the kernel counts time in steps of a few milliseconds
	minPatience = 100 * time.Millisecond
	maxPatience = 5 * time.Minute
)

func newProcessors(most int) *processors {
	return &processors{most: most, now: 1, patience: minPatience}
}

// next takes a sample: of how long, how many processors' worth of time the process used meanwhile, and the collector's part of that. It
// returns how many processors there are to be, and when the next sample is due.
//
// Two full samples add half of what there is. What a process uses of more than it needs goes to looking for work, so that only a try tells
// whether fewer do; each that fails makes the next one wait longer. Where memory is short the collector has much to do, and is not to be in
// the way of the calls: then all are there.
func (p *processors) next(took time.Duration, used, collector float64) (int, time.Duration) {
	if used > 0 {
		p.collecting += (min(collector/used, 1) - p.collecting) * min(took.Seconds(), 1)
	}
	if p.collecting > 0.2 {
		p.now, p.full, p.slack = p.most, 0, 0
		return p.now, atRest
	}
	switch {
	case used > 0.95*float64(p.now):
		p.full, p.slack = p.full+1, 0
	case p.now > 1 && used < 0.7*float64(p.now):
		p.full, p.slack = 0, p.slack+took
	default:
		p.full, p.slack = 0, 0
	}
	switch {
	case p.full >= 2 && p.now < p.most:
		p.now, p.full = min(p.now+max(1, p.now/2), p.most), 0
		p.patience = min(2*p.patience, maxPatience)
	case p.slack >= p.patience:
		p.now, p.slack = p.now-1, 0
	}
	if p.now < p.most && used > 0.75*float64(p.now) {
		return p.now, underLoad
	}
	return p.now, atRest
}

// tuneProcessors keeps the scheduler's processors at what is needed until ctx ends. GOMAXPROCS goes before.
func tuneProcessors(ctx context.Context, env func(string) (string, bool)) {
	if v, ok := env("GOMAXPROCS"); ok && v != "" {
		return
	}
	most := runtime.GOMAXPROCS(0)
	before, ok := processTime()
	if !ok || most == 1 {
		return
	}
	p, at, collected := newProcessors(most), time.Now(), collectorTime()
	runtime.GOMAXPROCS(p.now)
	defer runtime.GOMAXPROCS(most)
	due := time.NewTimer(atRest)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
		}
		spent, _ := processTime()
		now, collector, was := time.Now(), collectorTime(), p.now
		took := now.Sub(at)
		next, wait := p.next(took, (spent-before).Seconds()/took.Seconds(), (collector-collected)/took.Seconds())
		if next != was {
			runtime.GOMAXPROCS(next)
		}
		before, at, collected = spent, now, collector
		due.Reset(wait)
	}
}

// collectorTime returns how long the garbage collector has been on processors, in seconds, as of its last cycle.
func collectorTime() float64 {
	sample := [1]metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample[:])
	if sample[0].Value.Kind() != metrics.KindFloat64 {
		return 0
	}
	return sample[0].Value.Float64()
}
