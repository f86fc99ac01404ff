package netio

import (
	"testing"
	"testing/synctest"
	"time"
)

// A busy loop takes in so many connections a turn; who adds more waits for the next turn, or for a bounded time where none comes. A loop at
// rest takes in any number.
func TestLoopAdmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loop{}
		took := func(what string, want time.Duration) {
			t.Helper()
			start := time.Now()
			l.admit()
			if got := time.Since(start); got != want {
				t.Errorf("%s: waited %v, want %v", what, got, want)
			}
		}
		for range loopAhead {
			took("within a turn's share", 0)
		}
		took("beyond it, and no turn comes", loopWait)

		go func() { time.Sleep(loopWait / 2); l.turn() }()
		took("beyond it, until the turn", loopWait/2)
		for range loopAhead {
			took("in the next turn", 0)
		}

		l.sleeping = true
		for range 10 * loopAhead {
			took("while it is at rest", 0)
		}
	})
}
