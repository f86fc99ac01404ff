package cluster

import "container/heap"

// turns are the calls that wait for a slot, in the order in which they get one: callers take turns, and of one caller the oldest call is
// first. So a caller with many calls waits for its own, and one with a single call for no more than one of each other caller's. The zero
// value is empty. The cluster's lock guards it.
//
// Source: start-time fair queuing (Goyal, Vin, Cheng, 1996), every call counted as the same work.
type turns struct {
	heap  waiters
	now   uint64 // the turn of the call that went last
	count uint64 // calls that ever came
	by    map[string]*caller
}

// caller is who has calls among the waiting.
type caller struct {
	waiting int
	last    uint64 // the turn of its last call
}

// Len returns how many calls wait.
func (t *turns) Len() int { return len(t.heap) }

// add puts a call in.
func (t *turns) add(w *waiter) {
	if t.by == nil {
		t.by = map[string]*caller{}
	}
	share := w.call.Caller.Share()
	c := t.by[share]
	if c == nil {
		c = &caller{last: t.now}
		t.by[share] = c
	}
	c.waiting++
	c.last = max(c.last, t.now) + 1
	t.count++
	w.turn, w.came = c.last, t.count
	heap.Push(&t.heap, w)
}

// front returns the call whose turn it is; nil where none waits.
func (t *turns) front() *waiter {
	if len(t.heap) == 0 {
		return nil
	}
	return t.heap[0]
}

// take takes the front call out.
func (t *turns) take() {
	t.now = t.heap[0].turn
	t.remove(t.heap[0])
}

// remove takes a call out that waits; it does nothing for one that does not.
func (t *turns) remove(w *waiter) {
	if w.at < 0 {
		return
	}
	heap.Remove(&t.heap, w.at)
	share := w.call.Caller.Share()
	if c := t.by[share]; c.waiting > 1 {
		c.waiting--
	} else {
		delete(t.by, share)
	}
}

// noisier returns the last call of whoever has most calls waiting, if those are more than one above what share has; else nil.
func (t *turns) noisier(share string) *waiter {
	most, who := 1, ""
	if c := t.by[share]; c != nil {
		most += c.waiting
	}
	found := false
	for other, c := range t.by {
		if c.waiting > most {
			most, who, found = c.waiting, other, true
		}
	}
	if !found {
		return nil
	}
	var last *waiter
	for _, w := range t.heap {
		if w.call.Caller.Share() == who && (last == nil || w.turn > last.turn) {
			last = w
		}
	}
	return last
}

// waiters is a heap, ordered by turn and then by age. It implements heap.Interface.
type waiters []*waiter

func (h waiters) Len() int { return len(h) }
func (h waiters) Less(i, j int) bool {
	return h[i].turn < h[j].turn || h[i].turn == h[j].turn && h[i].came < h[j].came
}
func (h waiters) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *waiters) Push(x any) {
	w := x.(*waiter)
	w.at = len(*h)
	*h = append(*h, w)
}
func (h *waiters) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	w.at = -1
	return w
}
