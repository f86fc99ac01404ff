package hedge

import (
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/internal/quantile"
)

const (
	enough   = 100              // samples without which nothing is known of how long a method takes
	refresh  = 32               // samples after which that is looked at anew
	minDelay = time.Millisecond // a second attempt so soon costs more than it saves
	one      = 100              // what a hedge costs: each call puts in its percentage
	saved    = 100 * one        // at most: hedges that were not needed
)

// State is what is known of the methods of one service. It outlives a reload. Make one with NewState.
type State struct {
	mu      sync.Mutex
	methods map[string]*Method
}

// NewState returns the state of a service that nobody has called.
func NewState() *State { return &State{methods: map[string]*Method{}} }

// Method returns what is known of one method. Those that are asked for are kept: they are methods of an IDL.
func (s *State) Method(name string) *Method {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.methods[name]
	if m == nil {
		m = new(Method)
		s.methods[name] = m
	}
	return m
}

// Method is how long first attempts of one method took lately, and how many hedges its calls may have. The zero value knows nothing and allows
// none. Safe for concurrent use.
type Method struct {
	mu      sync.Mutex
	took    quantile.Sketch
	samples int           // that were ever taken in
	percent int           // that delay is for
	delay   time.Duration // zero: not known
	purse   int           // what calls have put in; there is no reserve, so that hedges are never more than their percentage
	counts  Counts
}

// Counts are the hedges of one method.
type Counts struct {
	Sent       int64 // attempts that were made, and have ended
	Won        int64 // of these, those whose reply came first
	OverBudget int64 // calls that were late, and found the budget of the method or of the upstream used up
	Busy       int64 // … and found no slot to spare
}

// begin puts in what one call is worth, and returns after what time it is late: zero where that is not known yet.
func (m *Method) begin(percent int) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.purse = min(saved, m.purse+percent)
	if m.samples >= enough && m.percent != percent {
		m.look(percent)
	}
	m.percent = percent
	return m.delay
}

// sample takes in how long a first attempt took.
func (m *Method) sample(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took.Add(took)
	if m.samples++; m.samples == enough || m.samples > enough && m.samples%refresh == 0 {
		m.look(m.percent)
	}
}

// look finds the delay. m.mu is held.
func (m *Method) look(percent int) {
	m.delay = max(minDelay, m.took.Quantile(1-float64(percent)/100))
}

// take takes a hedge out; false where there is none.
func (m *Method) take() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.purse < one {
		return false
	}
	m.purse -= one
	return true
}

// giveBack puts in again what was taken for a hedge that was not sent.
func (m *Method) giveBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.purse = min(saved, m.purse+one)
}

// count adds to one of the counts.
func (m *Method) count(add func(*Counts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	add(&m.counts)
}

// Snapshot returns the counts, and after what time a call is late by what was learned: zero where that is not known yet.
func (m *Method) Snapshot() (Counts, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts, m.delay
}
