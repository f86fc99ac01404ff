package balance

import (
	"math"
	"time"
)

// conclude ends a turn.
func (l *limiter) conclude(r rate, now time.Duration) {
	before, was := l.before, l.last
	l.before, l.last = was, r
	if l.trial == 0 {
		l.watch(r, now)
		return
	}
	if r.limit == l.trial {
		l.tried = r.n
	}
	if was.x > 0 && was.limit != r.limit && r.x > 0 {
		l.compare(was, r)
	}
	s := before.shift(r)
	if r.limit == l.base && s == 0 {
		s = l.usual.shift(r)
	}
	switch {
	case s > 0 && !l.doubted:
		l.before, l.usual, l.trial, l.dull = rate{}, rate{}, 0, 0
		l.unlearn()
		l.try(l.wider(2), now)
	case s < 0 && !l.doubted:
		l.doubt(now)
	case l.score >= surer || l.score >= sure && l.trial < l.base || l.doubted && l.score >= plain:
		l.accept(now)
	case l.idle:
		l.abandon(now)
	case l.score <= -sure || l.pairs >= maxPairs:
		l.reject(now)
	case l.limit == l.base:
		l.begin(l.trial, l.settles(l.trial), now)
	default:
		l.begin(l.base, l.settles(l.base), now)
	}
}

// compare weighs two turns, one of each limit.
func (l *limiter) compare(a, b rate) {
	if a.limit > b.limit {
		a, b = b, a
	}
	l.pairs++
	if b.n < 1.05*a.n {
		l.idle = true
		return
	}
	if !l.doubted {
		l.curve.add(a.limit, b.limit, math.Log(b.x/a.x)/math.Log(b.n/a.n), l.meter.at)
	}
	wants := wants(a.limit)
	if l.doubted {
		wants = doubtful
	}
	more := (math.Log(b.x/a.x) - wants*math.Log(b.n/a.n)) / math.Log(float64(b.limit)/float64(a.limit))
	more = max(-1, min(more, 1))
	if l.trial < l.base {
		more = -more
	}
	l.score += more
}

// wants is how much more throughput it takes, for more calls than limit.
func wants(limit int) float64 {
	if limit == 1 {
		return second
	}
	return worth
}

// watch looks at a turn between trials, and begins one where it is time, or where the endpoint is another one than it was.
func (l *limiter) watch(r rate, now time.Duration) {
	u := l.usual
	if u.limit != r.limit || u.x == 0 || r.x == 0 {
		u = r
	}
	d := min(1, math.Abs(math.Log(r.x/u.x)))
	l.noise += (min(d*d*l.turn.calls/2, 2*noisiest) - l.noise) / 8
	l.usual = rate{r.limit, u.x + (r.x-u.x)/4, u.n + (r.n-u.n)/4}
	switch s := u.shift(r); {
	case s < 0 || l.brief:
		l.usual = r
		l.cut(now)
	case s > 0:
		l.usual, l.dull = r, 0
		l.unlearn()
		l.try(l.wider(2), now)
	case now >= l.rests:
		l.next(now)
	default:
		l.begin(l.base, 0, now)
	}
}

// next begins the trial that is due: of what the others have found out, of what speaks for itself, or of more calls and of fewer in turn.
func (l *limiter) next(now time.Duration) {
	l.count++
	others, count := l.others()
	more, fewer := l.wider(l.step), l.narrower(l.less)
	switch {
	case l.count%2 == 1 && count >= quorum && others <= l.most && apart(others, l.base):
		l.try(others, now)
		l.leans = true
	case l.evidence(fewer, now) >= hint:
		l.try(fewer, now)
	case l.evidence(more, now) >= hint, l.count%2 == 0, l.base == 1, l.base == firstLimit && l.count%4 == 1:
		l.try(more, now)
	default:
		l.try(fewer, now)
	}
}

// apart reports whether limits differ by more than a quarter.
func apart(a, b int) bool { return 4*a > 5*b || 4*b > 5*a }

// wider and narrower are limits of so many times more calls, or fewer: one at least, where there may be.
func (l *limiter) wider(step float64) int    { return min(l.most, int(math.Ceil(float64(l.base)*step))) }
func (l *limiter) narrower(step float64) int { return max(1, min(l.base-1, int(float64(l.base)/step))) }

