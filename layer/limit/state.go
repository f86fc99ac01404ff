package limit

import (
	"sync"

	"github.com/thriftloom/thriftloom/rpc"
)

// State is what is known of the calls so far. It outlives a change of the rules: those that stay go on as they are.
type State struct {
	Store Store
	// Limited, if set, is told of each call that is refused, and by what: service, method, caller, argument, header or max_in_flight. It is to
	// be quick.
	Limited func(call *rpc.Call, by string)

	mu      sync.Mutex
	flights map[Key]int   // calls under way of each rule with in_flight: no more keys than calls
	gates   map[Key]*gate // of each method that ever had a max_in_flight
}

// NewState returns a state that keeps its buckets in the process.
func NewState() *State { return &State{Store: &Local{}} }

// start counts a call in; false where there are as many already.
func (s *State) start(k Key, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[k] >= most {
		return false
	}
	if s.flights == nil {
		s.flights = map[Key]int{}
	}
	s.flights[k]++
	return true
}

// end counts a call out.
func (s *State) end(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[k]--; s.flights[k] == 0 {
		delete(s.flights, k)
	}
}

// gate returns the gate of a method, with bounds that are new; nil where there are none. Calls that wait at one that is not asked for any more
// get their turn.
func (s *State) gate(service, method string, b Bounds) *gate {
	if b.InFlight == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := Key{service, method}
	g := s.gates[k]
	if g == nil {
		if s.gates == nil {
			s.gates = map[Key]*gate{}
		}
		g = &gate{}
		s.gates[k] = g
	}
	g.set(b)
	return g
}

func (s *State) refused(call *rpc.Call, by string) {
	if s.Limited != nil {
		s.Limited(call, by)
	}
}
