package keyring

import "time"

// State is how a certificate stands in time.
type State uint8

// The states.
const (
	Valid State = iota
	Soon        // to be renewed by now
	Over
	Early // not valid yet
)

// longest bounds how long before its end a certificate is to be renewed: a quarter of its life, and a month at most. Tools that
// renew do so when a third of the life is left, so that less than a quarter means that they have stopped.
const longest = 30 * 24 * time.Hour

// At returns the state at a time.
func (f *Fact) At(now time.Time) State {
	switch left := f.NotAfter.Sub(now); {
	case now.Before(f.NotBefore):
		return Early
	case left <= 0:
		return Over
	case left < min(longest, f.NotAfter.Sub(f.NotBefore)/4):
		return Soon
	}
	return Valid
}
