package limit

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// State is what is known of the calls so far. It outlives a change of the rules: those that stay go on as they are.
type State struct {
	Store Store
	// Limited, if set, is told of each call that is refused, and by what: service, method, caller, argument, header or max_in_flight. It is to
	// be quick.
	Limited func(call *rpc.Call, by string)
	// OnShared, if set, is told when the store that gateways share is not asked any more, and why, and when it is again, with nil. It is to be
	// quick.
	OnShared func(err error)

	shared atomic.Pointer[Fallback] // nil: there is none
	local  Local                    // where that fails

	mu      sync.Mutex
	flights map[Key]int   // calls under way of each rule with in_flight: no more keys than calls
	gates   map[Key]*gate // of each method that ever had a max_in_flight
}

// NewState returns a state that keeps its buckets in the process.
func NewState() *State { return &State{Store: &Local{}} }

// Share makes store the one that gateways share, of rules that ask for it; nil takes it away: they are counted in the process then, as they are
// while it fails. patience is Fallback's.
func (s *State) Share(store Store, patience time.Duration) {
	if store == nil {
		s.shared.Store(nil)
		return
	}
	s.shared.Store(&Fallback{Store: store, Local: &s.local, Patience: patience, OnState: s.OnShared})
}

// storeOf returns the store that has a rule's buckets.
func (s *State) storeOf(r *Rule) Store {
	if r.Store != sharedStore {
		return s.Store
	}
	if f := s.shared.Load(); f != nil {
		return f
	}
	return &s.local
}

// sharedStore is how a rule asks for the store that gateways share.
const sharedStore = "redis"

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
