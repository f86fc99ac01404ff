package process

import (
	"maps"
	"slices"
	"time"
)

// State is what a replica is doing. One that has stopped is in no snapshot.
type State string

// The states.
const (
	Starting State = "starting" // its process runs, or is being started, and has not answered
	Ready    State = "ready"    // it is an endpoint
	Backoff  State = "backoff"  // its process ended; another is started at NextStart
	Stopping State = "stopping" // it is no endpoint any more; it drains, or ends
)

// Snapshot is what a set looks like at one moment.
type Snapshot struct {
	Name     string    `json:"name"`
	Target   int       `json:"target"`   // how many replicas are to run
	Replicas []Replica `json:"replicas"` // by number
}

// Replica is one replica in a Snapshot.
type Replica struct {
	Name      string    `json:"name"`
	State     State     `json:"state"`
	Since     time.Time `json:"since"`             // when it came into the state
	PID       int       `json:"pid,omitempty"`     // zero: no process
	Address   string    `json:"address,omitempty"` // where it serves, or served last
	Restarts  int       `json:"restarts"`          // starts after the first
	NextStart time.Time `json:"next_start,omitzero"`
	LastExit  string    `json:"last_exit,omitempty"` // how its process ended last: "exit status 1"
	Output    []string  `json:"output,omitempty"`    // the last lines that it wrote, at most 20
}

// Snapshot returns the set as it is now. The caller owns it.
func (s *Set) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := Snapshot{Name: s.opts.Name, Target: s.target, Replicas: []Replica{}}
	for _, number := range slices.Sorted(maps.Keys(s.replicas)) {
		r := s.replicas[number]
		sight := r.sight
		sight.Output = r.tail.lines()
		snap.Replicas = append(snap.Replicas, sight)
	}
	return snap
}
