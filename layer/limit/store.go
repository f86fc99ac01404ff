package limit

import (
	"context"
	"sync"
	"time"
)

// A Store keeps buckets of calls: the process's own, or one that gateways share.
type Store interface {
	// Take takes one call out of a bucket, which fills at a rate up to so many calls and is full where nobody knows it; ok is false where it
	// is empty. One key has one rate and one burst. It returns when ctx ends, with an error. Safe for concurrent use.
	Take(ctx context.Context, k Key, rate Rate, burst int, now time.Time) (ok bool, err error)
}

// Fallback is a store that may fail, with one that cannot. The fields are set before the first Take and not changed.
type Fallback struct {
	Store Store
	Local *Local
	// Patience bounds how long a call waits for Store. Default 3ms: a refusal has to be prompt.
	Patience time.Duration
	// OnState, if set, is told when Store is not asked any more, and why, and when it is again, with nil. It is to be quick.
	OnState func(err error)

	mu    sync.Mutex
	until time.Time // Store is not asked before then; zero: it works
}

// The bounds of a Fallback.
const (
	defaultPatience = 3 * time.Millisecond
	failedFor       = time.Second // for which a store that has failed is not asked: calls do not wait for it one by one
)

// Take asks Store, or Local where that fails, is slow, or did so a moment ago. Buckets of Local are full then: for a while up to a burst more is
// taken.
func (f *Fallback) Take(ctx context.Context, k Key, rate Rate, burst int, now time.Time) (bool, error) {
	if !f.asks(now) {
		return f.Local.Take(ctx, k, rate, burst, now)
	}
	patience := f.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	asked, cancel := context.WithTimeout(ctx, patience)
	ok, err := f.Store.Take(asked, k, rate, burst, now)
	cancel()
	if err != nil && ctx.Err() != nil { // the caller has gone: that says nothing of the store
		return f.Local.Take(ctx, k, rate, burst, now)
	}
	f.found(err, time.Now())
	if err != nil {
		return f.Local.Take(ctx, k, rate, burst, now)
	}
	return ok, nil
}

// asks reports whether Store is asked. Of a store that has failed, one call a second finds out whether it is back.
func (f *Fallback) asks(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.until.IsZero():
		return true
	case now.Before(f.until):
		return false
	}
	f.until = now.Add(failedFor)
	return true
}

// found takes in whether Store has answered.
func (f *Fallback) found(err error, now time.Time) {
	f.mu.Lock()
	was := f.until.IsZero()
	if f.until = (time.Time{}); err != nil {
		f.until = now.Add(failedFor)
	}
	f.mu.Unlock()
	if f.OnState != nil && was != (err == nil) {
		f.OnState(err)
	}
}
