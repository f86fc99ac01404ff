package near_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/store/near"
)

// id returns a key that is as even as a half of a SHA-256.
func id(i uint64) cache.ID {
	var k cache.ID
	binary.LittleEndian.PutUint64(k[:], mix(i))
	binary.LittleEndian.PutUint64(k[8:], mix(^i))
	return k
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func entry(bytes int, life time.Duration) *cache.Entry {
	return &cache.Entry{Reply: &rpc.Reply{Body: make([]byte, bytes)}, Loaded: time.Now(), Fresh: life}
}

// store is what the benchmarks compare.
type store interface {
	Get(key cache.ID) *cache.Entry
	Put(key cache.ID, e *cache.Entry)
}

// plain is otter as it comes.
type plain struct {
	*otter.Cache[cache.ID, *cache.Entry]
}

func newPlain(maxBytes int64) plain {
	return plain{otter.Must(&otter.Options[cache.ID, *cache.Entry]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(_ cache.ID, e *cache.Entry) uint32 { return uint32(e.Bytes()) },
	})}
}

func (p plain) Get(key cache.ID) *cache.Entry {
	e, _ := p.GetIfPresent(key)
	return e
}

func (p plain) Put(key cache.ID, e *cache.Entry) { p.Set(key, e) }

// guarded is a map with a mutex, without a bound.
type guarded struct {
	mu  sync.Mutex
	all map[cache.ID]*cache.Entry
}

func (g *guarded) Get(key cache.ID) *cache.Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[key]
}

func (g *guarded) Put(key cache.ID, e *cache.Entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all[key] = e
}

const benchKeys = 1 << 14

// eachStore runs f over a store of half of the keys that f asks for, entries of 200 bytes.
func eachStore(b *testing.B, f func(b *testing.B, s store, keys []cache.ID)) {
	keys := make([]cache.ID, benchKeys)
	for i := range keys {
		keys[i] = id(uint64(i))
	}
	room := int64(benchKeys / 2 * entry(200, time.Hour).Bytes())
	n := near.New(room)
	b.Cleanup(n.Close)
	for _, s := range []struct {
		name string
		s    store
	}{{"near", n}, {"otter", newPlain(room)}, {"map", &guarded{all: map[cache.ID]*cache.Entry{}}}} {
		b.Run("store="+s.name, func(b *testing.B) {
			for _, k := range keys {
				s.s.Put(k, entry(200, time.Hour))
			}
			b.ReportAllocs()
			b.ResetTimer()
			f(b, s.s, keys)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	eachStore(b, func(b *testing.B, s store, keys []cache.ID) {
		for i := 0; b.Loop(); i++ {
			s.Get(keys[mix(uint64(i))%benchKeys])
		}
	})
}

func BenchmarkGetParallel(b *testing.B) {
	eachStore(b, func(b *testing.B, s store, keys []cache.ID) {
		b.RunParallel(func(pb *testing.PB) {
			for i := rand.Uint64(); pb.Next(); i++ {
				s.Get(keys[mix(i)%benchKeys])
			}
		})
	})
}

// Half of the keys that are put are there already, and each other one drives one out, but in the map.
func BenchmarkPut(b *testing.B) {
	eachStore(b, func(b *testing.B, s store, keys []cache.ID) {
		e := entry(200, time.Hour)
		for i := 0; b.Loop(); i++ {
			s.Put(keys[mix(uint64(i))%benchKeys], e)
		}
	})
}
