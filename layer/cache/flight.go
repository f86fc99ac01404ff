package cache

import (
	"sync"

	"github.com/thriftloom/thriftloom/rpc"
)

// flight is a load that calls wait for.
type flight struct {
	mark  uint64 // of the journal when it began: a call that comes after what it loads was made void does not wait for it
	owner string // who it is made for: what only that caller is refused is not told to others
	done  chan struct{}
	landed
}

// landed is what a load came to.
type landed struct {
	entry *Entry
	how   rpc.CacheResult
	err   *rpc.Error
	own   bool // err says nothing of the call of another
}

// flights are the loads under way. The zero value has none.
type flights struct {
	shards [64]struct {
		mu  sync.Mutex
		all map[ID]*flight
	}
}

// join returns the flight of a key that a call may wait for, or else a new one, which the call has to make.
func (f *flights) join(key ID, owner string, j *journal, groups []ID) (at *flight, mine bool) {
	s := &f.shards[key[0]%64]
	s.mu.Lock()
	defer s.mu.Unlock()
	if at = s.all[key]; at != nil && j.holds(at.mark, key, groups) {
		return at, false
	}
	if s.all == nil {
		s.all = map[ID]*flight{}
	}
	at = &flight{mark: j.mark(), owner: owner, done: make(chan struct{})}
	s.all[key] = at
	return at, true
}

// land ends a flight: who waits for it goes on.
func (f *flights) land(key ID, at *flight, with landed) {
	s := &f.shards[key[0]%64]
	s.mu.Lock()
	if s.all[key] == at {
		delete(s.all, key)
	}
	s.mu.Unlock()
	at.landed = with
	close(at.done)
}
