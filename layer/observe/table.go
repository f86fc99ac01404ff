package observe

import (
	"maps"
	"sync"
	"sync/atomic"
)

// table is a map that is read all the time and grows seldom: reading takes no lock. The zero value is empty. Safe for concurrent use.
type table[K comparable, V any] struct {
	now    atomic.Pointer[map[K]V] // what it points to is not changed
	adding sync.Mutex
}

// get returns the value of k, which make makes where there is none.
func (t *table[K, V]) get(k K, make func() V) V {
	if v, ok := t.find(k); ok {
		return v
	}
	t.adding.Lock()
	defer t.adding.Unlock()
	if v, ok := t.find(k); ok {
		return v
	}
	v := make()
	next := map[K]V{k: v}
	maps.Copy(next, t.all())
	t.now.Store(&next)
	return v
}

func (t *table[K, V]) find(k K) (V, bool) {
	v, ok := t.all()[k]
	return v, ok
}

// all returns the map, which is not to be changed.
func (t *table[K, V]) all() map[K]V {
	if m := t.now.Load(); m != nil {
		return *m
	}
	return nil
}
