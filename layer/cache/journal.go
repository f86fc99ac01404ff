package cache

import (
	"encoding/binary"
	"sync/atomic"
)

// journal remembers what was made void lately, so that no reply is answered with, or kept, whose load had begun before. It never forgets
// too early and takes no more memory the longer it runs: what was made void is remembered by a part of its ID, so that now and then a
// reply is void that need not be. Safe for concurrent use.
type journal struct {
	now  atomic.Uint64               // counts what was made void
	all  atomic.Uint64               // the number under which everything was last
	last [journalSlots]atomic.Uint64 // the number under which something that falls here was made void last
}

// journalSlots is how many places a journal has: 2 MiB. Where 1000 things a second are made void, another reply meets one of their places
// after four minutes.
const journalSlots = 1 << 18

// mark returns when it is: what is found out from now on knows of all that has been made void by now.
func (j *journal) mark() uint64 { return j.now.Load() }

// void makes things void.
func (j *journal) void(ids ...ID) {
	n := j.now.Add(1)
	for _, id := range ids {
		raise(j.slot(id), n)
	}
}

// floor raises a number to now: what was found out before is void where that number is looked at.
func (j *journal) floor(at *atomic.Uint64) { raise(at, j.now.Add(1)) }

// holds reports whether what was found out at a mark is still good: neither it nor one of its groups has been made void since.
func (j *journal) holds(mark uint64, key ID, groups []ID) bool {
	if mark < j.all.Load() || mark < j.slot(key).Load() {
		return false
	}
	for i := range groups {
		if mark < j.slot(groups[i]).Load() {
			return false
		}
	}
	return true
}

func (j *journal) slot(id ID) *atomic.Uint64 {
	return &j.last[binary.LittleEndian.Uint32(id[:])%journalSlots]
}

func raise(at *atomic.Uint64, n uint64) {
	for old := at.Load(); old < n && !at.CompareAndSwap(old, n); old = at.Load() {
	}
}
