package cluster

import "time"

// Learned is for how long an endpoint's connections are kept, where that is less than configured because the endpoint closed them earlier.
// A zero field is as configured.
type Learned struct {
	IdleExpiry time.Duration // after which a free connection is closed
	MaxAge     time.Duration // after which a connection takes no new call
}

const (
	together = 250 * time.Millisecond // closes within it have one cause, and count once
	leastOld = 50 * time.Millisecond  // a close so soon is no limit in time: the server ended the connection behind a call
	forgets  = 10 * time.Minute       // after which a lesson is tried anew: the server may be another by now
)

// lessons learns an endpoint's limits in time from the connections that the endpoint closes while they are free.
//
// Two causes in a row, at about the same idle time or the same age, make a limit. Closes that come together have one cause; where their
// times differ, as at a restart, that cause is no limit. Nor is one that a connection has outlived since the cause before. A limit
// on idle time is believed before one on age: a connection that is used once has both alike.
//
// The zero value has learned nothing. Time comes from outside. Not safe for concurrent use.
type lessons struct {
	learned   Learned
	until     time.Time // when learned is forgotten
	news      bool      // learned has changed, and nobody has asked
	last, now cause     // the one before, and the one whose closes may still come
	outlived  times     // the most that a connection has lived through since the last cause
}

// times are those of one connection at one moment.
type times struct{ idle, age time.Duration }

// cause is closes that came together; the zero value is none.
type cause struct {
	start     time.Time
	idle, age span
	outlived  times // before it
}

// span is from the least to the most that was seen.
type span struct{ least, most time.Duration }

func (s span) with(o span) span { return span{min(s.least, o.least), max(s.most, o.most)} }

// within reports whether all that was seen may be one limit: of a server whose clock is off by so much, and by 20 ms on the way.
func (s span) within(slack time.Duration) bool {
	return s.least >= leastOld && s.most-s.least <= slack+20*time.Millisecond
}

// slackOfIdle is the greater one: some servers look only now and then which connections are idle. More, and two restarts would look alike.
func slackOfIdle(d time.Duration) time.Duration { return d / 10 }
func slackOfAge(d time.Duration) time.Duration  { return d / 20 }

// lived says that a connection with these times was used once more, and answered.
func (l *lessons) lived(t times) {
	l.outlived.idle, l.outlived.age = max(l.outlived.idle, t.idle), max(l.outlived.age, t.age)
}

// closed says that the endpoint closed a free connection with these times. It returns true where this begins a new cause: judge is to be
// called when the closes that come with it are in, after together.
func (l *lessons) closed(now time.Time, t times) (begins bool) {
	idle, age := span{t.idle, t.idle}, span{t.age, t.age}
	if !l.now.start.IsZero() && now.Sub(l.now.start) < together {
		l.now.idle, l.now.age = l.now.idle.with(idle), l.now.age.with(age)
		return false
	}
	l.conclude(now)
	l.now = cause{start: now, idle: idle, age: age, outlived: l.outlived}
	l.outlived = times{}
	return true
}

// judge looks at the closes of the last cause, once they are in, and reports whether what is learned has changed since it was last asked.
func (l *lessons) judge(now time.Time) (changed bool) {
	l.conclude(now)
	changed, l.news = l.news, false
	return changed
}

// conclude compares the last cause with the one before.
func (l *lessons) conclude(now time.Time) {
	if l.now.start.IsZero() || now.Sub(l.now.start) < together {
		return
	}
	a, b := l.last, l.now
	l.last, l.now = b, cause{}
	if a.start.IsZero() {
		return
	}
	was := l.at(now)
	is := was
	idle, age := a.idle.with(b.idle), a.age.with(b.age)
	slackIdle, slackAge := slackOfIdle(idle.most), slackOfAge(age.most)
	switch {
	case idle.within(slackIdle) && b.outlived.idle <= idle.most+slackIdle:
		is.IdleExpiry = lower(was.IdleExpiry, idle.least*4/5) // 1 s becomes 0.8 s
	case age.within(slackAge) && b.outlived.age <= age.most+slackAge:
		is.MaxAge = lower(was.MaxAge, age.least/3) // the rest is for the call that the connection takes last
	default:
		return
	}
	l.learned, l.until = is, now.Add(forgets)
	l.news = l.news || is != was
}

// lower returns the lesser of two limits, of which the first may be none.
func lower(limit, d time.Duration) time.Duration {
	if limit == 0 {
		return d
	}
	return min(limit, d)
}

// at returns what is learned and not forgotten.
func (l *lessons) at(now time.Time) Learned {
	if !now.Before(l.until) {
		return Learned{}
	}
	return l.learned
}
