package near_test

import (
	"container/list"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
)

// A trace draws gets keys of keys that are asked for, one after the other.
type trace func(random *rand.Rand, keys, gets uint64) []uint64

// zipf asks for the key of rank r in proportion to r^-s.
func zipf(s float64) trace {
	return func(random *rand.Rand, keys, gets uint64) []uint64 {
		sums := make([]float64, keys)
		var sum float64
		for r := range sums {
			sum += math.Pow(float64(r+1), -s)
			sums[r] = sum
		}
		all := make([]uint64, gets)
		for i := range all {
			all[i] = uint64(sort.SearchFloat64s(sums, random.Float64()*sum))
		}
		return all
	}
}

// scans asks by Zipf 1.0, but in each sixteenth of the calls the last third is for keys that nobody asks for again.
func scans(random *rand.Rand, keys, gets uint64) []uint64 {
	all := zipf(1)(random, keys, gets)
	for i := range all {
		if part := gets / 16; uint64(i)%part > part*2/3 {
			all[i] = keys + uint64(i)
		}
	}
	return all
}

// shifts asks by Zipf 1.0 for keys of which others are the hot ones after each quarter of the calls.
func shifts(random *rand.Rand, keys, gets uint64) []uint64 {
	all := zipf(1)(random, keys, gets)
	for i := range all {
		all[i] += uint64(i) / (gets / 4) * keys / 2
	}
	return all
}

// loop asks in three of four calls for one after the other of twice as many keys as there is room for, and by Zipf 1.0 in the fourth.
func loop(random *rand.Rand, keys, gets uint64) []uint64 {
	all := zipf(1)(random, keys, gets)
	for i := range all {
		if i%4 != 0 {
			all[i] = keys + uint64(i)%(keys/6)
		}
	}
	return all
}

var zeros [4000]byte

// sized returns an entry of a key's own size: one of 50 to 4,000 bytes, evenly by its logarithm. It shares its body.
func sized(key uint64) *cache.Entry {
	e := entry(0, time.Hour)
	n := int(50 * math.Pow(80, float64(mix(key)>>11)/(1<<53)))
	e.Reply.Body = zeros[:n:n]
	return e
}

// eighth returns 8 % of what the entries of all keys take.
func eighth(keys uint64) int64 {
	sum := 0
	for key := range keys {
		sum += sized(key).Bytes()
	}
	return int64(sum) * 8 / 100
}

// hits returns the part of a trace that a store answers, which gets all else.
func hits(s store, trace []uint64) float64 {
	n := 0
	for _, key := range trace {
		k := id(key)
		if s.Get(k) != nil {
			n++
			continue
		}
		s.Put(k, sized(key))
	}
	return float64(n) / float64(len(trace))
}

// lru keeps what was asked for last, within a bound of bytes.
type lru struct {
	room  int
	order *list.List // of *lruEntry, the last one first
	all   map[cache.ID]*list.Element
}

type lruEntry struct {
	key cache.ID
	e   *cache.Entry
}

func newLRU(room int) *lru { return &lru{room, list.New(), map[cache.ID]*list.Element{}} }

func (l *lru) Get(key cache.ID) *cache.Entry {
	at := l.all[key]
	if at == nil {
		return nil
	}
	l.order.MoveToFront(at)
	return at.Value.(*lruEntry).e
}

func (l *lru) Put(key cache.ID, e *cache.Entry) {
	l.room -= e.Bytes()
	l.all[key] = l.order.PushFront(&lruEntry{key, e})
	for l.room < 0 {
		last := l.order.Remove(l.order.Back()).(*lruEntry)
		delete(l.all, last.key)
		l.room += last.e.Bytes()
	}
}
