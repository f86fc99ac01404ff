package netio

import "sync/atomic"

// Budget bounds the bytes that many connections hold together: what came and is not done with, by the size of the chunks it lies in, and
// what waits to be written.
//
// Callers' requests leave the last quarter to what answers them, so that a flood of requests does not fail the calls that were taken on.
// What every connection needs to be able to say no, a smallest chunk and a short answer, is counted and never refused. The nil *Budget
// has no bound. Safe for concurrent use.
type Budget struct {
	max, held, refused atomic.Int64

	long longChunks
}

// NewBudget returns a budget of max bytes.
func NewBudget(max int64) *Budget {
	b := new(Budget)
	b.Resize(max)
	return b
}

// Resize changes the bound. What is held beyond it stays until it is given back.
func (b *Budget) Resize(max int64) { b.max.Store(max) }

// Take counts n bytes, or, where they do not fit, counts a refusal and returns false.
func (b *Budget) Take(n int) bool { return b.take(n, 0) }

// take is Take that leaves spare bytes to others.
func (b *Budget) take(n int, spare int64) bool {
	if b == nil {
		return true
	}
	for {
		held := b.held.Load()
		if held+int64(n) > b.max.Load()-spare {
			b.refused.Add(1)
			return false
		}
		if b.held.CompareAndSwap(held, held+int64(n)) { // else two who take at once would both fit
			return true
		}
	}
}

// chunk makes a chunk of size bytes, n of which are used.
func (b *Budget) chunk(n, size int) []byte {
	if b == nil || size <= maxChunkBytes {
		return dirty(n, size)
	}
	return b.long.make(n, size, b.max.Load())
}

// Force counts n bytes that are held whether they fit or not.
func (b *Budget) Force(n int) {
	if b != nil {
		b.held.Add(int64(n))
	}
}

// Give takes n bytes out of the count that Take or Force has put in.
func (b *Budget) Give(n int) {
	if b != nil {
		b.held.Add(-int64(n))
	}
}

// Tight reports whether so much is held that new requests will not fit soon: more than five eighths.
func (b *Budget) Tight() bool { return b != nil && b.held.Load() > b.max.Load()/8*5 }

// Held returns how many bytes are held.
func (b *Budget) Held() int64 {
	if b == nil {
		return 0
	}
	return b.held.Load()
}

// Refused returns how often something did not fit, from the start.
func (b *Budget) Refused() int64 {
	if b == nil {
		return 0
	}
	return b.refused.Load()
}

// spare is how much of the budget a request of up to limit bytes leaves to others: a quarter, or less where the longest message would
// not fit else.
func (b *Budget) spare(limit int) int64 {
	if b == nil {
		return 0
	}
	most := b.max.Load()
	return max(0, min(most/4, most-int64(limit)-minRoomBytes))
}

// Lease is memory that came off a budget and is given back when all who hold it have released it. The nil *Lease is memory that nobody
// counts.
type Lease struct {
	budget  *Budget
	size    int // changed by the connection alone, while nobody else holds it
	holders atomic.Int32
}

// hold adds a holder.
func (l *Lease) hold() *Lease {
	if l != nil {
		l.holders.Add(1)
	}
	return l
}

// Release ends one holder's part. Call it once for each Hold.
func (l *Lease) Release() {
	if l != nil && l.holders.Add(-1) == 0 {
		l.budget.Give(l.size)
	}
}
