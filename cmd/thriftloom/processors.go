package main

import (
	"context"
	"runtime"
	"time"
)

// processors says how many of the machine's processors the Go scheduler is given: as many as the work fills. One more than that wakes up for
// each call, looks for work that the others have, and sleeps again; on two processors that was a third of the CPU of a forwarded call.
type processors struct {
	most, now int

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

// next takes a sample, how many processors' worth of time the process used, and returns how many it is to have.
//
// Two full samples add half of them. What a process uses of more than it needs goes to looking for work, so that only a try tells whether fewer
// do; each that fails makes the next one wait longer.
func (p *processors) next(used float64) int {
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
	p, at := newProcessors(most), time.Now()
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
		now := time.Now()
		was := p.now
		if next := p.next(float64(spent-before) / float64(now.Sub(at))); next != was {
			runtime.GOMAXPROCS(next)
		}
		before, at = spent, now
	}
}
