package redis

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// memory is what one gateway has of replies in its memory, as simple as can be: what changed while a reply was asked for is not kept.
type memory struct {
	store   *Store
	mu      sync.Mutex
	kept    map[cache.ID]uint64 // by key; all are of one group
	changes int
}

func (m *memory) events() cache.Events {
	return cache.Events{
		Changed: func(ids []cache.ID) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.changes++
			for _, id := range ids {
				if delete(m.kept, id); id == group {
					clear(m.kept)
				}
			}
		},
		Lost: func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.changes++
			clear(m.kept)
		},
	}
}

func (m *memory) mark() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

func (m *memory) keep(key cache.ID, value uint64, mark int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mark == m.changes {
		m.kept[key] = value
	}
}

// fact is something that changes, and of which replies tell.
type fact struct {
	key      cache.ID
	now      atomic.Uint64 // what is true
	told     atomic.Uint64 // what was true when the store was last told of a change
	changing sync.Mutex
}

func (f *fact) change(ctx context.Context, s *Store, random *rand.Rand) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	now := f.now.Add(1)
	err := s.Delete(ctx, f.key)
	if random.IntN(4) == 0 {
		err = s.Invalidate(ctx, group)
	}
	f.told.Store(now)
	return err
}

func (m *memory) load(ctx context.Context, f *fact) error {
	mark := m.mark()
	l, err := m.store.Acquire(ctx, f.key, []cache.ID{group}, time.Minute)
	if err != nil || l.Token == 0 {
		return err
	}
	value := f.now.Load()
	kept, err := m.store.Put(ctx, f.key, l, binary.BigEndian.AppendUint64([]byte(text(value)), l.Versions[0]), time.Minute)
	if kept {
		m.keep(f.key, value, mark)
	}
	return err
}

func (m *memory) get(ctx context.Context, f *fact) error {
	mark := m.mark()
	got, err := m.store.Get(ctx, f.key, []cache.ID{group})
	if err == nil && got.Value != nil && number(got.Value[8:]) == got.Versions[0] {
		m.keep(f.key, number(got.Value[:8]), mark)
	}
	return err
}

// step does one thing at random.
func (m *memory) step(ctx context.Context, facts []*fact, random *rand.Rand) error {
	f := facts[random.IntN(len(facts))]
	switch random.IntN(8) {
	case 0:
		return f.change(ctx, m.store, random)
	case 1, 2, 3:
		return m.load(ctx, f)
	default:
		return m.get(ctx, f)
	}
}

// No gateway keeps in its memory what others, or itself, have changed since, whatever runs beside what.
func TestNothingIsMissed(t *testing.T) {
	r := peertest.StartRedis(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const gateways, workers, rounds, steps = 3, 3, 60, 8
	facts := []*fact{{key: cache.ID{1}}, {key: cache.ID{2}}}
	var memories []*memory
	for range gateways {
		m := &memory{kept: map[cache.ID]uint64{}}
		m.store = open(t, at(r.Address), m.events())
		memories = append(memories, m)
	}
	for round := range uint64(rounds) {
		var all sync.WaitGroup
		for w := range gateways * workers {
			random := rand.New(rand.NewPCG(seed, round<<32+uint64(w)))
			all.Go(func() {
				for range steps {
					if err := memories[w%gateways].step(t.Context(), facts, random); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		peertest.Eventually(t, "what is old has gone", func() bool { return current(memories, facts) })
	}
}

// current reports whether nothing that is kept is older than the last change.
func current(memories []*memory, facts []*fact) bool {
	for _, m := range memories {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, f := range facts {
			if value, kept := m.kept[f.key]; kept && value < f.told.Load() {
				return false
			}
		}
	}
	return true
}
