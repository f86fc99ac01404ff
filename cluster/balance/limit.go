package balance

import (
	"math"
	"time"
)

// What more slots have to bring.
const (
	firstLimit = 2    // calls at a time, until more is known: the second one hides the way there and back
	worth      = 0.2  // of the throughput that so many more calls could bring at most, to be worth while: less is a queue in the endpoint
	second     = 0.1  // the same for the second call: it costs little, since it waits for one call at most
	doubtful   = 0.35 // the same, where the endpoint has just become slower
)

// How sure a limiter has to be, in shares of throughput as above, summed over pairs of turns.
const (
	sure     = 1.2  // of a trial of fewer calls, or to give up one of more
	surer    = 1.6  // of more calls: it takes two or three pairs, however clear they are
	plain    = 0.3  // where the endpoint has just become slower
	maxPairs = 10   // after which a trial without a verdict is over
	evident  = 1.0  // at most, from what is known before a trial: the trial has the last word
	hint     = 0.25 // known before, that makes a trial worth while
	lean     = 0.5  // towards what the others have found out
	quorum   = 3    // others, who have found something out
)

// How long turns are, and what is between trials.
const (
	fewest    = 32                     // answers, that make a turn; more where they come irregularly
	careful   = 3                      // times more of them, where nothing has changed for so many trials
	noisiest  = 8                      // times as many, at most
	heaviest  = 16                     // times the mean of all calls, that one call counts at most
	shortest  = 50 * time.Millisecond  // turn: a shorter one is ruled by how processes are scheduled
	overdue   = 200 * time.Millisecond // after which a turn that brings less than a third of what it should is not waited for
	maxTrial  = 5 * time.Second        // without enough calls to judge by
	firstRest = 500 * time.Millisecond // between trials; it doubles with each that changes nothing
	maxRest   = 4 * time.Second
	restFor   = 8               // times as long as a trial of fewer calls took there is none again: it costs throughput
	longRest  = 6 * time.Second // … at most
	faster    = 1.5             // by which an endpoint gets more done, and answers sooner, that is another one than it was
	slower    = 1.8             // the same the other way round: to try far fewer calls may cost throughput
)

// limiter learns how many calls at a time an endpoint had better have: as many as its throughput grows with, and no more, since what is beyond
// waits in the endpoint, where it makes every call slower and nobody can give it to another one.
//
// It tries another limit beside the one that it has, in turns, and compares what the endpoint gets done with how many calls it has: where
// throughput grows by worth of what the calls do, or more, the greater limit is taken, else the lesser one. Turns are short, so that whatever else
// happens to an endpoint happens to both limits; time with too few calls for a limit to matter counts for neither. So an endpoint without load learns
// nothing, and forgets nothing. What trials find out is kept for some time (curve), for all endpoints of the cluster.
//
// Make one with newLimiter. Time comes from outside. Not safe for concurrent use.
//
// Source: what grows with what is the elasticity of throughput. Kleinrock's power, throughput ÷ latency, is greatest where that is 1/2; throughput
// counts for more here. Trials in turns are those of PCC (Dong et al., 2015).
type limiter struct {
	most   int                       // that it may find out
	base   int                       // what it has found out
	limit  int                       // of calls, now: base, or what is tried beside it
	others func() (slots, count int) // the median of what the others in the cluster have found out, and how many they are
	curve  *curve                    // shared with them
	meter  meter

	turn   turn
	last   rate    // of the turn before; zero: it says nothing of this one
	before rate    // of the one before that
	usual  rate    // at base, between trials, of the last few turns
	noise  float64 // variance of the time between two answers, in squares of its mean, as far as turns between trials differ
	brief  bool    // this turn is as short as can be

	trial   int     // the limit that is tried; 0: none is
	doubted bool    // it is tried because the endpoint has become slower
	idle    bool    // the greater limit has made no difference to how many calls there were
	leans   bool    // … because others have found it out
	score   float64 // for it
	pairs   int     // of turns
	tried   float64 // calls at a time in its last turn
	began   time.Duration

	step  float64       // to the next trial of more calls
	less  float64       // the same of fewer
	count int           // of trials
	dull  int           // in a row that changed nothing
	rests time.Duration // until then there is no trial
}

func newLimiter(first, most int, c *curve, others func() (slots, count int), now time.Duration) *limiter {
	l := &limiter{most: most, curve: c, others: others, step: 2, less: math.Sqrt2, rests: now}
	l.base = max(1, min(first, most))
	l.meter.at = now
	l.begin(l.base, 0, now)
	return l
}

// bound sets what the limit is at most.
func (l *limiter) bound(most int) {
	l.most = most
	if l.base > most || l.limit > most || l.trial > most {
		l.base, l.trial, l.last = min(l.base, most), 0, rate{}
		l.begin(l.base, 0, l.meter.at)
	}
}

// slots is how many calls there may be, in this turn and the next.
func (l *limiter) slots() int { return max(l.base, l.trial) }

// enough is from how many calls on they are compared.
func (l *limiter) enough() int {
	least := l.base
	if l.trial > 0 {
		least = min(least, l.trial)
	}
	return (least + 1) / 2
}
