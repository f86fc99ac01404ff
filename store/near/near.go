// Package near is the memory of this process for replies, bounded in bytes: of more than there is room for it keeps what is asked for often.
package near

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/thriftloom/thriftloom/layer/cache"
)

const (
	// MinBytes is the least that a Near is bounded to.
	MinBytes = 64 << 10
	// share is the part of all bytes that one entry may take: a sixteenth, so that one does not drive out all others.
	share = 16
)

// Near implements cache.Near. New makes one, and Close ends it.
//
// Get does not allocate. When Put returns, what is kept is within the bound, but for what other Puts bring in at that moment.
type Near struct {
	// Removed, if set, is called for each entry that was put, once, when it goes: it is replaced, deleted, cleared, or has expired, it has to go
	// for room (evicted), or it is not kept at all, because it is too large or of no use any more. It is called from any goroutine, under
	// a lock: it is quick, and calls nothing of the Near. Set it before the first Put.
	Removed func(key cache.ID, e *cache.Entry, evicted bool)

	kept                          *otter.Cache[cache.ID, kept]
	era                           atomic.Uint64 // Clear begins one: what was put in another is not there any more
	max                           atomic.Int64
	entries, bytes, evictionCount atomic.Int64

	mu       sync.Mutex    // of SetMax, and of
	sweeping chan struct{} // closed when the goroutine that lets go what was cleared has ended; nil: there is none
}

// kept is an entry, and the era in which it was put.
type kept struct {
	*cache.Entry
	era uint64
}

var _ cache.Near = (*Near)(nil)

// New returns an empty Near of at most maxBytes, and at least MinBytes.
//
// An entry of more than a sixteenth of that, or of 4 GiB, is not kept.
func New(maxBytes int64) *Near {
	n := &Near{}
	n.max.Store(max(maxBytes, MinBytes))
	n.kept = otter.Must(&otter.Options[cache.ID, kept]{
		MaximumWeight: uint64(n.max.Load()),
		Weigher:       func(_ cache.ID, k kept) uint32 { return uint32(k.Bytes()) },
		// A life of zero or less would be one without an end, and it may have ended since Put looked.
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[cache.ID, kept]) time.Duration {
			return max(1, time.Until(e.Value.Until()))
		}),
		// The atomic one alone is called in the order of the changes, and before they are seen.
		OnAtomicDeletion: n.removed,
		// Who puts makes room at once, and who gets counts what is asked for: on goroutines of their own evictions lag behind, and gets are
		// forgotten, which costs up to 2 points of the hits.
		Executor: func(f func()) { f() },
	})
	return n
}

// Get implements cache.Near.
func (n *Near) Get(key cache.ID) *cache.Entry {
	k, _ := n.kept.GetIfPresent(key)
	if k.era != n.era.Load() {
		return nil
	}
	return k.Entry
}

// Put implements cache.Near. How long an entry is kept is found when it is put, whatever the clock is set to later.
func (n *Near) Put(key cache.ID, e *cache.Entry) {
	size := int64(e.Bytes())
	if size > min(n.max.Load()/share, math.MaxUint32) || !time.Now().Before(e.Until()) {
		n.kept.Invalidate(key)
		if n.Removed != nil {
			n.Removed(key, e, false)
		}
		return
	}
	n.entries.Add(1)
	n.bytes.Add(size)
	era := n.era.Load()
	n.kept.Set(key, kept{e, era})
	if now := n.era.Load(); now != era {
		n.dropOld(key, now) // the sweep may have been there before
	}
	if n.bytes.Load() > n.max.Load() { // another goroutine was making room, and may have gone before it saw this entry
		n.kept.CleanUp()
	}
}

// removed counts what has gone.
func (n *Near) removed(gone otter.DeletionEvent[cache.ID, kept]) {
	n.entries.Add(-1)
	n.bytes.Add(-int64(gone.Value.Bytes()))
	evicted := gone.Cause == otter.CauseOverflow && gone.Value.era == n.era.Load()
	if evicted {
		n.evictionCount.Add(1)
	}
	if n.Removed != nil {
		n.Removed(gone.Key, gone.Value.Entry, evicted)
	}
}

// Delete implements cache.Near.
func (n *Near) Delete(key cache.ID) { n.kept.Invalidate(key) }

// Clear implements cache.Near. It returns at once, and nothing that was put before it is there any more. A goroutine lets it go, which takes it
// a microsecond or two an entry; until then it is a part of the Usage.
func (n *Near) Clear() {
	n.era.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sweeping == nil {
		n.sweeping = make(chan struct{})
		go n.sweep()
	}
}

// sweep lets go what was put in other eras than this one, until none has begun meanwhile.
func (n *Near) sweep() {
	for done := false; !done; {
		era := n.era.Load()
		for key, k := range n.kept.All() {
			if k.era < era {
				n.dropOld(key, era)
			}
		}
		done = n.swept(era)
	}
}

// swept ends the sweep if era is the last one.
func (n *Near) swept(era uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.era.Load() != era {
		return false
	}
	close(n.sweeping)
	n.sweeping = nil
	return true
}

// dropOld lets go what is kept under key if it was put before an era.
func (n *Near) dropOld(key cache.ID, era uint64) {
	n.kept.ComputeIfPresent(key, func(k kept) (kept, otter.ComputeOp) {
		if k.era < era {
			return kept{}, otter.InvalidateOp
		}
		return k, otter.CancelOp
	})
}

// SetMax sets the bound, as New does, and lets go what has no room any more.
func (n *Near) SetMax(maxBytes int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.max.Store(max(maxBytes, MinBytes))
	n.kept.SetMaximum(uint64(n.max.Load()))
}

// Usage implements cache.Near.
func (n *Near) Usage() cache.Usage {
	return cache.Usage{Entries: int(n.entries.Load()), Bytes: n.bytes.Load(), MaxBytes: n.max.Load(), Evictions: n.evictionCount.Load()}
}

// Close drops all, and returns when it is gone and nothing runs any more. What is put after that expires as ever, but takes its memory until
// others need it.
func (n *Near) Close() {
	n.kept.StopAllGoroutines()
	n.mu.Lock()
	sweeping := n.sweeping
	n.mu.Unlock()
	if sweeping != nil {
		<-sweeping
	}
	n.kept.InvalidateAll()
}
