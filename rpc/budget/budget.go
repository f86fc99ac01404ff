// Package budget bounds the attempts that an upstream is asked for beside the first one of each call, whoever starts them: retries and hedges.
package budget

import (
	"math"
	"sync"
	"time"
)

const (
	budgetLife = 10 * time.Second // after which what calls have put in has faded to a third
	reserve    = 100              // tries that are there after a time of rest, however few calls there were: as many as one process may have had in flight
	refill     = 5                // tries a second, up to the reserve
)

// Budget bounds the tries of calls that may have been processed before, or are under way, in all calls that share it: where an endpoint fails
// a few calls, or is late, they are tried elsewhere, and where a whole fleet fails, tries do not add a second load to the first. Each call puts
// a part of a try in.
//
// The zero value is a budget with its reserve. Safe for concurrent use.
//
// Source: Finagle's retry budget, with a decay in place of its window.
type Budget struct {
	mu      sync.Mutex
	tries   float64
	at      time.Time // tries are as of then; zero: never
	refused int64
}

// Deposit puts in what one call is worth, in hundredths of a try.
func (b *Budget) Deposit(percent int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(now)
	b.tries += float64(percent) / 100
}

// Take takes a try out; false where there is none.
func (b *Budget) Take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(now)
	if b.tries < 1 {
		b.refused++
		return false
	}
	b.tries--
	return true
}

// Return puts a try back that was taken, and not made.
func (b *Budget) Return() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
}

// Refused returns how many tries there were not.
func (b *Budget) Refused() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}

// settle brings the budget up to now. b.mu is held.
func (b *Budget) settle(now time.Time) {
	if b.at.IsZero() {
		b.tries, b.at = reserve, now
		return
	}
	passed := now.Sub(b.at).Seconds()
	if passed <= 0 {
		return
	}
	b.at = now
	if b.tries > reserve {
		b.tries = max(reserve, b.tries*math.Exp(-passed/budgetLife.Seconds()))
	} else {
		b.tries = min(reserve, b.tries+refill*passed)
	}
}
