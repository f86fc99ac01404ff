package process

import "time"

// When an ended replica is started again.
const (
	firstDelay = 100 * time.Millisecond
	maxDelay   = 10 * time.Second
	settled    = 10 * time.Second // ready for this long: what went before is forgotten
	quickLimit = 3                // this many lives in a row that were shorter than settled are a crash loop
	loopPeriod = 30 * time.Second // between two starts in a crash loop
)

// life is what the back-off needs to know of a replica's process that has ended.
type life struct {
	started, ended time.Time
	ready          time.Duration // for how long it was an endpoint
}

// backoff decides when a replica is started again. The zero value is that of a replica that has not failed.
type backoff struct {
	deaths int // since it was settled
	quick  int // lives in a row that ended soon after their start
}

// next returns when to start again after l: 100 ms after its end, twice as long after each further one up to 10 s, and in a crash loop
// no sooner than 30 s after its start.
func (b *backoff) next(l life) time.Time {
	if l.ready >= settled {
		*b = backoff{}
	}
	b.quick++
	if l.ended.Sub(l.started) >= settled {
		b.quick = 0
	}
	delay := min(firstDelay<<min(b.deaths, 16), maxDelay)
	b.deaths++
	at := l.ended.Add(delay)
	if loop := l.started.Add(loopPeriod); b.quick >= quickLimit && at.Before(loop) {
		at = loop
	}
	return at
}

// How a starting replica is asked whether it answers.
const (
	firstProbe   = 50 * time.Millisecond
	maxProbe     = time.Second     // between two attempts
	probeTimeout = 5 * time.Second // for one attempt
)

// probeDelay returns the wait after the given number of attempts that failed: 50 ms for the first second or so, then longer, up to 1 s.
func probeDelay(failed int) time.Duration {
	return min(firstProbe<<min(max(failed-20, 0)/4, 8), maxProbe)
}
