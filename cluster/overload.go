package cluster

import (
	"time"

	"github.com/thriftloom/thriftloom/internal/fair"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// The shape of the decision, beside what QueueConfig says.
const (
	patience  = 3 // times of a call that may be waited for, where that is more than the target: a call waits for others to end
	perTarget = 5 // targets in an interval at least, so that it has calls enough in it
	bearable  = 4 // of the time that a call may wait, a part of so many is no reason to refuse another one
	onAfter   = 3 // intervals in a row: a burst that nobody follows up is a queue that does its work
	offAfter  = 3
)

// overload tells whether more calls come than the endpoints answer. It is so when, for several intervals in a row, whenever a call was handed a
// slot the oldest one had waited for longer than the target, and for a quarter of the time that it may wait, or the queue was full; and more calls came than
// went. A queue that merely stands is none: the callers of a fleet that is always busy wait for their turn, and a batch that came at once is worked off;
// nor is one that many callers have just joined. From then on the queue is held near the target. The zero value has seen nothing. The cluster's
// lock guards it.
//
// Source: CoDel (Nichols, Jacobson, 2012) as folly's Codel.h has it; there it is the minimum of the wait alone.
type overload struct {
	on      bool
	ends    time.Time     // of the interval; zero: none has begun
	least   time.Duration // that the oldest of the waiting had waited, of all times that a slot was handed out in the interval
	eased   bool          // … and it had not waited for long once, for the time that it may
	full    bool          // the queue was, in the interval
	came    int           // calls, in the interval
	went    int           // calls that were handed a slot in it
	growing int           // intervals in a row
	resting int
	target  time.Duration // as of the interval
	room    int           // calls that are answered within one and a quarter of the target
	work    time.Duration // that a call takes, on average, lately
}

// learn takes in how long an answered call took.
func (o *overload) learn(took time.Duration) {
	if o.work == 0 {
		o.work = took
		return
	}
	o.work += (took - o.work) / 32
}

// handed notes that a call was handed a slot at now, when the oldest of the waiting had waited for so long, of the time that it may; slots is
// how many there are.
func (o *overload) handed(oldest, may time.Duration, now time.Time, q QueueConfig, slots func() int) {
	o.went++
	o.least = min(o.least, oldest)
	o.eased = o.eased || oldest <= may/bearable
	if now.Before(o.ends) {
		return
	}
	if !o.ends.IsZero() {
		o.judge()
	}
	o.target = max(q.Target, patience*o.work)
	o.room = max(1, int(1.25*float64(o.target)*float64(slots())/float64(max(o.work, 1))))
	o.ends, o.least, o.came, o.went = now.Add(max(q.Interval, perTarget*o.target)), 1<<62, 0, 0
	o.eased, o.full = false, false
}

// judge is the end of an interval.
func (o *overload) judge() {
	stands, grows := o.least > o.target && (o.full || !o.eased), o.came > o.went+o.went/8+2
	if !o.on {
		if o.growing++; !stands || !grows {
			o.growing = 0
		}
		o.on, o.resting = o.growing >= onAfter, 0
		return
	}
	// Now the queue is kept near the target, and what is refused counts among those that came.
	if o.resting++; o.least > o.target/2 && o.came > o.went {
		o.resting = 0
	}
	o.on, o.growing = o.resting < offAfter, 0
}

// loads are of the lanes of the queue, each on its own: endpoints that only some calls may take can be overloaded while others are idle.
type loads struct {
	all  overload // of the calls that may take any endpoint
	of   map[rpc.Labels]*overload
	on   bool // one of them is
	told bool // what OnOverload was told last
}

// maxLoads bounds of how many lanes is known whether they are overloaded, those that may take any endpoint besides; beyond, all are judged anew.
const maxLoads = 256

// loadOf returns what is known of a lane. It is not kept for long. c.mu is held.
func (c *Cluster) loadOf(lane rpc.Labels) *overload {
	if lane == "" {
		return &c.loads.all
	}
	l := c.loads.of[lane]
	if l == nil {
		if c.loads.of == nil || len(c.loads.of) >= maxLoads {
			c.loads.of = map[rpc.Labels]*overload{}
			c.loads.judge()
		}
		l = new(overload)
		c.loads.of[lane] = l
	}
	return l
}

// judge finds out whether a lane is overloaded, when that has changed for one.
func (l *loads) judge() {
	l.on = l.all.on
	for _, o := range l.of {
		l.on = l.on || o.on
	}
}

// news reports whether OnOverload does not know of the state yet.
func (l *loads) news() bool {
	changed := l.on != l.told
	l.told = l.on
	return changed
}

// crowded reports whether so many wait that one more would not be answered in time.
func (o *overload) crowded(waiting int) bool { return o.on && waiting >= o.room }

// Reasons why a call that would have waited, or has waited, is refused.
const (
	shedFull   = iota // the queue is full
	shedCrowd         // while overloaded: as many wait as are answered in time
	shedWaited        // while overloaded: it has waited for twice the target
	shedLate          // so little time is left that it would not be answered in time
	reasons
)

// shed counts refused calls.
type shed [fair.Classes][reasons]int64

func (s *shed) count(call *rpc.Call, reason int) { s[class(call)][reason]++ }

// Shed is the calls of one class that were refused, by reason.
type Shed struct {
	Priority rpc.Priority
	Full     int64 // the queue was full
	Crowd    int64 // while overloaded: as many calls waited as are answered in time
	Waited   int64 // while overloaded: it had waited for twice the target
	Late     int64 // it had waited until less time was left than a call of its method takes
}

func (s *shed) snapshot() (all []Shed) {
	for _, p := range rpc.Priorities {
		r := s[p-rpc.Background]
		all = append(all, Shed{Priority: p, Full: r[shedFull], Crowd: r[shedCrowd], Waited: r[shedWaited], Late: r[shedLate]})
	}
	return all
}

// shedOld refuses the calls that have waited for twice the target in a lane that is overloaded: whoever made them had better know, and those that
// came later are still answered in time. c.mu is held.
func (c *Cluster) shedOld(now time.Time) {
	if !c.loads.on {
		return
	}
	for lane := range c.waiting.Lanes() {
		for load := c.loadOf(rpc.Labels(lane)); load.on; {
			w := c.waiting.Oldest(lane)
			if w == nil || w.Value.call.Priority == rpc.Probe || now.Sub(w.Value.since) <= 2*load.target {
				break
			}
			c.refuse(w, shedWaited, errorAt(rpc.ResourceExhausted, c, "overloaded: the call has waited too long for a slot"))
		}
	}
}

// refuse takes a call out that waits. c.mu is held.
func (c *Cluster) refuse(w *waiter, reason int, e *rpc.Error) {
	c.waiting.Remove(w)
	c.shed.count(w.Value.call, reason)
	w.Value.got <- grant{err: e}
}

// late reports whether a call has waited for so long that it would not be answered in time, going by what calls of its method take: half of
// them take longer. A call that has not waited gets its try, so that a method which has become faster is found to be. c.mu is held.
func (c *Cluster) late(call *rpc.Call, now time.Time) bool {
	left, ok := call.Remaining(now)
	if !ok || call.Oneway {
		return ok && left <= 0
	}
	return left <= c.typical.of(call.Method)
}

// typical is the median time that calls take, by method. The zero value knows none.
type typical map[*schema.Method]*median

// Bounds of typical.
const (
	maxTypical    = 1024 // methods; all are forgotten where there are more: those of an IDL that has been replaced are among them
	enoughTypical = 16   // calls, before which nothing is said
	typicalStep   = 0.05 // of a median, with each call
)

type median struct {
	calls int
	value float64
}

// learn takes in how long an answered call took.
func (t *typical) learn(m *schema.Method, took time.Duration) {
	if m == nil {
		return
	}
	d := (*t)[m]
	if d == nil {
		if *t == nil || len(*t) >= maxTypical {
			*t = typical{}
		}
		d = &median{value: float64(took)}
		(*t)[m] = d
	}
	if d.calls++; float64(took) > d.value {
		d.value *= 1 + typicalStep
	} else {
		d.value /= 1 + typicalStep
	}
}

// of returns the median of a method, 0 where it is not known.
func (t typical) of(m *schema.Method) time.Duration {
	if d := t[m]; d != nil && d.calls >= enoughTypical {
		return time.Duration(d.value)
	}
	return 0
}
