package near_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/store/near"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is how often each entry has gone.
type ledger struct {
	mu      sync.Mutex
	gone    map[*cache.Entry]int
	evicted int
}

func (l *ledger) removed(_ cache.ID, e *cache.Entry, evicted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone[e]++
	if evicted {
		l.evicted++
	}
}

// is fails the test unless so many entries have gone, once each, and of those so many for room.
func (l *ledger) is(t *testing.T, gone, evicted int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.gone {
		if times != 1 {
			t.Errorf("an entry has gone %d times", times)
		}
	}
	if len(l.gone) != gone || l.evicted != evicted {
		t.Errorf("%d have gone, %d of them for room, want %d and %d", len(l.gone), l.evicted, gone, evicted)
	}
}

func open(t *testing.T, maxBytes int64) (*near.Near, *ledger) {
	n, l := near.New(maxBytes), &ledger{gone: map[*cache.Entry]int{}}
	n.Removed = l.removed
	t.Cleanup(n.Close)
	return n, l
}

// wants fails the test unless e is what there is under key i.
func wants(t *testing.T, n *near.Near, i uint64, e *cache.Entry) {
	t.Helper()
	if got := n.Get(id(i)); got != e {
		t.Errorf("key %d: %p, want %p", i, got, e)
	}
}

// used fails the test unless so much is kept.
func used(t *testing.T, n *near.Near, entries int, bytes int) {
	t.Helper()
	if u := n.Usage(); u.Entries != entries || u.Bytes != int64(bytes) {
		t.Errorf("%+v, want %d entries of %d bytes", u, entries, bytes)
	}
}

// What is put is there at once, until another is put over it or it is deleted.
func TestPut(t *testing.T) {
	n, gone := open(t, 1<<20)
	a, b := entry(100, time.Hour), entry(200, time.Minute)
	wants(t, n, 1, nil)
	n.Put(id(1), a)
	wants(t, n, 1, a)
	n.Put(id(1), b)
	wants(t, n, 1, b)
	used(t, n, 1, b.Bytes())
	n.Put(id(1), a)
	n.Put(id(2), b)
	wants(t, n, 1, a)
	n.Delete(id(1))
	n.Delete(id(3))
	wants(t, n, 1, nil)
	wants(t, n, 2, b)
	used(t, n, 1, b.Bytes())
	if gone.gone[a] != 2 || gone.gone[b] != 1 || gone.evicted != 0 {
		t.Errorf("%v have gone, %d for room", gone.gone, gone.evicted)
	}
}

// An entry is there until it is of no use, to the nanosecond, and does not take memory for much longer though nobody asks for it.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, gone := open(t, 1<<20)
		defer n.Close()
		for i, life := range []time.Duration{1, time.Millisecond, 1500 * time.Millisecond, time.Hour} {
			e := entry(10, life-life/3)
			e.Stale, e.OnError = life/3, life/4
			n.Put(id(uint64(i)), e)
			time.Sleep(life - time.Nanosecond)
			wants(t, n, uint64(i), e)
			time.Sleep(time.Nanosecond)
			wants(t, n, uint64(i), nil)
		}
		for i := range 500 {
			n.Put(id(uint64(i)), entry(10, time.Duration(i)*time.Second))
		}
		time.Sleep(250 * time.Second)
		if u := n.Usage(); u.Entries < 249 || u.Entries > 249+70 { // the wheel of timers turns by 69 s where a life is long
			t.Errorf("%d are kept of 249 that are of use", u.Entries)
		}
		time.Sleep(500 * time.Second)
		used(t, n, 0, 0)
		gone.is(t, 504, 0)
	})
}

// A life that is shorter than that of the entry before holds.
func TestShorterLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := open(t, 1<<20)
		defer n.Close()
		n.Put(id(1), entry(10, time.Hour))
		n.Put(id(1), entry(10, time.Second))
		time.Sleep(time.Second)
		wants(t, n, 1, nil)
		time.Sleep(3 * time.Second)
		used(t, n, 0, 0)
	})
}

