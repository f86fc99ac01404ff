package sim

import "time"

// event is something that happens: a call that a replica is done with, or anything else.
type event struct {
	at      time.Duration
	order   uint64 // among those of the same instant
	replica *replica
	turn    uint64
	do      func()
}

// events is a heap.
type events struct {
	heap  []event
	count uint64
}

func (e *events) Len() int            { return len(e.heap) }
func (e *events) next() time.Duration { return e.heap[0].at }

func (e *events) less(i, j int) bool {
	a, b := &e.heap[i], &e.heap[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (e *events) push(x event) {
	e.count++
	x.order = e.count
	e.heap = append(e.heap, x)
	for i := len(e.heap) - 1; i > 0; {
		up := (i - 1) / 4
		if !e.less(i, up) {
			return
		}
		e.heap[i], e.heap[up] = e.heap[up], e.heap[i]
		i = up
	}
}

func (e *events) pop() event {
	top := e.heap[0]
	last := len(e.heap) - 1
	e.heap[0] = e.heap[last]
	e.heap[last] = event{}
	e.heap = e.heap[:last]
	for i := 0; ; {
		least := i
		for c := 4*i + 1; c <= 4*i+4 && c < last; c++ {
			if e.less(c, least) {
				least = c
			}
		}
		if least == i {
			return top
		}
		e.heap[i], e.heap[least] = e.heap[least], e.heap[i]
		i = least
	}
}
