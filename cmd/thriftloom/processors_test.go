package main

import (
	"testing"
	"time"
)

// feed takes samples for so long, as often as they are due, and returns how many processors there are then.
func feed(p *processors, long time.Duration, used, collector float64) (now int) {
	wait := underLoad
	for left := long; left > 0; left -= wait {
		now, wait = p.next(wait, used, collector)
	}
	return now
}

// The scheduler has more processors when those that it has are full, in few steps up to all, and one less when fewer will do.
func TestProcessors(t *testing.T) {
	p := newProcessors(16)
	if got := feed(p, 5*time.Second, 0.7, 0); got != 1 {
		t.Errorf("%d processors for 0.7, want 1", got)
	}
	if got := feed(p, underLoad, 0.97, 0); got != 1 {
		t.Errorf("%d processors after one full sample, want 1", got)
	}
	if got := feed(p, 8*2*underLoad, 16, 0); got != 16 {
		t.Errorf("%d processors after eight more steps, want 16", got)
	}
	if got := feed(p, 10*time.Minute, 12, 0); got != 16 {
		t.Errorf("%d processors for 12 of 16, want them to stay", got)
	}
	if got := feed(p, 10*maxPatience, 0.6, 0); got != 1 {
		t.Errorf("%d processors for 0.6, want 1 in the end", got)
	}
}

// Each try with fewer that failed makes the next one wait longer, up to a bound: a load that one processor cannot carry, and of which two
// waste much, is not tried again and again.
func TestProcessorsPatience(t *testing.T) {
	p := newProcessors(2)
	tries, was := 0, 1
	for left := time.Hour; left > 0; left -= atRest {
		used := 1.2 // with two
		if p.now == 1 {
			used = 1 // all that there is
		}
		if now, _ := p.next(atRest, used, 0); now != was {
			if now == 1 {
				tries++
			}
			was = now
		}
	}
	if tries < 10 || tries > 30 {
		t.Errorf("%d tries in an hour, want them seldom, and not given up", tries)
	}
}

// Where the collector takes a good part of the time all processors are there, whatever is used of them.
func TestProcessorsCollector(t *testing.T) {
	p := newProcessors(8)
	if got := feed(p, 2*time.Second, 0.6, 0.3); got != 8 {
		t.Errorf("%d processors while half the time goes to the collector, want 8", got)
	}
	if got := feed(p, time.Minute, 0.6, 0.01); got != 1 {
		t.Errorf("%d processors when it has little to do again, want 1", got)
	}
}
