// Package fair is a queue in which callers take turns.
package fair

import (
	"container/heap"
	"iter"
	"maps"
	"slices"
)

// Classes is how many classes a Queue has: 0 … Classes-1, of which the highest goes first.
const Classes = 5

// Queue holds what waits, in the order in which it is served: that of a higher class first. Within one class callers take turns, and of one
// caller the oldest is first, or its Newest, as the owner likes. So a caller with many calls waits for its own, and one with a single
// call for no more than one of each other caller's.
//
// What waits for the same thing stands in one lane: where that is not to be had, Pass has what waits for others come first. A caller's turns are
// the same in all lanes. The zero value is empty. Not safe for concurrent use.
//
// Source: start-time fair queuing (Goyal, Vin, Cheng, 1996), every call counted as the same work.
type Queue[T any] struct {
	classes [Classes]class[T]
	lanes   map[string]*lane[T] // in which some wait, and ""
	waiting int
	count   uint64 // of what came and went
	round   uint64 // of looks: lanes that are passed by in it are not looked at
}

// Item is one that waits, or has waited.
type Item[T any] struct {
	Value T

	class         int
	number        uint64   // in the order in which they came
	of            *flow[T] // nil once it waits no more
	before, after [2]*Item[T]
}

// lane is what waits for the same thing.
type lane[T any] struct {
	name    string
	all     list[T] // in the order in which they came
	waiting int
	passed  uint64 // the last round in which it was
}

// class is what waits of one class.
type class[T any] struct {
	by      map[string]*caller[T]
	callers []*caller[T] // in no order
	turns   []*turns[T]  // of each lane in which some of the class wait, and of ""
	now     uint64       // the turn of who went last
	waiting int
}

// caller is who has something of one class waiting.
type caller[T any] struct {
	name    string
	flows   []*flow[T]
	waiting int
	turn    uint64 // of its next one
	since   uint64 // it waits for that turn: among equals the one that has waited longer goes first
	at      int    // among its class's callers
}

// flow is what a caller has waiting in one lane.
type flow[T any] struct {
	of    *caller[T]
	in    *turns[T]
	items list[T]
	count int // of items
	at    int // in the heap
}

// turns is who has something waiting in one lane: a heap, ordered by turn and then by who waits longest. It implements heap.Interface.
type turns[T any] struct {
	lane  *lane[T]
	flows []*flow[T]
}

// Len returns how many wait.
func (q *Queue[T]) Len() int { return q.waiting }

// In returns how many wait in a lane.
func (q *Queue[T]) In(name string) int {
	if l := q.lanes[name]; l != nil {
		return l.waiting
	}
	return 0
}

// Add puts one in that waits for what all of those wait for which are in no other lane.
func (q *Queue[T]) Add(value T, class int, name string) *Item[T] {
	return q.AddIn("", value, class, name)
}

// AddIn puts one in a lane.
func (q *Queue[T]) AddIn(lane string, value T, class int, name string) *Item[T] {
	q.count++
	i := &Item[T]{Value: value, class: class, number: q.count}
	q.enter(i, lane, name)
	return i
}

// enter has an item wait.
func (q *Queue[T]) enter(i *Item[T], lane, name string) {
	cl := &q.classes[i.class]
	c := cl.caller(name, i.number)
	f := c.flow(cl.lane(q.lane(lane)))
	i.of = f
	f.items.insert(i, own)
	f.count++
	f.in.lane.all.insert(i, overall)
	f.in.lane.waiting++
	c.waiting++
	cl.waiting++
	q.waiting++
}

func (q *Queue[T]) lane(name string) *lane[T] {
	l := q.lanes[name]
	if l == nil {
		if q.lanes == nil {
			q.lanes = map[string]*lane[T]{}
		}
		l = &lane[T]{name: name}
		q.lanes[name] = l
	}
	return l
}

func (cl *class[T]) caller(name string, now uint64) *caller[T] {
	c := cl.by[name]
	if c == nil {
		if cl.by == nil {
			cl.by = map[string]*caller[T]{}
		}
		c = &caller[T]{name: name, turn: cl.now + 1, since: now, at: len(cl.callers)}
		cl.by[name] = c
		cl.callers = append(cl.callers, c)
	}
	return c
}

