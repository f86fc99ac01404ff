package cache

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// guard is a store that may be away, slow or wrong: callers wait for it for no longer than its patience, and not at all once it has been
// found to be away. What is to be made void meanwhile is kept, and told to the store before it is asked again. Safe for concurrent use.
type guard struct {
	name     string
	store    Store
	patience time.Duration
	onState  func(err error) // told why the store is not asked any more, and with nil that it is again; nil: nobody is
	floor    atomic.Uint64   // of the journal: what was found out before, under this store, is void

	ctx    context.Context // of what looks whether it is back
	cancel context.CancelFunc
	probes sync.WaitGroup

	mu      sync.Mutex
	trouble float64 // failures lately
	away    bool
	probe   *time.Timer // that looks whether it is back, or takes what it is owed; nil: nothing has to
	closed  bool
	keys    map[ID]bool // to be deleted
	groups  map[ID]bool // to be made void
}

// The bounds of a guard.
const (
	// DefaultPatience bounds how long a call waits for a store at one time.
	DefaultPatience = 10 * time.Millisecond
	tooMuch         = 5               // failures, each of which five successes make good, from which on a store is away
	awayFor         = time.Second     // after which it is looked whether it is back
	oweFor          = awayFor / 20    // after which it is told again what it is owed, where it answers
	longPatience    = 2 * time.Second // for what it is owed, for which nobody waits
	maxOwed         = 1 << 16         // keys and groups that are to be made void; beyond that, all groups that are known are
)

func newGuard(name string, store Store, patience time.Duration, onState func(err error)) *guard {
	g := &guard{name: name, store: store, patience: patience, onState: onState}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

var errAway = errors.New("the store is away")

// do asks the store.
func (g *guard) do(ctx context.Context, f func(ctx context.Context) error) error {
	g.mu.Lock()
	away := g.away
	g.mu.Unlock()
	if away {
		return errAway
	}
	asked, cancel := context.WithTimeout(ctx, g.patience)
	err := f(asked)
	cancel()
	if err != nil && ctx.Err() != nil {
		return err // that says nothing of the store
	}
	g.found(err)
	return err
}

// found takes in whether the store has answered.
func (g *guard) found(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.away || g.closed {
		return
	}
	if err == nil {
		g.trouble = max(0, g.trouble-0.2)
		return
	}
	if g.trouble++; g.trouble >= tooMuch {
		g.leave(err)
	}
}

// leave gives the store up for a while. g.mu is held.
func (g *guard) leave(err error) {
	g.away, g.trouble = true, 0
	g.lookIn(awayFor)
	g.tell(err)
}

func (g *guard) tell(err error) {
	if g.onState != nil {
		g.onState(err)
	}
}

// lookIn has it looked after a time whether the store is back, and takes what it is owed. g.mu is held.
func (g *guard) lookIn(wait time.Duration) {
	if g.probe != nil && g.probe.Stop() {
		g.probes.Done()
	}
	g.probes.Add(1)
	g.probe = time.AfterFunc(wait, g.lookAgain)
}

// lookAgain asks the store again once it has taken in all that it is owed, and answers in time.
func (g *guard) lookAgain() {
	defer g.probes.Done()
	err := g.settle()
	if err == nil {
		err = g.answers()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	owes := len(g.keys)+len(g.groups) > 0
	switch {
	case g.closed:
	case err != nil && !g.away:
		g.leave(err)
	case err != nil:
		g.lookIn(awayFor)
	case owes: // more has come meanwhile
		g.lookIn(oweFor)
	case g.away:
		g.away = false
		g.tell(nil)
	}
}

func (g *guard) answers() error {
	ctx, cancel := context.WithTimeout(g.ctx, g.patience)
	defer cancel()
	_, err := g.store.Get(ctx, ID{}, nil)
	return err
}

// settle tells the store what it is owed, in pieces.
func (g *guard) settle() error {
	for {
		keys, groups := g.owed(1000)
		if len(keys)+len(groups) == 0 {
			return nil
		}
		ctx, cancel := context.WithTimeout(g.ctx, longPatience)
		err := g.void(ctx, keys, groups)
		cancel()
		if err != nil {
			return err
		}
		g.mu.Lock()
		for _, k := range keys {
			delete(g.keys, k)
		}
		for _, k := range groups {
			delete(g.groups, k)
		}
		g.mu.Unlock()
	}
}

// owed returns up to n of what is to be made void.
func (g *guard) owed(n int) (keys, groups []ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k := range g.keys {
		if len(keys) == n {
			break
		}
		keys = append(keys, k)
	}
	for k := range g.groups {
		if len(keys)+len(groups) == n {
			break
		}
		groups = append(groups, k)
	}
	return keys, groups
}

func (g *guard) void(ctx context.Context, keys, groups []ID) error {
	var err error
	if len(keys) > 0 {
		err = g.store.Delete(ctx, keys...)
	}
	if len(groups) > 0 && err == nil {
		err = g.store.Invalidate(ctx, groups...)
	}
	return err
}

// makeVoid makes things void in the store, now or, with an error that says so, as soon as it can be. instead is what stands for them, a service,
// where more is owed than can be kept.
func (g *guard) makeVoid(ctx context.Context, keys, groups []ID, instead ID) error {
	err := g.do(context.WithoutCancel(ctx), func(ctx context.Context) error { return g.void(ctx, keys, groups) })
	if err == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.keys == nil {
		g.keys, g.groups = map[ID]bool{}, map[ID]bool{}
	}
	if len(g.keys)+len(g.groups)+len(keys)+len(groups) > maxOwed {
		g.groups[instead] = true
	} else {
		for _, k := range keys {
			g.keys[k] = true
		}
		for _, k := range groups {
			g.groups[k] = true
		}
	}
	if !g.away && !g.closed {
		g.lookIn(oweFor)
	}
	return err
}

// owes reports whether the store has not been told yet that a reply is void: what it says of that is not to be believed.
func (g *guard) owes(key ID, groups []ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.keys[key] || len(g.groups) > 0 && slices.ContainsFunc(groups, func(id ID) bool { return g.groups[id] })
}

// close ends what looks whether the store is back, and what is asked of it.
func (g *guard) close() {
	g.cancel()
	g.mu.Lock()
	g.closed, g.away = true, true
	if g.probe != nil && g.probe.Stop() {
		g.probes.Done()
	}
	g.mu.Unlock()
	g.probes.Wait()
}

func (g *guard) state() (away bool, owed int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.away, len(g.keys) + len(g.groups)
}
