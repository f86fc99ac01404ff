package main

import "testing"

// The scheduler has one processor more when those that it has are full, in few steps up to all, and one less when fewer will do.
func TestProcessors(t *testing.T) {
	p := newProcessors(16)
	feed := func(used float64, samples int) (now int) {
		for range samples {
			now = p.next(used, 0)
		}
		return now
	}
	if got := feed(0.9, 100); got != 1 {
		t.Errorf("%d processors for 0.9, want 1", got)
	}
	if got := feed(0.97, 1); got != 1 {
		t.Errorf("%d processors after one full sample, want 1", got)
	}
	if got := feed(16, 16); got != 16 {
		t.Errorf("%d processors after eight more steps, want 16", got)
	}
	if got := feed(12, 10_000); got != 16 {
		t.Errorf("%d processors for 12 of 16, want them to stay", got)
	}
	if got := feed(0.6, 10*maxPatience*16); got != 1 {
		t.Errorf("%d processors for 0.6, want 1 in the end", got)
	}
}

// Each try with fewer that failed makes the next one wait longer, up to a bound: a load that one processor cannot carry, and of which two
// waste much, is not tried again and again.
func TestProcessorsPatience(t *testing.T) {
	p := newProcessors(2)
	tries, was := 0, 1
	for range 100_000 { // more than an hour
		used := 1.2 // with two
		if p.now == 1 {
			used = 1 // all that there is
		}
		if now := p.next(used, 0); now != was {
			if now == 1 {
				tries++
			}
			was = now
		}
	}
	if tries < 10 || tries > 40 {
		t.Errorf("%d tries in 100,000 samples, want them seldom, and not given up", tries)
	}
}

// Where the collector takes a good part of the time, all processors are there at once, whatever is used of them.
func TestProcessorsCollector(t *testing.T) {
	p := newProcessors(8)
	now := 0
	for range 20 {
		now = p.next(0.6, 0.3)
	}
	if now != 8 {
		t.Errorf("%d processors while half the time goes to the collector, want 8", now)
	}
	for range 10_000 {
		now = p.next(0.6, 0.01)
	}
	if now != 1 {
		t.Errorf("%d processors when it has little to do again, want 1", now)
	}
}
