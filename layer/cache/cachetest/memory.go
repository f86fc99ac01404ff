package cachetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
)

// Memory is a store in memory, as a test double of those that gateways share. Its time is that of package time, so that a test may have a
// virtual one. The zero value is an empty one whose Stores do not track.
type Memory struct {
	Tracks bool
	// Before, if set, is called before each operation of a Store, by its name ("Get"), without a lock: it may wait, and its error is that of
	// the operation.
	Before func(ctx context.Context, op string) error

	mu       sync.Mutex
	values   map[cache.ID]value
	leases   map[cache.ID]lease
	versions map[cache.ID]uint64
	stores   []*store
}

type value struct {
	b    []byte
	ends time.Time
}

type lease struct {
	token uint64
	ends  time.Time
}

// Open returns a client of the store. What it tells is called while the store is locked.
func (m *Memory) Open(events cache.Events) cache.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values, m.leases, m.versions = map[cache.ID]value{}, map[cache.ID]lease{}, map[cache.ID]uint64{}
	}
	s := &store{m: m, events: events, asked: map[cache.ID]bool{}}
	m.stores = append(m.stores, s)
	return s
}

// Lose drops the connections of all Stores: what they were asked for is not tracked any more.
func (m *Memory) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.stores {
		clear(s.asked)
		if m.Tracks && s.events.Lost != nil {
			s.events.Lost()
		}
	}
}

// Set puts any value in place of one, as another program would.
func (m *Memory) Set(key cache.ID, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = value{slices.Clone(b), time.Now().Add(time.Hour)}
	m.changed(key)
}

// Values returns what is kept.
func (m *Memory) Values() map[cache.ID][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[cache.ID][]byte{}
	for k, v := range m.values {
		if time.Now().Before(v.ends) {
			all[k] = slices.Clone(v.b)
		}
	}
	return all
}

// changed tells who has asked. m.mu is held.
func (m *Memory) changed(ids ...cache.ID) {
	if !m.Tracks {
		return
	}
	for _, s := range m.stores {
		for _, id := range ids {
			if s.asked[id] && s.events.Changed != nil {
				s.events.Changed([]cache.ID{id})
			}
			delete(s.asked, id)
		}
	}
}

type store struct {
	m      *Memory
	events cache.Events
	asked  map[cache.ID]bool
}

// enter begins an operation; leave ends it.
func (s *store) enter(ctx context.Context, op string) error {
	if s.m.Before != nil {
		if err := s.m.Before(ctx, op); err != nil {
			return err
		}
	}
	s.m.mu.Lock()
	if err := ctx.Err(); err != nil {
		s.m.mu.Unlock()
		return err
	}
	return nil
}

func (s *store) leave() { s.m.mu.Unlock() }

func (s *store) Tracks() bool { return s.m.Tracks }

func (s *store) Get(ctx context.Context, key cache.ID, groups []cache.ID) (cache.Stored, error) {
	if err := s.enter(ctx, "Get"); err != nil {
		return cache.Stored{}, err
	}
	defer s.leave()
	s.asked[key] = true
	out := cache.Stored{Versions: make([]uint64, len(groups))}
	if v, ok := s.m.values[key]; ok && time.Now().Before(v.ends) {
		out.Value = bytes.Clone(v.b)
	}
	for i, g := range groups {
		s.asked[g] = true
		out.Versions[i] = s.m.versions[g]
	}
	return out, nil
}

func (s *store) Acquire(ctx context.Context, key cache.ID, groups []cache.ID, term time.Duration) (cache.Lease, error) {
	if err := s.enter(ctx, "Acquire"); err != nil {
		return cache.Lease{}, err
	}
	defer s.leave()
	if now := time.Now(); now.Before(s.m.leases[key].ends) {
		return cache.Lease{}, nil
	}
	l := cache.Lease{Token: version(), Versions: make([]uint64, len(groups))}
	s.m.leases[key] = lease{l.Token, time.Now().Add(term)}
	for i, g := range groups {
		s.asked[g] = true
		if s.m.versions[g] == 0 {
			s.m.versions[g] = version()
		}
		l.Versions[i] = s.m.versions[g]
	}
	return l, nil
}

// holds reports whether a lease does. s.m.mu is held.
func (s *store) holds(key cache.ID, l cache.Lease) bool {
	now := s.m.leases[key]
	return l.Token != 0 && now.token == l.Token && time.Now().Before(now.ends)
}

func (s *store) Extend(ctx context.Context, key cache.ID, l cache.Lease, term time.Duration) error {
	if err := s.enter(ctx, "Extend"); err != nil {
		return err
	}
	defer s.leave()
	if s.holds(key, l) {
		s.m.leases[key] = lease{l.Token, time.Now().Add(term)}
	}
	return nil
}

func (s *store) Put(ctx context.Context, key cache.ID, l cache.Lease, b []byte, life time.Duration) (bool, error) {
	if err := s.enter(ctx, "Put"); err != nil {
		return false, err
	}
	defer s.leave()
	if !s.holds(key, l) {
		return false, nil
	}
	delete(s.m.leases, key)
	s.m.values[key] = value{bytes.Clone(b), time.Now().Add(life)}
	delete(s.asked, key) // it knows of this change, and is told of the next one
	s.m.changed(key)
	s.asked[key] = true
	return true, nil
}

func (s *store) Release(ctx context.Context, key cache.ID, l cache.Lease) error {
	if err := s.enter(ctx, "Release"); err != nil {
		return err
	}
	defer s.leave()
	if s.holds(key, l) {
		delete(s.m.leases, key)
	}
	return nil
}

func (s *store) Delete(ctx context.Context, keys ...cache.ID) error {
	if err := s.enter(ctx, "Delete"); err != nil {
		return err
	}
	defer s.leave()
	for _, k := range keys {
		delete(s.m.values, k)
		delete(s.m.leases, k)
	}
	s.m.changed(keys...)
	return nil
}

func (s *store) Invalidate(ctx context.Context, groups ...cache.ID) error {
	if err := s.enter(ctx, "Invalidate"); err != nil {
		return err
	}
	defer s.leave()
	for _, g := range groups {
		s.m.versions[g] = version()
	}
	s.m.changed(groups...)
	return nil
}

func version() uint64 { return max(1, rand.Uint64()) }

// Map is a Near without a bound, as a test double. The zero value is an empty one.
type Map struct {
	mu  sync.Mutex
	all map[cache.ID]*cache.Entry
}

// Get implements cache.Near.
func (m *Map) Get(key cache.ID) *cache.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.all[key]; e != nil && time.Now().Before(e.Until()) {
		return e
	}
	return nil
}

// Put implements cache.Near.
func (m *Map) Put(key cache.ID, e *cache.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[cache.ID]*cache.Entry{}
	}
	m.all[key] = e
}

// Delete implements cache.Near.
func (m *Map) Delete(key cache.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, key)
}

// Clear implements cache.Near.
func (m *Map) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.all)
}

// Usage implements cache.Near.
func (m *Map) Usage() cache.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := cache.Usage{Entries: len(m.all)}
	for _, e := range m.all {
		u.Bytes += int64(e.Bytes())
	}
	return u
}

// ErrAway is for a Before that plays a store which cannot be reached.
var ErrAway = errors.New("the store is away")
