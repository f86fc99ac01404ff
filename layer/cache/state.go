package cache

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// State is what is known of the calls so far: the replies that are kept, the loads under way, and what was made void. It outlives a change
// of policies. Make one with NewState; safe for concurrent use.
type State struct {
	options Options
	near    atomic.Pointer[Near] // nil: nothing is kept in this process
	journal journal
	flights flights
	counts  counts

	loads sync.WaitGroup // under way

	changing sync.Mutex
	stores   atomic.Pointer[map[string]*guard] // by the name that Config.Store has for them
}

// Options are what a State is made of.
type Options struct {
	Near Near // nil: nothing is kept in this process, until Keep
	// OnStore, if set, is told when a store is not asked any more and why, and with nil when it is again. It is to be quick.
	OnStore func(store string, err error)
	// OnVoid, if set, is told what Purge and calls that invalidate make void, for gateways that share no store. It is to be quick.
	OnVoid func(ids []ID)
	// Random returns numbers from 0 to below 1. Safe for concurrent use; nil: the process's own.
	Random func() float64
}

// NewState returns a state that has kept nothing yet.
func NewState(o Options) *State {
	s := &State{options: o}
	s.stores.Store(&map[string]*guard{})
	if o.Near != nil {
		s.Keep(o.Near)
	}
	return s
}

// Keep makes near the memory of this process for replies.
func (s *State) Keep(near Near) { s.near.Store(&near) }

// Events returns what the store of that name has to tell the state. It is made before the store is.
func (s *State) Events(store string) Events {
	return Events{
		Changed: s.Void,
		Lost: func() {
			if g := s.store(store); g != nil {
				s.journal.floor(&g.floor)
			}
		},
	}
}

// Use makes store the one of that name, in place of one before, of which nothing that it has kept or told holds any more; nil takes it away.
// It closes neither. patience bounds how long a call waits for it at one time; zero: DefaultPatience.
func (s *State) Use(name string, store Store, patience time.Duration) {
	s.changing.Lock()
	defer s.changing.Unlock()
	all := maps.Clone(*s.stores.Load())
	if old := all[name]; old != nil {
		s.journal.floor(&old.floor)
		old.close()
		delete(all, name)
	}
	if store != nil {
		var onState func(error)
		if s.options.OnStore != nil {
			onState = func(err error) { s.options.OnStore(name, err) }
		}
		all[name] = newGuard(name, store, cmp.Or(patience, DefaultPatience), onState)
	}
	s.stores.Store(&all)
}

// Close ends what looks after stores that are away, and returns when the loads under way have ended. No call may come in any more.
func (s *State) Close() {
	for name := range *s.stores.Load() {
		s.Use(name, nil, 0)
	}
	s.loads.Wait()
}

// near is the name of no store.
const near = "near"

// order is which store is meant where none is named.
var order = [...]string{"redis", "memcached"}

// store returns the store of that name; "" is the first of order that there is. nil: replies are kept in this process alone.
func (s *State) store(name string) *guard {
	all := *s.stores.Load()
	if name != "" {
		return all[name]
	}
	for _, name := range order {
		if g := all[name]; g != nil {
			return g
		}
	}
	return nil
}

func (s *State) random() float64 {
	if s.options.Random != nil {
		return s.options.Random()
	}
	return rand.Float64()
}

// Void makes replies and groups void here, as another gateway says. It is quick.
func (s *State) Void(ids []ID) {
	s.journal.void(ids...)
	if near := s.near.Load(); near != nil {
		for _, id := range ids {
			(*near).Delete(id)
		}
	}
}

// VoidAll makes all that was found out before void here: what other gateways have made void may have been missed. What stores keep they keep,
// and it may be found out there anew. It is quick.
func (s *State) VoidAll() {
	s.journal.floor(&s.journal.all)
	if near := s.near.Load(); near != nil {
		(*near).Clear()
	}
}

// void makes replies and groups void here at once, and in the stores, with the error of one that could not be told yet: it will be. service
// stands for them where too much is owed.
func (s *State) void(ctx context.Context, keys, groups []ID, service ID) (err error) {
	if len(keys)+len(groups) == 0 {
		return nil
	}
	all := append(keys[:len(keys):len(keys)], groups...)
	s.Void(all)
	if s.options.OnVoid != nil {
		s.options.OnVoid(all)
	}
	stores := *s.stores.Load()
	for _, g := range stores {
		err = cmp.Or(err, g.makeVoid(ctx, keys, groups, service))
	}
	if len(stores) > 0 {
		s.Void(all) // what was found in a store before it knew
	}
	return err
}

// Untold reports whether replies under a policy are kept in this process of which no store tells what changes.
func (s *State) Untold(p Policy) bool {
	if p.rules == nil || !p.keeps() {
		return false
	}
	g := s.store(p.Store)
	return g == nil || p.NearTTL != 0 && !g.store.Tracks()
}

// find returns what this process has kept of a reply, if it still holds.
func (s *State) find(key ID) *Entry {
	near := s.near.Load()
	if near == nil {
		return nil
	}
	e := (*near).Get(key)
	if e == nil || !s.holds(e, key) {
		return nil
	}
	return e
}

func (s *State) holds(e *Entry, key ID) bool {
	return s.journal.holds(e.mark, key, e.Groups) && (e.store == nil || e.mark >= e.store.floor.Load())
}

// keep keeps a reply in this process.
func (s *State) keep(key ID, e *Entry) {
	near := s.near.Load()
	if near == nil || e.far || !s.holds(e, key) {
		return
	}
	if e.counts != nil {
		e.counts.entries.Add(1)
		e.counts.bytes.Add(int64(e.Bytes()))
	}
	(*near).Put(key, e)
}

// Usage returns what is kept in this process.
func (s *State) Usage() Usage {
	if near := s.near.Load(); near != nil {
		return (*near).Usage()
	}
	return Usage{}
}

// Counts returns what was counted of each method.
func (s *State) Counts() map[rpc.MethodKey]MethodCounts { return s.counts.snapshot() }

// StoreState is how it is with a store.
type StoreState struct {
	Away   bool // it did not answer in time, and is not asked
	Owed   int  // keys and groups that it has still to be told are void
	Tracks bool // it tells what others change
}

// Stores returns how it is with the stores, by name.
func (s *State) Stores() map[string]StoreState {
	out := map[string]StoreState{}
	for name, g := range *s.stores.Load() {
		away, owed := g.state()
		out[name] = StoreState{away, owed, g.store.Tracks()}
	}
	return out
}
