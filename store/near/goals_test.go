package near_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/store/near"
)

// heap returns the bytes that live.
func heap() int64 {
	runtime.GC()
	runtime.GC() // the second one takes what finalizers and weak pointers have kept through the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// within fails the test where the heap has grown by more than a tenth more or less than the bound.
func within(t *testing.T, n *near.Near, before int64) {
	t.Helper()
	u, held := n.Usage(), heap()-before
	ratio := float64(held) / float64(u.MaxBytes)
	t.Logf("%d entries, %d bytes by count, %.3f of the bound on the heap", u.Entries, u.Bytes, ratio)
	if u.Bytes > u.MaxBytes || u.Bytes < u.MaxBytes*95/100 {
		t.Errorf("it is not full, or over: %+v", u)
	}
	if math.Abs(ratio-1) > 0.1 {
		t.Errorf("%d bytes are held, of %d", held, u.MaxBytes)
	}
	runtime.KeepAlive(n)
}

// When it is full, the process holds what is configured, a tenth more or less, be the replies short or long.
func TestCA11MemoryOfEachSize(t *testing.T) {
	for _, size := range []int{50, 200, 1024, 16384} {
		before := heap()
		n := near.New(16 << 20)
		for i := range uint64(2*16<<20) / uint64(size+384) {
			n.Put(id(i), entry(size, time.Hour))
		}
		t.Logf("bodies of %d bytes", size)
		within(t, n, before)
		n.Close()
	}
}

// For an hour of replies of 10 bytes to 64 KiB that live for a second to ten minutes, and some that are too large, the process holds what is
// configured, a tenth more or less; and nothing when they have expired.
func TestCA11MemoryOverAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		even := func(least, most float64) float64 { return least * math.Pow(most/least, random.Float64()) }
		before := heap()
		const room = 16 << 20
		n := near.New(room)
		defer n.Close()
		for second := range 3600 {
			for range 60 {
				key := id(random.Uint64N(20_000))
				if n.Get(key) == nil {
					n.Put(key, entry(int(even(10, 64<<10)), time.Duration(even(1, 600)*float64(time.Second))))
				}
			}
			n.Put(id(1<<32), entry(room/16, time.Hour))
			if n.Get(id(1<<32)) != nil {
				t.Fatal("what is too large is kept")
			}
			time.Sleep(time.Second)
			if second%600 == 599 {
				within(t, n, before)
			}
		}
		time.Sleep(12 * time.Minute)
		used(t, n, 0, 0)
		if left := heap() - before; left > room/20 {
			t.Errorf("%d bytes are held of what has expired", left)
		}
	})
}

// Of keys that are asked for by Zipf 1.0, with room for 8 % of their bytes, it answers 4 points more than one that keeps what was used last.
func TestCA8MoreHitsThanLRU(t *testing.T) {
	if raceEnabled {
		t.Skip("nothing runs at once here")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const keys = 131_072
	trace := zipf(1)(rand.New(rand.NewPCG(seed, 0)), keys, 600_000)
	room := eighth(keys)
	n := near.New(room)
	defer n.Close()
	answered := func(s store) float64 {
		hits(s, trace[:len(trace)/2]) // as they begin they are alike
		return hits(s, trace[len(trace)/2:])
	}
	got, want := answered(n), answered(newLRU(int(room)))
	t.Logf("%.2f %% of the calls, LRU %.2f %%", got*100, want*100)
	if got < want+0.04 {
		t.Errorf("%.2f points more than LRU", 100*(got-want))
	}
}

// It answers as much as otter does alone, whatever is asked for.
func TestCA8HitsOfOtter(t *testing.T) {
	if raceEnabled {
		t.Skip("nothing runs at once here")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const keys = 16_384
	room := eighth(keys)
	for name, of := range map[string]trace{
		"Zipf 0.8": zipf(0.8), "Zipf 1.0": zipf(1), "Zipf 1.2": zipf(1.2), "scans": scans, "shifts": shifts, "a loop": loop,
	} {
		trace := of(rand.New(rand.NewPCG(seed, 0)), keys, 8*keys)
		n := near.New(room)
		got := hits(n, trace)
		n.Close()
		want := hits(newPlain(room), trace)
		t.Logf("%s: %.2f %% of the calls, otter %.2f %%", name, got*100, want*100)
		if got < 0.98*want {
			t.Errorf("%s: %.3f of otter", name, got/want)
		}
	}
}