func (cl *class[T]) lane(l *lane[T]) *turns[T] {
	for _, t := range cl.turns {
		if t.lane == l {
			return t
		}
	}
	t := &turns[T]{lane: l}
	cl.turns = append(cl.turns, t)
	return t
}

func (c *caller[T]) flow(in *turns[T]) *flow[T] {
	for _, f := range c.flows {
		if f.in == in {
			return f
		}
	}
	f := &flow[T]{of: c, in: in}
	c.flows = append(c.flows, f)
	heap.Push(in, f)
	return f
}

// Front returns whose turn it is in the lanes that are not passed by, the oldest of its caller there; nil where none waits.
func (q *Queue[T]) Front() *Item[T] {
	for n := Classes - 1; n >= 0; n-- {
		var first *flow[T]
		for _, t := range q.classes[n].turns {
			if len(t.flows) > 0 && t.lane.passed != q.round+1 && (first == nil || t.flows[0].before(first)) {
				first = t.flows[0]
			}
		}
		if first != nil {
			return first.items.first
		}
	}
	return nil
}

// Newest returns the newest that waits in its lane of its class and caller.
func (i *Item[T]) Newest() *Item[T] { return i.of.items.last }

// Pass has Front pass by the lane of an item, until Reset.
func (q *Queue[T]) Pass(i *Item[T]) { i.of.in.lane.passed = q.round + 1 }

// Reset has Front look at all lanes again.
func (q *Queue[T]) Reset() { q.round++ }

// Lane returns where one waits.
func (i *Item[T]) Lane() string { return i.of.in.lane.name }

// Move puts one that waits in another lane, where it stands by when it came.
func (q *Queue[T]) Move(i *Item[T], lane string) {
	name := i.of.of.name
	f := *i.of.of
	q.Remove(i)
	q.enter(i, lane, name)
	if c := i.of.of; c.waiting == 1 { // it was its caller's only one
		c.turn, c.since = f.turn, f.since
		heap.Fix(i.of.in, i.of.at)
	}
}

// Oldest returns the one in a lane that came first; nil where none waits.
func (q *Queue[T]) Oldest(lane string) *Item[T] {
	if l := q.lanes[lane]; l != nil {
		return l.all.first
	}
	return nil
}

// Lanes returns those in which some wait, and maybe "", in no order.
func (q *Queue[T]) Lanes() iter.Seq[string] { return maps.Keys(q.lanes) }

// Take takes one out that Front, or Newest of it, has returned: its caller has had its turn.
func (q *Queue[T]) Take(i *Item[T]) {
	cl, c := &q.classes[i.class], i.of.of
	cl.now = c.turn
	c.turn++
	q.count++
	c.since = q.count
	q.Remove(i)
	for _, f := range c.flows {
		heap.Fix(f.in, f.at)
	}
}

// Remove takes one out that waits; false for one that does not, which changes nothing.
func (q *Queue[T]) Remove(i *Item[T]) bool {
	f := i.of
	if f == nil {
		return false
	}
	cl, c, l := &q.classes[i.class], f.of, f.in.lane
	i.of = nil
	f.items.remove(i, own)
	f.count--
	l.all.remove(i, overall)
	l.waiting--
	c.waiting--
	cl.waiting--
	q.waiting--
	if f.count == 0 {
		heap.Remove(f.in, f.at)
		c.flows = slices.DeleteFunc(c.flows, func(x *flow[T]) bool { return x == f })
		if len(f.in.flows) == 0 && l.name != "" { // the one lane that most queues have stays: it is made once
			cl.turns = slices.DeleteFunc(cl.turns, func(t *turns[T]) bool { return t == f.in })
		}
	}
	if c.waiting == 0 {
		last := cl.callers[len(cl.callers)-1]
		cl.callers[c.at], last.at = last, c.at
		cl.callers = slices.Delete(cl.callers, len(cl.callers)-1, len(cl.callers))
		delete(cl.by, c.name)
	}
	if l.waiting == 0 && l.name != "" {
		delete(q.lanes, l.name)
	}
	return true
}

