package client

import (
	"sync"
	"time"
)

// alarm rings at the deadline of the call that waits. Calls come far more often than deadlines pass: its timer is not touched by a call
// whose deadline is no earlier than the moment that it is set for; where it goes off and that call is over, it is set for the one that
// waits then, or not at all.
type alarm struct {
	rings chan struct{} // capacity 1

	mu       sync.Mutex
	deadline time.Time // of the call that waits; zero: none
	timer    *time.Timer
	goesOff  time.Time // zero: it is not set
}

func newAlarm() alarm { return alarm{rings: make(chan struct{}, 1)} }

// set begins to wait for a deadline; zero: there is none.
func (a *alarm) set(deadline time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.rings: // for a call that is over
	default:
	}
	a.deadline = deadline
	if !deadline.IsZero() && (a.goesOff.IsZero() || deadline.Before(a.goesOff)) {
		a.wind()
	}
}

// wind sets the timer for the deadline. a.mu is held.
func (a *alarm) wind() {
	a.goesOff = a.deadline
	if left := time.Until(a.deadline); a.timer == nil {
		a.timer = time.AfterFunc(left, a.ring)
	} else {
		a.timer.Reset(left)
	}
}

// ring is called when the timer goes off.
func (a *alarm) ring() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.goesOff = time.Time{}
	switch {
	case a.deadline.IsZero():
	case time.Now().Before(a.deadline):
		a.wind()
	default:
		select {
		case a.rings <- struct{}{}:
		default:
		}
	}
}

// clear ends the wait.
func (a *alarm) clear() {
	a.mu.Lock()
	a.deadline = time.Time{}
	a.mu.Unlock()
}

// stop is clear for good: the timer holds nothing any more.
func (a *alarm) stop() {
	a.mu.Lock()
	a.deadline = time.Time{}
	if a.timer != nil {
		a.timer.Stop()
		a.goesOff = time.Time{}
	}
	a.mu.Unlock()
}
