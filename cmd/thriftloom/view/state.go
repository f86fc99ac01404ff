// Package view draws a running fleet on a terminal: one frame, refreshed in place, of plain data. Render is a pure function; Screen puts
// its frames on the terminal.
package view

import "time"

// State is what one frame shows. Texts may come from anywhere: control characters in them are not passed to the terminal.
type State struct {
	Title    string        // "thriftloom demo"
	Elapsed  time.Duration // since the start
	Gateway  string        // address for callers; "" is not shown
	Admin    string        // address of the dashboard; "" is not shown
	Replicas []Replica
	Total    Total
	Rates    []float64 // calls a second, one value a second, oldest first; the last 60 are drawn
	Events   []Event   // oldest first, At never falling; as many of the last as there is room for
	Tour     *Caption  // nil: none
	Footer   string    // a last, dim line: how to end; "" is not shown
}

// Replica is one row.
type Replica struct {
	Name     string
	State    string // ready, starting, draining, restarting, failed, stopped, …
	PID      int    // zero: no process
	InFlight int
	Slots    int     // zero: not known
	Rate     float64 // calls a second
	P50, P99 time.Duration
	Restarts int
}

// Total is all replicas together, as callers see them.
type Total struct {
	Rate     float64 // calls a second
	P50, P99 time.Duration
	Errors   int64
	InFlight int
	Queue    int // calls that wait for a slot
}

// Event is one line of the log.
type Event struct {
	At   time.Time
	Text string
	Warn bool // something failed
}

// Caption says what a guided tour shows now.
type Caption struct {
	Step, Steps int
	Text        string
	Config      []string // the lines of the file that did it
}
