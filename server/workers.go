package server

import (
	"slices"
	"sync"
	"time"
)

const (
	maxIdle  = 256         // bounds the workers that wait for a call. Each holds a few KiB of stack
	trimming = time.Second // between two looks at how many of those were not needed
)

// workers run calls, each on a goroutine that no other call has meanwhile. One that is through waits for the next call, since its stack has
// grown to what a call needs: to grow a new goroutine's cost a sixth of the CPU of a forwarded call.
type workers struct {
	all sync.WaitGroup

	mu    sync.Mutex
	idle  []chan *exchange // of those that wait; the last that began to wait is the first to go on
	least int              // of those that waited since the last look
	look  *time.Timer      // the next one; nil while nobody waits
	ended bool
}

// run has a worker run x.
func (w *workers) run(x *exchange) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		calls := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.least = min(w.least, n-1)
		w.mu.Unlock()
		calls <- x // the worker waits
		return
	}
	w.mu.Unlock()
	w.all.Go(func() { w.work(x) })
}

// work runs x, and then whatever the worker is handed.
func (w *workers) work(x *exchange) {
	var calls chan *exchange
	for x != nil {
		x.conn.run(x)
		x = nil //nolint:wastedassign // who waits holds no message
		if calls = w.wait(calls); calls == nil {
			return
		}
		x = <-calls // nil once it is closed
	}
}

// wait makes the caller one of those that wait for a call, with a channel of its own; nil: there are enough.
func (w *workers) wait(calls chan *exchange) chan *exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || len(w.idle) >= maxIdle {
		return nil
	}
	if calls == nil {
		calls = make(chan *exchange, 1)
	}
	w.idle = append(w.idle, calls)
	if w.look == nil {
		w.look = time.AfterFunc(trimming, w.trim)
	}
	return calls
}

// trim ends the workers that had nothing to do since the last look: those that have waited longest.
func (w *workers) trim() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, calls := range w.idle[:w.least] {
		close(calls)
	}
	w.idle = slices.Delete(w.idle, 0, w.least)
	if w.least = len(w.idle); w.least == 0 || w.ended {
		w.look = nil
		return
	}
	w.look.Reset(trimming)
}

// end waits until all calls are through. What is run after it has a goroutine of its own, and is waited for by another end.
func (w *workers) end() {
	w.mu.Lock()
	w.ended = true
	for _, calls := range w.idle {
		close(calls)
	}
	w.idle, w.least = nil, 0
	if w.look != nil {
		w.look.Stop()
	}
	w.mu.Unlock()
	w.all.Wait()
}