// evidence is what is known already for another limit: what trials have found out, and whether it is nearer to what the others have, or farther.
func (l *limiter) evidence(limit int, now time.Duration) (score float64) {
	switch {
	case limit > l.base:
		score = l.curve.speaks(l.base, limit, wants(l.base), now)
	case limit < l.base:
		score = -l.curve.speaks(limit, l.base, wants(limit), now)
	}
	others, count := l.others()
	switch {
	case count < quorum || others == 0:
	case apart(others, l.base) && (limit > l.base) == (others > l.base):
		score += lean
	case apart(limit, others) && l.dull == 0: // all are still on their way
		score -= lean / 2
	case apart(limit, others):
		score -= lean
	}
	return max(-evident, min(score, evident))
}

// try begins a trial of another limit; without another one there is none for a while.
func (l *limiter) try(limit int, now time.Duration) {
	if limit == l.base {
		l.rests = now + maxRest
		l.begin(l.base, 0, now)
		return
	}
	l.trial, l.pairs, l.doubted, l.leans, l.idle, l.began, l.score = limit, 0, false, false, false, now, l.evidence(limit, now)
	if l.last.limit == l.base {
		l.begin(limit, l.settles(limit), now)
	} else {
		l.begin(l.base, l.settles(l.base), now)
	}
}

// doubt looks again what the endpoint does: it brings much less than it should. What was measured says nothing any more.
func (l *limiter) doubt(now time.Duration) {
	l.before, l.last, l.usual, l.trial = rate{}, rate{}, rate{}, 0
	l.rest(now)
	l.brief = true
}

// cut tries far fewer calls at once: the endpoint does less than it did with as many.
func (l *limiter) cut(now time.Duration) {
	l.dull = 0
	l.unlearn()
	if l.base <= firstLimit {
		l.begin(l.base, 0, now)
		return
	}
	l.try(l.narrower(max(math.Sqrt2, min(4, float64(l.base)/firstLimit))), now)
	l.doubted, l.score = true, 0
}

// unlearn gives up this endpoint's part of what is known together.
func (l *limiter) unlearn() {
	_, others := l.others()
	l.curve.forget(float64(others) / float64(others+1))
}

// accept takes over the limit that was tried, and goes on in the same direction.
func (l *limiter) accept(now time.Duration) {
	up, doubted := l.trial > l.base, l.doubted
	if up { // no more than there were calls for
		l.trial = max(l.base+1, min(l.trial, int(math.Ceil(1.1*l.tried))))
	}
	l.base, l.trial, l.dull, l.usual, l.step, l.less = l.trial, 0, max(0, l.dull-1), rate{}, 2, 2
	switch {
	case l.leans:
		l.rest(now)
	case up && l.base < l.most && l.evidence(l.wider(2), now) > -hint:
		l.try(l.wider(2), now)
	case !up && l.base > firstLimit:
		if doubted {
			l.cut(now)
		} else {
			l.try(l.narrower(2), now)
		}
	default:
		l.rest(now)
	}
}

// reject keeps the limit that there was. The next trial is another one.
func (l *limiter) reject(now time.Duration) {
	if l.trial > l.base {
		l.step = 2 * math.Sqrt2 / l.step
	} else {
		l.less = math.Sqrt2
	}
	doubted := l.doubted
	l.rest(now)
	if l.trial < l.base && !doubted {
		l.rests = max(l.rests, now+min(restFor*(now-l.began), longRest))
	}
	l.trial = 0
	l.dull++
}

// abandon ends a trial that shows nothing, since there are too few calls for the greater limit to matter.
func (l *limiter) abandon(now time.Duration) {
	l.rest(now)
	l.trial = 0
}

// rest goes on without a trial.
func (l *limiter) rest(now time.Duration) {
	l.rests = now + min(firstRest<<min(l.dull, 10), maxRest)
	l.doubted = false
	settle := 0
	if l.limit != l.base {
		settle = l.settles(l.base)
	}
	l.begin(l.base, settle, now)
}
