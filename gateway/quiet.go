package gateway

import (
	"sync"
	"time"
)

// The bounds of lines that callers can cause.
const (
	quietFor    = 10 * time.Second // between two lines of one kind
	maxQuieted  = 1024             // kinds that are told apart
	quietedElse = "else"           // is what the others share
)

// quieter bounds the lines that callers can cause by doing wrong: one of each kind in ten seconds. The zero value is ready.
type quieter struct {
	mu    sync.Mutex
	kinds map[string]*quieted
}

type quieted struct {
	last    time.Time
	dropped int
}

// take reports whether a line of the kind may be written, and how many were not since the last one.
func (q *quieter) take(kind string, now time.Time) (dropped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.kinds == nil {
		q.kinds = map[string]*quieted{}
	}
	k := q.kinds[kind]
	if k == nil && len(q.kinds) >= maxQuieted {
		kind = quietedElse
		k = q.kinds[kind]
	}
	if k == nil {
		k = &quieted{}
		q.kinds[kind] = k
	}
	if !k.last.IsZero() && now.Sub(k.last) < quietFor {
		k.dropped++
		return 0, false
	}
	dropped, k.last, k.dropped = k.dropped, now, 0
	return dropped, true
}
