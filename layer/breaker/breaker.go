package breaker

import (
	"cmp"
	"container/list"
	"math/bits"
	"slices"
	"sync"
	"time"
)

const (
	maxPairs  = 4096             // of one service that are known, 200 bytes each; who has not called for longest makes room
	forgets   = 10 * time.Second // after its last call a pair is as good as new, an open one when its time has passed too
	firstWait = time.Second      // until one call of an open pair is let through; it doubles with each one that fails
	maxWait   = 30 * time.Second
)

// pair is a caller with a method.
type pair struct{ method, caller string }

// record is what is known of a pair.
type record struct {
	pair
	last     uint64    // its calls, the newest in the lowest bit: 1 has failed
	calls    int       // of those, as far as there were so many
	inRow    int       // failures since its last answer
	endpoint string    // where the first of these was
	several  bool      // there was another one
	used     time.Time // when it called last

	open  bool
	wait  time.Duration // of the last that it was made to wait
	until time.Time     // when a call is let through
	since time.Time     // when it was opened
}

// failing reports whether the record is one of calls that fail wherever they are made.
func (r *record) failing(failures int) bool {
	return r.inRow >= failures && r.several && 2*bits.OnesCount64(r.last) > r.calls
}

// Breaker breaks pairs of a method and a caller whose calls end their handlers, in one service. It outlives a reload. The zero value has broken
// nobody. Safe for concurrent use.
//
// A pair is closed; or open, and its calls are refused; or half open, when its time is over and one call, the trial, is on its way. An answer
// closes it, whichever call's it is; a trial that fails opens it for twice as long. A trial that tells nothing leaves it half open, and the next
// one is let through when the same time has passed again.
type Breaker struct {
	// Opened, if set, is told of a pair that was closed, or half open, and for how long it is open. It is to be quick.
	Opened func(method, caller string, wait time.Duration)

	mu      sync.Mutex
	refused int64
	records map[pair]*list.Element // of *record
	order   list.List              // the last used first
}

// allow says whether a call of the pair goes on: it is refused for the time of wait, or it may be the trial.
func (b *Breaker) allow(p pair, now time.Time) (wait time.Duration, trial bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	switch r := b.use(p, now); {
	case !r.open:
		return 0, false
	case now.Before(r.until):
		b.refused++
		return r.until.Sub(now), false
	default:
		r.until = now.Add(r.wait)
		return 0, true
	}
}

// answered says that a call of the pair had an answer.
func (b *Breaker) answered(p pair) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.records[p]
	if e == nil {
		return
	}
	r := e.Value.(*record)
	if r.open {
		*r = record{pair: p, used: r.used}
	}
	r.note(0)
	r.inRow, r.several = 0, false
}

// failed says that a call of the pair has ended its handler at an endpoint. failures is how many of these in a row are too many.
func (b *Breaker) failed(p pair, endpoint string, trial bool, failures int, now time.Time) {
	wait := b.fail(p, endpoint, trial, failures, now)
	if wait > 0 && b.Opened != nil {
		b.Opened(p.method, p.caller, wait)
	}
}

// fail is failed, and returns for how long it has opened the pair: zero where it has not.
func (b *Breaker) fail(p pair, endpoint string, trial bool, failures int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.use(p, now)
	if r.open {
		if !trial {
			return 0 // it had begun before
		}
		r.wait = min(2*r.wait, maxWait)
		r.until = now.Add(r.wait)
		return r.wait
	}
	r.note(1)
	if r.inRow++; r.inRow == 1 {
		r.endpoint = endpoint
	}
	r.several = r.several || endpoint != r.endpoint
	if !r.failing(failures) {
		return 0
	}
	r.open, r.wait, r.since = true, firstWait, now
	r.until = now.Add(firstWait)
	return firstWait
}

// note takes a call in.
func (r *record) note(failed uint64) {
	r.last = r.last<<1 | failed
	r.calls = min(r.calls+1, 64)
}

// use returns the record of a pair that calls, or whose call has ended. The one that was not used for longest makes room for a new one. b.mu is held.
func (b *Breaker) use(p pair, now time.Time) *record {
	e := b.records[p]
	if e == nil {
		if b.records == nil {
			b.records = map[pair]*list.Element{}
		}
		if len(b.records) == maxPairs {
			b.drop(b.order.Back())
		}
		e = b.order.PushFront(&record{pair: p})
		b.records[p] = e
	}
	b.order.MoveToFront(e)
	r := e.Value.(*record)
	r.used = now
	return r
}

// drop ends a record. b.mu is held.
func (b *Breaker) drop(e *list.Element) {
	delete(b.records, b.order.Remove(e).(*record).pair)
}

// forget drops the records at the end that nobody has used for long. b.mu is held.
func (b *Breaker) forget(now time.Time) {
	for e := b.order.Back(); e != nil && e.Value.(*record).forgotten(now); e = b.order.Back() {
		b.drop(e)
	}
}

func (r *record) forgotten(now time.Time) bool { return now.Sub(r.used) > r.wait+forgets }

// Snapshot is a breaker at one moment.
type Snapshot struct {
	Refused int64  // calls
	Open    []Open // by method, then caller
}

// Open is a pair whose calls are refused.
type Open struct {
	Method, Caller string
	Since          time.Time
	Next           time.Time // when a call is let through
}

// Snapshot returns the breaker as it is now.
func (b *Breaker) Snapshot(now time.Time) Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	s := Snapshot{Refused: b.refused}
	for _, e := range b.records {
		if r := e.Value.(*record); r.open && !r.forgotten(now) {
			s.Open = append(s.Open, Open{r.method, r.caller, r.since, r.until})
		}
	}
	slices.SortFunc(s.Open, func(a, b Open) int { return cmp.Or(cmp.Compare(a.Method, b.Method), cmp.Compare(a.Caller, b.Caller)) })
	return s
}