// A life that ends while the entry is put does end.
func TestShortestLives(t *testing.T) {
	n, _ := open(t, 1<<20)
	const entries = 100_000
	for i := range uint64(entries) {
		n.Put(id(i), entry(0, time.Duration(i%1000)))
	}
	for i := range uint64(entries - 1000) {
		wants(t, n, i, nil)
	}
}

// What is too large, or of no use any more, is not kept, nor what it was to replace.
func TestRefused(t *testing.T) {
	n, gone := open(t, 1<<20)
	fixed := entry(0, 0).Bytes()
	largest := entry(1<<16-fixed, time.Hour)
	old := entry(10, time.Hour)
	old.Loaded = old.Loaded.Add(-time.Hour)
	for _, refused := range []*cache.Entry{entry(1<<16-fixed+1, time.Hour), entry(2<<20, time.Hour), old, entry(10, 0)} {
		n.Put(id(1), largest)
		wants(t, n, 1, largest)
		delete(gone.gone, largest)
		n.Put(id(1), refused)
		wants(t, n, 1, nil)
		if gone.gone[refused] != 1 || gone.gone[largest] != 1 {
			t.Errorf("the hook was called %d and %d times", gone.gone[refused], gone.gone[largest])
		}
	}
	used(t, n, 0, 0)
	gone.is(t, 5, 0)
}

// After Clear nothing is there at once, what is put then stays, and what was there goes.
func TestClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, gone := open(t, 64<<20)
		defer n.Close()
		const entries = 20_000
		for range 2 {
			for i := range uint64(entries) {
				n.Put(id(i), entry(10, time.Hour))
			}
			n.Clear()
			e := entry(10, time.Hour)
			n.Put(id(1), e)
			for i := range uint64(entries) {
				if i != 1 {
					wants(t, n, i, nil)
				}
			}
			synctest.Wait()
			wants(t, n, 1, e)
			used(t, n, 1, e.Bytes())
		}
		gone.is(t, 2*entries+1, 0)
	})
}

// What is put while what was cleared is let go, and is cleared as well, goes too.
func TestClearWhileClearing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, gone := open(t, 1<<20)
		defer n.Close()
		const rounds, entries = 50, 100
		for range rounds {
			for i := range uint64(entries) {
				n.Put(id(i), entry(10, time.Hour))
				n.Clear()
			}
			synctest.Wait()
			used(t, n, 0, 0)
		}
		gone.is(t, rounds*entries, 0)
	})
}

// The least used go for room, and nothing is over the bound when a Put returns.
func TestBound(t *testing.T) {
	n, gone := open(t, 1<<20)
	const entries = 10_000
	for i := range uint64(entries) {
		n.Put(id(i), entry(1000, time.Hour))
		if u := n.Usage(); u.Bytes > u.MaxBytes {
			t.Fatalf("%+v", u)
		}
	}
	u := n.Usage()
	if u.Bytes < u.MaxBytes*99/100 {
		t.Errorf("not full: %+v", u)
	}
	gone.is(t, entries-u.Entries, int(u.Evictions))
}

// The bound holds as well when what was put while another goroutine was making room has been put.
func TestBoundWhileMakingRoom(t *testing.T) {
	for range 20 {
		putWhileMakingRoom(t)
	}
}

