package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// The states of a source.
const (
	Waiting = "waiting" // it has not answered yet
	Good    = "good"    // its last answer is in force
	Stale   = "stale"   // an answer before is kept in force: the source fails, or names no endpoint any more
	Empty   = "empty"   // it names no endpoint, and there is none in force
)

// State is a source at one moment.
type State struct {
	Source    string
	State     string
	Since     time.Time // when that began
	Updated   time.Time // when the set that is in force was last confirmed; zero: never
	Endpoints int       // in force
	Problem   string    // why it is not Good, or what is not understood of what is in force; "" for nothing
	Failures  int64     // how often the source could not be asked, or was broken
}

// KeeperConfig is what a Keeper needs.
type KeeperConfig struct {
	// Update gets each new set: sorted by address, each address once. Calls do not overlap.
	Update func([]rpc.Endpoint)
	// HoldEmpty is how long the last good set stays in force after the source has first said that there is no endpoint; zero: no time.
	HoldEmpty time.Duration
	// Max bounds the endpoints of an answer; one with more is refused. Default MaxEndpoints.
	Max int
	// Changed, if set, is told of each new state, and each new problem. It is to be quick.
	Changed func(State)
}

// A Keeper follows a source. A source that fails changes nothing: the last good set stays in force for as long as that takes. One that
// says that there is no endpoint is believed after HoldEmpty. Endpoints go to Update only when they have changed. Safe for concurrent use;
// one Run at a time.
type Keeper struct {
	mu     sync.Mutex
	config KeeperConfig
	last   []rpc.Endpoint // in force
	state  State
	none   time.Time   // since when the source says that there is no endpoint; zero: it does not
	hold   *time.Timer // ends that; nil: it does not run
	said   bool        // the last that it said was that
	life   int         // number of the Run that may tell
}

// NewKeeper returns a Keeper. What is in force already, if anything is, stays so until the first answer.
func NewKeeper(inForce []rpc.Endpoint) *Keeper {
	last := merge(slices.Clone(inForce))
	return &Keeper{last: last, state: State{State: Waiting, Since: time.Now(), Endpoints: len(last)}}
}

// Run follows r until ctx ends, and returns when r has. What is in force stays so afterwards, and goes to Update again when the next Run
// begins, with the same source or another.
func (k *Keeper) Run(ctx context.Context, c KeeperConfig, r Resolver) {
	if c.Max == 0 {
		c.Max = MaxEndpoints
	}
	k.mu.Lock()
	k.config = c
	k.life++
	life := k.life
	if source := r.String(); source != k.state.Source {
		k.state.Source, k.state.State, k.state.Problem, k.state.Since = source, Waiting, "", time.Now()
	}
	if len(k.last) > 0 {
		c.Update(slices.Clone(k.last))
	}
	k.mu.Unlock()
	r.Run(ctx, func(endpoints []rpc.Endpoint, err error) {
		if ctx.Err() == nil { // what fails while it ends is no news
			k.tell(life, endpoints, err)
		}
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.life++ // the hold tells nothing any more
	k.endHold()
}

// State returns the source as it is now.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

func (k *Keeper) tell(life int, endpoints []rpc.Endpoint, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	endpoints = merge(endpoints)
	k.said = len(endpoints) == 0 && (err == nil || errors.Is(err, ErrNone))
	switch {
	case len(endpoints) > k.config.Max:
		k.fail(now, fmt.Errorf("the source names %d endpoints; more than %d are not taken", len(endpoints), k.config.Max))
	case len(endpoints) > 0:
		k.endHold()
		k.state.Updated = now
		k.use(endpoints)
		k.enter(now, Good, err)
	case k.said:
		k.empty(life, now, err)
	default:
		k.fail(now, err)
	}
}

// fail keeps what is in force. k.mu is held.
func (k *Keeper) fail(now time.Time, err error) {
	k.state.Failures++
	state := Stale
	if len(k.last) == 0 {
		state = k.state.State // Waiting or Empty
	}
	k.enter(now, state, err)
}

// empty keeps what is in force until the source has said for long enough that there is nothing. k.mu is held.
func (k *Keeper) empty(life int, now time.Time, err error) {
	if err == nil {
		err = ErrNone
	}
	if k.none.IsZero() {
		k.none = now
	}
	left := k.none.Add(k.config.HoldEmpty).Sub(now)
	if len(k.last) == 0 || left <= 0 {
		k.use(nil)
		k.state.Updated = now
		k.enter(now, Empty, err)
		return
	}
	k.enter(now, Stale, err)
	if k.hold == nil {
		k.hold = time.AfterFunc(left, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			if life == k.life && k.said { // else it is believed when it says so again
				k.empty(life, time.Now(), err)
			}
		})
	}
}

// endHold is for a source that names endpoints again. k.mu is held.
func (k *Keeper) endHold() {
	k.none = time.Time{}
	if k.hold != nil {
		k.hold.Stop()
		k.hold = nil
	}
}

// use puts a set in force. k.mu is held.
func (k *Keeper) use(endpoints []rpc.Endpoint) {
	if !slices.Equal(endpoints, k.last) {
		k.last = endpoints
		k.config.Update(slices.Clone(endpoints))
	}
	k.state.Endpoints = len(endpoints)
}

// enter notes what the source is now. k.mu is held.
func (k *Keeper) enter(now time.Time, state string, err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if state == k.state.State && problem == k.state.Problem {
		return
	}
	if state != k.state.State {
		k.state.Since = now
	}
	k.state.State, k.state.Problem = state, problem
	if k.config.Changed != nil {
		k.config.Changed(k.state)
	}
}

// merge sorts endpoints by address and leaves out what is there twice: of two with one address the first stays.
func merge(endpoints []rpc.Endpoint) []rpc.Endpoint {
	slices.SortStableFunc(endpoints, func(a, b rpc.Endpoint) int { return strings.Compare(a.Address, b.Address) })
	return slices.CompactFunc(endpoints, func(a, b rpc.Endpoint) bool { return a.Address == b.Address })
}
