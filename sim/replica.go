package sim

import (
	"fmt"
	"math"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// replica works at calls.
type replica struct {
	index   int
	speed   float64 // 1: work takes as long as it says; 0: it has stalled
	workers int     // calls that it works at at a time; the others wait, in the order in which they came
	shared  bool    // it works at all calls at a time, and they share its speed, as threads share an interpreter
	fails   bool    // it ends every call at once, without an answer
	down    bool    // it refuses connections

	history history // for prequal
	running []*call
	waiting []*call
	since   time.Duration // what is running has been brought up to then
	turn    uint64        // of the event that is its next end of a call
}

// instantly is how long a failure takes.
const instantly = 500 * time.Microsecond

func (r *replica) name() string { return fmt.Sprintf("r%d", r.index) }

// arrives is a call that comes. It sleeps first, beside the others, and then wants the replica to itself.
func (r *replica) arrives(w *world, c *call) {
	if c.sleep == 0 || r.down || r.fails {
		r.take(w, c)
		return
	}
	w.after(c.sleep, func() {
		if c.work == 0 {
			w.answered(c, rpc.Success)
		} else {
			r.take(w, c)
		}
	})
}

// take is a call that comes to the replica's own work.
func (r *replica) take(w *world, c *call) {
	switch {
	case r.down:
		w.after(instantly, func() { w.answered(c, rpc.Refused) })
		return
	case r.fails:
		w.after(instantly, func() { w.answered(c, rpc.ClosedNoReply) })
		return
	}
	c.left = c.work
	c.came, c.crowd = w.now, len(r.running)+len(r.waiting)
	if !r.shared && len(r.running) >= r.workers {
		r.waiting = append(r.waiting, c)
		return
	}
	r.advance(w.now)
	r.running = append(r.running, c)
	r.plan(w)
}

// rate is how much of a second's work is done in a second, of each call.
func (r *replica) rate() float64 {
	if r.shared {
		return r.speed / float64(max(1, len(r.running)))
	}
	return r.speed
}

// advance brings what is running up to now.
func (r *replica) advance(now time.Duration) {
	done := time.Duration(float64(now-r.since) * r.rate())
	for _, c := range r.running {
		c.left -= done
	}
	r.since = now
}

// plan makes the event of the call that ends next.
func (r *replica) plan(w *world) {
	r.turn++
	rate := r.rate()
	if len(r.running) == 0 || rate == 0 {
		return
	}
	least := r.running[0].left
	for _, c := range r.running[1:] {
		least = min(least, c.left)
	}
	in := time.Duration(math.Ceil(float64(max(0, least)) / rate))
	w.events.push(event{at: w.now + in, replica: r, turn: r.turn})
}

// finish ends the calls that are done.
func (w *world) finish(r *replica) {
	r.advance(w.now)
	var done []*call
	keep := r.running[:0]
	for _, c := range r.running {
		if c.left <= 0 {
			done = append(done, c)
		} else {
			keep = append(keep, c)
		}
	}
	r.running = keep
	for len(r.waiting) > 0 && len(r.running) < r.workers {
		r.running = append(r.running, r.waiting[0])
		r.waiting = r.waiting[1:]
	}
	r.plan(w)
	for _, c := range done {
		r.history.add(c.crowd, w.now-c.came)
		w.answered(c, rpc.Success)
	}
}

// turnTo gives the replica another speed.
func (r *replica) turnTo(w *world, speed float64) {
	r.advance(w.now)
	r.speed = speed
	r.plan(w)
}

// crash ends the replica with its calls; up brings it back.
func (r *replica) crash(w *world) {
	r.down = true
	calls := append(r.running, r.waiting...)
	r.running, r.waiting = nil, nil
	r.plan(w)
	for _, c := range calls {
		w.answered(c, rpc.ClosedNoReply)
	}
}