func putWhileMakingRoom(t *testing.T) {
	n := near.New(1 << 20)
	defer n.Close()
	evicting, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	n.Removed = func(_ cache.ID, _ *cache.Entry, evicted bool) {
		if evicted {
			first.Do(func() {
				close(evicting)
				<-release
			})
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := range uint64(1<<20/entry(10_000, 0).Bytes() + 1) { // the last one is over the bound
			n.Put(id(i), entry(10_000, time.Hour))
		}
	})
	<-evicting
	const others = 50
	kept := n.Usage().Entries
	for i := range uint64(others) {
		all.Go(func() { n.Put(id(1000+i), entry(10_000, time.Hour)) })
	}
	for n.Usage().Entries < kept+others {
		runtime.Gosched()
	}
	for range 10_000 { // all have begun; let them come as far as they get
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	if u := n.Usage(); u.Bytes > u.MaxBytes {
		t.Errorf("%+v", u)
	}
}

// A new bound holds at once, and keeps what has room in it.
func TestSetMax(t *testing.T) {
	n, gone := open(t, 0)
	if m := n.Usage().MaxBytes; m != near.MinBytes {
		t.Errorf("at most %d bytes", m)
	}
	n.SetMax(8 << 20)
	const entries = 5000
	size := entry(1000, time.Hour).Bytes()
	for i := range uint64(entries) {
		n.Put(id(i), entry(1000, time.Hour))
	}
	used(t, n, entries, entries*size)
	n.SetMax(4 << 20)
	kept := 4 << 20 / size
	used(t, n, kept, kept*size)
	gone.is(t, entries-kept, entries-kept)
	n.SetMax(8 << 20)
	used(t, n, kept, kept*size)
	n.Put(id(entries), entry(400_000, time.Hour))
	wants(t, n, entries+1, nil)
	if n.Get(id(entries)) == nil {
		t.Error("too large still")
	}
}

// Close lets go all, what has just expired as well.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, gone := open(t, 1<<20)
		n.Put(id(1), entry(10, time.Millisecond))
		n.Put(id(2), entry(10, time.Hour))
		time.Sleep(time.Millisecond)
		n.Clear()
		n.Close()
		n.Close()
		used(t, n, 0, 0)
		gone.is(t, 2, 0)
	})
}

// A Get allocates nothing, whether there is something or not, nor does the counting of what is asked for.
func TestGetAllocatesNothing(t *testing.T) {
	n, _ := open(t, 1<<20)
	for i := range uint64(2000) {
		n.Put(id(i), entry(1000, time.Hour))
	}
	keys := make([]cache.ID, 4000)
	for i := range keys {
		keys[i] = id(uint64(i))
	}
	if a := testing.AllocsPerRun(10, func() {
		for _, k := range keys {
			n.Get(k)
		}
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// Whatever goroutines do at once: what one gets was put under that key and is of use, the bound holds when they are done, and each entry
// that was put goes once.
func TestConcurrent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const workers, steps, keys = 8, 3000, 300
	n := near.New(1 << 20)
	var gone [workers * steps]atomic.Int32
	var entries [workers * steps]*cache.Entry
	n.Removed = func(key cache.ID, e *cache.Entry, _ bool) {
		if e.Groups[0] != key {
			t.Error("another key's")
		}
		gone[e.Took].Add(1)
	}
	var all sync.WaitGroup
	for w := range workers {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		all.Go(func() {
			for i := range steps {
				switch key := id(random.Uint64N(keys)); random.IntN(40) {
				case 0:
					n.Clear()
				case 1:
					n.SetMax(near.MinBytes << random.IntN(5))
				case 2, 3, 4:
					n.Delete(key)
				case 5, 6, 7, 8, 9, 10, 11, 12, 13, 14:
					began := time.Now()
					if e := n.Get(key); e != nil && (e.Groups[0] != key || !began.Before(e.Until())) {
						t.Errorf("%v after it was of use, or another's", began.Sub(e.Until()))
					}
				default:
					at := w*steps + i
					entries[at] = entry(random.IntN(8000), time.Duration(random.IntN(3000))*time.Microsecond)
					entries[at].Took, entries[at].Groups = time.Duration(at), []cache.ID{key}
					n.Put(key, entries[at])
				}
			}
		})
	}
	all.Wait()
	if u := n.Usage(); u.Bytes > u.MaxBytes || u.Bytes < 0 {
		t.Errorf("%+v", u)
	}
	n.Close()
	used(t, n, 0, 0)
	for i, e := range entries {
		want := int32(0)
		if e != nil {
			want = 1
		}
		if times := gone[i].Load(); times != want {
			t.Errorf("entry %d has gone %d times, want %d", i, times, want)
		}
	}
}
