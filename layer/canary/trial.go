package canary

import (
	"sync"
	"sync/atomic"

	"github.com/thriftloom/thriftloom/rpc"
)

const (
	lately = 100 // attempts that are looked at, on either side
	enough = 20  // of the canary's, before anything follows from them
)

// Trial ends a canary that fails: when of its last hundred attempts, twenty at least, so many percent more have failed than of the main
// upstream's last hundred. It has ended for good then. Make one with NewTrial; safe for concurrent use.
type Trial struct {
	above float64
	ended func(canary, main float64)

	stopped      atomic.Bool
	mu           sync.Mutex
	canary, main window
}

// NewTrial returns the trial that ends where the canary fails in above percent more of its attempts than the main upstream. ended is told of
// it once, with what percent of either's have failed.
func NewTrial(above float64, ended func(canary, main float64)) *Trial {
	return &Trial{above: above, ended: ended}
}

// Stopped reports whether the canary has ended. A nil trial never does.
func (t *Trial) Stopped() bool { return t != nil && t.stopped.Load() }

// saw takes in what became of an attempt.
func (t *Trial) saw(canary bool, e *rpc.Error) {
	if t == nil || t.stopped.Load() || blameless(e) {
		return
	}
	t.mu.Lock()
	if !canary {
		t.main.add(e != nil)
		t.mu.Unlock()
		return
	}
	t.canary.add(e != nil)
	failed, others := t.canary.percent(), t.main.percent()
	end := t.canary.n >= enough && failed > others+t.above && t.stopped.CompareAndSwap(false, true)
	t.mu.Unlock()
	if end {
		t.ended(failed, others)
	}
}

// blameless reports whether an error says nothing of the upstream: the caller has gone, the call was none, or this machine is at its limit.
func blameless(e *rpc.Error) bool {
	return e != nil && (e.Code == rpc.Cancelled || e.Code == rpc.Malformed && e.Reach == rpc.NotSent || e.Outcome == rpc.LocalLimit)
}

// window is the last attempts.
type window struct {
	failed [lately]bool
	next   int
	n, bad int
}

func (w *window) add(failed bool) {
	if w.n == lately && w.failed[w.next] {
		w.bad--
	}
	if failed {
		w.bad++
	}
	w.failed[w.next], w.next, w.n = failed, (w.next+1)%lately, min(w.n+1, lately)
}

func (w *window) percent() float64 {
	if w.n == 0 {
		return 0
	}
	return 100 * float64(w.bad) / float64(w.n)
}
