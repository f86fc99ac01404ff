// Package fair is a queue in which callers take turns.
package fair

import "container/heap"

// Classes is how many classes a Queue has: 0 … Classes-1, of which the highest goes first.
const Classes = 5

// Queue holds what waits, in the order in which it is served: that of a higher class first. Within one class callers take turns, and of one
// caller the oldest is first, or the newest where Front is asked for that. So a caller with many calls waits for its own, and one with a single
// call for no more than one of each other caller's. The zero value is empty. Not safe for concurrent use.
//
// Source: start-time fair queuing (Goyal, Vin, Cheng, 1996), every call counted as the same work.
type Queue[T any] struct {
	classes [Classes]class[T]
	all     list[T] // in the order in which they came
	waiting int
	count   uint64 // of what came and went
}

// Item is one that waits, or has waited.
type Item[T any] struct {
	Value T

	class         int
	of            *caller[T] // nil once it waits no more
	before, after [2]*Item[T]
}

// class is what waits of one class.
type class[T any] struct {
	callers callers[T]
	by      map[string]*caller[T]
	now     uint64 // the turn of who went last
	waiting int
}

// caller is who has something of one class waiting.
type caller[T any] struct {
	name    string
	items   list[T]
	waiting int
	turn    uint64 // of its next one
	since   uint64 // it waits for that turn: among equals the one that has waited longer goes first
	at      int    // in the heap
}

// Len returns how many wait.
func (q *Queue[T]) Len() int { return q.waiting }

// Add puts one in.
func (q *Queue[T]) Add(value T, class int, name string) *Item[T] {
	cl := &q.classes[class]
	if cl.by == nil {
		cl.by = map[string]*caller[T]{}
	}
	c := cl.by[name]
	q.count++
	if c == nil {
		c = &caller[T]{name: name, turn: cl.now + 1, since: q.count}
		cl.by[name] = c
		heap.Push(&cl.callers, c)
	}
	i := &Item[T]{Value: value, class: class, of: c}
	c.items.push(i, own)
	q.all.push(i, overall)
	c.waiting++
	cl.waiting++
	q.waiting++
	return i
}

// Front returns whose turn it is, the newest of its caller or the oldest; nil where none waits.
func (q *Queue[T]) Front(newest bool) *Item[T] {
	for n := Classes - 1; n >= 0; n-- {
		if cl := &q.classes[n]; cl.waiting > 0 {
			if newest {
				return cl.callers[0].items.last
			}
			return cl.callers[0].items.first
		}
	}
	return nil
}

// Oldest returns the one that came first of all; nil where none waits.
func (q *Queue[T]) Oldest() *Item[T] { return q.all.first }

// Take takes one out that Front has returned: its caller has had its turn.
func (q *Queue[T]) Take(i *Item[T]) {
	cl, c := &q.classes[i.class], i.of
	cl.now = c.turn
	c.turn++
	q.count++
	c.since = q.count
	q.Remove(i)
	if c.waiting > 0 {
		heap.Fix(&cl.callers, c.at)
	}
}

// Remove takes one out that waits; false for one that does not, which changes nothing.
func (q *Queue[T]) Remove(i *Item[T]) bool {
	c := i.of
	if c == nil {
		return false
	}
	cl := &q.classes[i.class]
	i.of = nil
	c.items.remove(i, own)
	q.all.remove(i, overall)
	c.waiting--
	cl.waiting--
	q.waiting--
	if c.waiting == 0 {
		heap.Remove(&cl.callers, c.at)
		delete(cl.by, c.name)
	}
	return true
}

// Victim returns the one that gives way to another of that class and caller: of the lowest class below it in which some wait, the last one of
// whoever has most; in its own class only that of a caller with more than one above what its caller has. nil where none does.
func (q *Queue[T]) Victim(class int, name string) *Item[T] {
	for n := range class {
		if c := q.classes[n].noisiest(); c != nil {
			return c.items.last
		}
	}
	cl, has := &q.classes[class], 0
	if c := cl.by[name]; c != nil {
		has = c.waiting
	}
	if c := cl.noisiest(); c != nil && c.waiting > has+1 {
		return c.items.last
	}
	return nil
}

// noisiest returns who has most waiting; nil where none waits.
func (cl *class[T]) noisiest() (most *caller[T]) {
	for _, c := range cl.callers {
		if most == nil || c.waiting > most.waiting {
			most = c
		}
	}
	return most
}

// The two lists that one which waits is in.
const (
	own     = iota // its caller's
	overall        // that of all
)

// list is in the order in which they came.
type list[T any] struct{ first, last *Item[T] }

func (l *list[T]) push(i *Item[T], which int) {
	i.before[which], i.after[which] = l.last, nil
	if l.last != nil {
		l.last.after[which] = i
	} else {
		l.first = i
	}
	l.last = i
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

// callers is a heap, ordered by turn and then by who waits longest. It implements heap.Interface.
type callers[T any] []*caller[T]

func (h callers[T]) Len() int { return len(h) }
func (h callers[T]) Less(i, j int) bool {
	return h[i].turn < h[j].turn || h[i].turn == h[j].turn && h[i].since < h[j].since
}
func (h callers[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *callers[T]) Push(x any) {
	c := x.(*caller[T])
	c.at = len(*h)
	*h = append(*h, c)
}
func (h *callers[T]) Pop() any {
	old := *h
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return c
}
