package netio

// The sizes of a chunk: of a new or idle connection, and at most, unless one message needs more.
const (
	minChunkBytes = 2 << 10
	maxChunkBytes = 64 << 10
)

// minRoomBytes is the least room that is worth a read.
const minRoomBytes = 512

// input holds the bytes that came and were not used, always contiguous.
//
// chunk is filled from its front and never rewound: bytes below len(chunk) may be kept by anyone and are never written again.
type input struct {
	budget *Budget // nil: no bound
	yield  bool    // leave a part of the budget to others
	lease  *Lease  // of chunk; nil without a budget
	chunk  []byte
	used   int // of chunk, by the receiver
	need   int // the least length of unused that is worth a callback
	next   int // the size of the next chunk
	fresh  bool
	lent   bool // chunk is a part of one that others read into as well
}

// begin starts with bytes that came before. They are here, so they are counted whether they fit or not.
func (in *input) begin(came []byte) {
	in.chunk = came[:len(came):len(came)]
	if in.budget != nil {
		in.budget.Force(len(came))
		in.relet(len(came))
	}
}

// lend makes bytes that were read into memory of others, which lease counts, what came. Nothing was unused before.
func (in *input) lend(came []byte, lease *Lease) {
	in.chunk, in.used, in.lease, in.lent = came, 0, lease.hold(), true
}

// own leaves nothing in memory of others: what is unused of lent bytes moves into a chunk of the connection's own, unless the budget has no
// room for one. Where nothing is unused there is no chunk at all.
func (in *input) own(limit int) {
	switch {
	case len(in.unused()) == 0:
		in.drop()
		in.next = 0
	case in.lent:
		in.room(limit)
	}
}

// unused returns what came and was not used. Its capacity ends with it, so that an append cannot reach into the chunk.
func (in *input) unused() []byte { return in.chunk[in.used:len(in.chunk):len(in.chunk)] }

// worth reports whether what is unused is worth a callback.
func (in *input) worth() bool { return len(in.unused()) > 0 && len(in.unused()) >= in.need }

// use takes the receiver's answer.
func (in *input) use(used, need int) {
	in.used += used
	in.need = need
	// A chunk that grew for one long message is not gone on with: a short one behind it would keep it all in memory.
	if in.used == cap(in.chunk) || in.used == len(in.chunk) && cap(in.chunk) > maxChunkBytes {
		in.drop()
	}
}

// drop lets go of the chunk.
func (in *input) drop() {
	in.lease.Release()
	in.lease, in.chunk, in.used, in.lent = nil, nil, 0, false
}

// hold keeps the chunk counted until the lease is released.
func (in *input) hold() *Lease { return in.lease.hold() }

// came counts n bytes that were read into room.
func (in *input) came(n int) {
	in.chunk = in.chunk[:len(in.chunk)+n]
	in.fresh = true
}

// room returns where the next bytes are read to; nil where the budget has none. In mid-message a full chunk is followed by one of at most
// twice what really came, so that a length which a peer only claims allocates nothing; limit is past which the connection is closed anyway.
func (in *input) room(limit int) []byte {
	if cap(in.chunk)-len(in.chunk) < minRoomBytes {
		tail := in.unused()
		in.next = min(max(4*in.next, minChunkBytes), maxChunkBytes)
		size := in.charge(max(in.next, min(in.growth(len(tail)), limit+1), len(tail)+minRoomBytes), len(tail)+minRoomBytes, limit)
		if size == 0 {
			return nil
		}
		chunk := in.budget.chunk(len(tail), size)
		copy(chunk, tail)
		in.chunk, in.used, in.lent = chunk, 0, false
	}
	return in.chunk[len(in.chunk):cap(in.chunk)]
}

// growth is the size of the chunk for a message of which n bytes have come: twice that, or as much as the message is known to need. Where
// that is so little more that it would be copied again and again it is half more: what a message leaves unused of its chunk is memory too.
func (in *input) growth(n int) int {
	if in.need > n+n/8 {
		return min(2*n, in.need+minRoomBytes)
	}
	return n + n/2
}

// charge moves the lease to a chunk of size bytes, or of fewer where the budget is short, least at least. It returns the size, 0 where
// nothing fits. The smallest chunk always does: without it nobody could be told so.
func (in *input) charge(size, least, limit int) int {
	if in.budget == nil {
		return size
	}
	spare := int64(0)
	if in.yield {
		spare = in.budget.spare(limit)
	}
	if was := in.lease; was != nil && was.holders.Load() == 1 { // the chunk goes with its bytes: it is garbage once they are copied
		more := size - was.size
		if more <= 0 || in.budget.take(more, spare) {
			in.budget.Force(min(more, 0))
			was.size = size
			return size
		}
	} else if in.budget.take(size, spare) {
		in.relet(size)
		return size
	}
	if least > minChunkBytes {
		return 0
	}
	in.budget.Force(minChunkBytes)
	in.relet(minChunkBytes)
	in.next = 0
	return minChunkBytes
}

// relet makes a lease of size bytes, which are counted already, the chunk's.
func (in *input) relet(size int) {
	in.lease.Release()
	in.lease = (&Lease{budget: in.budget, size: size}).hold()
}

// small reports whether there is nothing to win by letting go of the chunk.
func (in *input) small() bool { return cap(in.chunk) <= minChunkBytes }

// rest is called from time to time. A chunk that nothing came into since the last call, and that is used up, is let go of.
func (in *input) rest() {
	if !in.fresh && len(in.unused()) == 0 {
		in.drop()
		in.next = 0
	}
	in.fresh = false
}
