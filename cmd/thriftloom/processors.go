package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// processors says how many of the machine's processors the Go scheduler is given: as many as the work fills. One more than that wakes up for
// each call, looks for work that the others have, and sleeps again; on two processors that was a third of the CPU of a forwarded call.
type processors struct {
	most, now int

	collecting float64 // share of the time used that went to the collector, of the last second or so

	full, slack int // samples in a row that filled those that there are, and that fewer would have done for
	patience    int // of slack, before one is taken away
}

const (
	processorsEvery = 50 * time.Millisecond
	minPatience     = 2    // samples
	maxPatience     = 6000 // five minutes
)

func newProcessors(most int) *processors {
	return &processors{most: most, now: 1, patience: minPatience}
}

// next takes a sample, how many processors' worth of time the process used and the collector's part of that, and returns how many it is to
// have.
//
// Two full samples add half of them. What a process uses of more than it needs goes to looking for work, so that only a try tells whether fewer
// do; each that fails makes the next one wait longer.
// Where memory is short the collector has much to do, and is not to be in the way of the calls: then all are there.
func (p *processors) next(used, collector float64) int {
	if used > 0 {
		p.collecting += (min(collector/used, 1) - p.collecting) / 20
	}
	if p.collecting > 0.2 {
		p.now, p.full, p.slack = p.most, 0, 0
		return p.now
	}
	switch {
	case used > 0.95*float64(p.now):
		p.full, p.slack = p.full+1, 0
	case p.now > 1 && used < 0.7*float64(p.now):
		p.full, p.slack = 0, p.slack+1
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
	return p.now
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
	ticker := time.NewTicker(processorsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			runtime.GOMAXPROCS(most)
			return
		case <-ticker.C:
		}
		spent, _ := processTime()
		now, collector, was := time.Now(), collectorTime(), p.now
		took := now.Sub(at).Seconds()
		if next := p.next((spent-before).Seconds()/took, (collector-collected)/took); next != was {
			runtime.GOMAXPROCS(next)
		}
		before, at, collected = spent, now, collector
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