// Victim returns the one that gives way to another of that class and caller: of the lowest class below it in which some wait, the last one of
// whoever has most; in its own class only that of a caller with more than one above what its caller has. nil where none does.
func (q *Queue[T]) Victim(class int, name string) *Item[T] {
	for n := range class {
		if c := q.classes[n].noisiest(); c != nil {
			return c.last()
		}
	}
	cl, has := &q.classes[class], 0
	if c := cl.by[name]; c != nil {
		has = c.waiting
	}
	if c := cl.noisiest(); c != nil && c.waiting > has+1 {
		return c.last()
	}
	return nil
}

// VictimIn is Victim among those that wait in one lane.
func (q *Queue[T]) VictimIn(lane string, class int, name string) *Item[T] {
	for n := range class {
		if f := q.classes[n].noisiestIn(lane); f != nil {
			return f.items.last
		}
	}
	cl, has := &q.classes[class], 0
	if c := cl.by[name]; c != nil {
		for _, f := range c.flows {
			if f.in.lane.name == lane {
				has = f.count
			}
		}
	}
	if f := cl.noisiestIn(lane); f != nil && f.count > has+1 {
		return f.items.last
	}
	return nil
}

// noisiestIn returns what the caller has waiting in a lane who has most there; nil where none waits.
func (cl *class[T]) noisiestIn(lane string) (most *flow[T]) {
	for _, t := range cl.turns {
		if t.lane.name != lane {
			continue
		}
		for _, f := range t.flows {
			if most == nil || f.count > most.count || f.count == most.count && f.of.before(most.of) {
				most = f
			}
		}
	}
	return most
}

// noisiest returns who has most waiting; of several whose turn is next. nil where none waits.
func (cl *class[T]) noisiest() (most *caller[T]) {
	for _, c := range cl.callers {
		if most == nil || c.waiting > most.waiting || c.waiting == most.waiting && c.before(most) {
			most = c
		}
	}
	return most
}

// last returns the caller's newest.
func (c *caller[T]) last() (i *Item[T]) {
	for _, f := range c.flows {
		if i == nil || f.items.last.number > i.number {
			i = f.items.last
		}
	}
	return i
}

// before reports whether it is the turn of f before that of another lane's: of one caller that of its oldest.
func (f *flow[T]) before(o *flow[T]) bool {
	return f.of.before(o.of) || f.of == o.of && f.items.first.number < o.items.first.number
}

// before reports whether it is the caller's turn before the other's.
func (c *caller[T]) before(o *caller[T]) bool {
	return c.turn < o.turn || c.turn == o.turn && c.since < o.since
}

// The two lists that one which waits is in.
const (
	own     = iota // its caller's in the lane
	overall        // that of all in the lane
)

// list is in the order in which they came.
type list[T any] struct{ first, last *Item[T] }

// insert puts one in where it belongs: at the end, unless it comes from another lane.
func (l *list[T]) insert(i *Item[T], which int) {
	before := l.last
	for before != nil && before.number > i.number {
		before = before.before[which]
	}
	after := l.first
	if before != nil {
		after = before.after[which]
		before.after[which] = i
	} else {
		l.first = i
	}
	if after != nil {
		after.before[which] = i
	} else {
		l.last = i
	}
	i.before[which], i.after[which] = before, after
}

func (l *list[T]) remove(i *Item[T], which int) {
	before, after := i.before[which], i.after[which]
	if before != nil {
		before.after[which] = after
	} else {
		l.first = after
	}
	if after != nil {
		after.before[which] = before
	} else {
		l.last = before
	}
	i.before[which], i.after[which] = nil, nil
}

func (t *turns[T]) Len() int           { return len(t.flows) }
func (t *turns[T]) Less(i, j int) bool { return t.flows[i].of.before(t.flows[j].of) }
func (t *turns[T]) Swap(i, j int) {
	t.flows[i], t.flows[j] = t.flows[j], t.flows[i]
	t.flows[i].at, t.flows[j].at = i, j
}
func (t *turns[T]) Push(x any) {
	f := x.(*flow[T])
	f.at = len(t.flows)
	t.flows = append(t.flows, f)
}
func (t *turns[T]) Pop() any {
	last := len(t.flows) - 1
	f := t.flows[last]
	t.flows = slices.Delete(t.flows, last, last+1)
	return f
}
