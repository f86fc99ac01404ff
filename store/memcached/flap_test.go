package memcached

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
)

// truth is what is kept of one key: what is so now, and what was so when the last purge that went well had ended.
type truth struct {
	now, told atomic.Uint64
	changing  sync.Mutex
}

// While servers stop, go on, end and start at random, a gateway reads nothing that it has purged.
func TestNothingOldWhileNodesComeAndGo(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	nodes := startNodes(t, 3)
	c := Config{Timeout: 150 * time.Millisecond}
	for _, n := range nodes {
		c.Addresses = append(c.Addresses, n.Address)
	}
	s := openConfig(t, c)
	var keys [6]truth
	var over atomic.Bool
	var all sync.WaitGroup
	var hits, purges atomic.Int64
	for w := range 6 {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		all.Go(func() {
			for !over.Load() {
				i := random.IntN(len(keys))
				switch key := &keys[i]; random.IntN(8) {
				case 0:
					if key.change(t, s, i, random.IntN(2) == 0) {
						purges.Add(1)
					}
				case 1, 2:
					key.load(t, s, i)
				default:
					if key.read(t, s, i) {
						hits.Add(1)
					}
				}
				time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, 99))
	for range 6 {
		node, dies := nodes[random.IntN(len(nodes))], random.IntN(3) == 0
		if dies {
			node.Kill()
		} else {
			node.Process().Signal(t, syscall.SIGSTOP)
		}
		time.Sleep(time.Duration(300+random.IntN(900)) * time.Millisecond)
		if dies {
			node.Start()
		} else {
			node.Process().Signal(t, syscall.SIGCONT)
		}
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
	}
	over.Store(true)
	all.Wait()
	if hits.Load() == 0 || purges.Load() == 0 {
		t.Errorf("%d hits, %d purges", hits.Load(), purges.Load())
	}
	t.Logf("%d hits, %d purges", hits.Load(), purges.Load())
}

// group is the one that all keys are of.
var group = id(-1)

func (k *truth) change(t *testing.T, s *Store, i int, all bool) bool {
	k.changing.Lock()
	defer k.changing.Unlock()
	now := k.now.Add(1)
	purge := func() error { return s.Delete(t.Context(), id(i)) }
	if all {
		purge = func() error { return s.Invalidate(t.Context(), group) }
	}
	if purge() != nil {
		return false
	}
	k.told.Store(now)
	return true
}

func (k *truth) load(t *testing.T, s *Store, i int) {
	l, err := s.Acquire(t.Context(), id(i), []cache.ID{group}, 2*time.Second)
	if err != nil || l.Token == 0 {
		return
	}
	b := binary.BigEndian.AppendUint64(nil, k.now.Load())
	_, _ = s.Put(t.Context(), id(i), l, binary.BigEndian.AppendUint64(b, l.Versions[0]), time.Minute)
}

func (k *truth) read(t *testing.T, s *Store, i int) bool {
	least := k.told.Load()
	got, err := s.Get(t.Context(), id(i), []cache.ID{group})
	if err != nil || got.Value == nil || binary.BigEndian.Uint64(got.Value[8:]) != got.Versions[0] {
		return false
	}
	if n := binary.BigEndian.Uint64(got.Value); n < least {
		t.Errorf("key %d: %d is read after %d was told", i, n, least)
	}
	return true
}
