package balance

import "time"

// turn is a time in which one limit holds.
type turn struct {
	settle int           // calls that have to end until it counts: they are of the turn before
	began  time.Duration // or begins to count
	start  meter
	calls  float64 // answered
	work   float64 // the same, each as much as its method mostly is
}

// rate is what came of a turn: answers a second, with so many calls at a time.
type rate struct {
	limit int
	x, n  float64
}

// shift tells whether the endpoint was another one than it is in a turn with the same limit: 1 where it has become faster, -1 where it has become
// slower. Who has other calls at a time gets more done, or answers later, but not both.
func (a rate) shift(b rate) int {
	switch {
	case a.limit != b.limit || a.x == 0 || b.x == 0:
	case b.x > a.x*faster && b.x/b.n > a.x/a.n*faster:
		return 1
	case b.x*slower < a.x && b.x/b.n*slower < a.x/a.n:
		return -1
	}
	return 0
}

// meter measures while an endpoint has calls enough for its limit to matter.
type meter struct {
	at   time.Duration // brought up to then
	busy time.Duration // of that, with calls enough
	area float64       // calls × seconds of busy
}

// Mark is the moment at which a call got its slot; the zero value is none.
type Mark struct{ at, busy time.Duration }

// tick says that there were so many calls until now.
func (l *limiter) tick(calls int, now time.Duration) {
	d := now - l.meter.at
	if d <= 0 {
		return
	}
	if calls >= l.enough() {
		l.meter.busy += d
		l.meter.area += float64(calls) * d.Seconds()
	}
	l.meter.at = now
}

// mark is now, for a call that has got its slot.
func (l *limiter) mark() Mark { return Mark{l.meter.at, l.meter.busy} }

// ended says that the endpoint is done with a call that got its slot at m, and has calls left. work is how much it was beside others; zero:
// it was not answered.
func (l *limiter) ended(m Mark, work float64, calls int) {
	t, now := &l.turn, l.meter.at
	if t.settle > 0 {
		if calls < l.limit {
			t.settle--
		}
		if t.settle == 0 {
			t.began, t.start = now, l.meter
		}
		return
	}
	if work > 0 && now > m.at { // of a call that was there for a part of the time it counts for that part
		part := max(0, min(float64(l.meter.busy-m.busy)/float64(now-m.at), 1))
		t.calls += part
		t.work += part * min(work, heaviest)
	}
	busy, area := (l.meter.busy - t.start.busy).Seconds(), l.meter.area-t.start.area
	switch {
	case t.calls >= l.answers() && busy >= shortest.Seconds():
		l.conclude(rate{l.limit, t.work / busy, area / busy}, now)
	case !l.doubted && !l.brief && busy > overdue.Seconds() && l.late(busy, area):
		l.doubt(now)
	case l.trial > 0 && now-t.began > maxTrial && 4*busy < (now-t.began).Seconds():
		l.abandon(now)
	}
}

// answers is how many make a turn: where calls go in step, as those that only wait do, two of each.
func (l *limiter) answers() float64 {
	switch {
	case l.brief:
		return fewest
	case l.doubted:
		return max(fewest, float64(l.limit))
	}
	return max(fewest*min(max(1, l.noise)*float64(1+min(l.dull, careful)), noisiest), float64(2*l.limit))
}

// settles is how many calls have to end until a turn counts: where some wait and others work, it takes two of each until there are as many of
// the one and the other as there will be.
func (l *limiter) settles(limit int) int {
	if l.doubted {
		return limit
	}
	return 2 * limit
}

// late reports whether the turn has brought a third of what it should at most, after the one before, whatever limits the endpoint.
func (l *limiter) late(busy, area float64) bool {
	should := min(busy, area/max(l.last.n, 1)) * l.last.x
	return should > fewest && 3*l.turn.work < should
}

// begin begins a turn. Of the calls that have been there so many have to end until there are as few as the limit.
func (l *limiter) begin(limit, settle int, now time.Duration) {
	l.limit, l.brief = limit, false
	l.turn = turn{settle: settle, began: now, start: l.meter}
}
