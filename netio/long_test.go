package netio

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
)

// heap returns the bytes of the heap, garbage too.
func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// Chunks that nobody uses any more are collected before there are too many of them, even where the runtime itself would never do it; so
// they are where many connections make them at once, and let go of some while others collect.
func TestGarbageIsBounded(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, connections := range []int{1, 8} {
		runtime.GC()
		before := heap()
		b := NewBudget(16 << 20)
		var all sync.WaitGroup
		for range connections {
			all.Go(func() {
				for range 40 / connections { // long messages, of up to 6 MiB of chunks each
					longMessage(t, &input{budget: b}, before+16<<20+garbage+2<<20)
				}
			})
		}
		all.Wait()
		if b.Held() != 0 {
			t.Errorf("%d bytes are held", b.Held())
		}
	}
}

// longMessage takes in 3 MiB, or as much as the budget allows, and looks at the heap each time.
func longMessage(t *testing.T, in *input, most int64) {
	for came := 0; came < 3<<20; {
		n := len(in.room(4 << 20))
		if n == 0 {
			break
		}
		in.came(n)
		in.use(0, 1<<30)
		came += n
		if now := heap(); now > most {
			t.Errorf("the heap has %d bytes, want %d at most", now, most)
		}
	}
	in.use(len(in.unused()), 0)
	in.drop()
}

// Who keeps bytes beyond the budget, as a cache may, does not make every further chunk pay for a collection that finds nothing.
func TestKeptBytesAreNotLookedForAgainAndAgain(t *testing.T) {
	var l longChunks
	var kept [][]byte
	for range 32 {
		kept = append(kept, l.make(0, 1<<20, 4<<20))
	}
	var was, is runtime.MemStats
	runtime.ReadMemStats(&was)
	for range 24 {
		kept = append(kept, l.make(0, 1<<20, 4<<20))
	}
	runtime.ReadMemStats(&is)
	if n := is.NumForcedGC - was.NumForcedGC; n > 8 {
		t.Errorf("%d collections for 24 chunks", n)
	}
	if l.bytes != int64(len(kept))<<20 {
		t.Errorf("%d bytes are known", l.bytes)
	}
	clear(kept)
	runtime.GC()
	if l.forget(); l.bytes != 0 || len(l.made) != 0 {
		t.Errorf("%d bytes are known of chunks that are collected", l.bytes)
	}
}
