package lease

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/cluster/voids"
)

// Keeper keeps replies that this gateway or another one may make void: a cache. Its methods are quick, and call nothing of the Runner.
type Keeper interface {
	Void(ids []voids.ID) // as another gateway says
	VoidAll()            // something may have been missed
}

// partTime bounds the wait on the way out for those who have yet to hear what was made void last.
const partTime = 250 * time.Millisecond

// Keep has k told of all that other gateways make void from now on; it is to drop what it has kept before. nil: no replies are kept here.
func (r *Runner) Keep(k Keeper) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k == r.keeper {
		return
	}
	r.keeper = k
	r.ledger.SetKeeps(k != nil, time.Now())
	if k != nil {
		k.VoidAll()
	}
	r.rouseVoids()
}

// Tell tells the others what this gateway has made void. It does not wait.
func (r *Runner) Tell(ids []voids.ID) {
	r.ledger.Tell(ids)
	r.rouseVoids()
}

// SetFollowed says whether another process serves already in this one's place, which has not been heard yet: nobody knows what it makes void.
func (r *Runner) SetFollowed(followed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.SetFollowed(followed, time.Now())
	r.rouseVoids()
}

func (r *Runner) rouseVoids() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// speak tells the others what is void, until ctx ends.
func (r *Runner) speak(ctx context.Context) {
	due := time.NewTimer(0)
	defer due.Stop()
	for ctx.Err() == nil {
		if wait := r.sayVoid(); wait >= 0 {
			due.Reset(wait)
		} else {
			due.Stop()
		}
		select {
		case <-ctx.Done():
		case <-r.news:
		case <-due.C:
		}
		pause(ctx, minGap)
	}
}

// sayVoid sends what is due, and returns how long nothing is after that; below zero: for ever.
func (r *Runner) sayVoid() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, o := range r.ledger.Step(now) {
		if to := r.at[o.Peer]; to.IsValid() {
			r.sent++
			_, _ = r.socket.WriteToUDPAddrPort(Seal(r.key, o.Message.Append(nil)), to)
		}
	}
	r.dropLost()
	return r.ledger.Wait(now)
}

// dropLost has all dropped where something may have been missed. r.mu is held.
func (r *Runner) dropLost() {
	if r.ledger.Lost() && r.keeper != nil {
		r.keeper.VoidAll()
	}
}

// judgeVoids takes in who has ended, and who is at another run. r.mu is held.
func (r *Runner) judgeVoids() {
	now := time.Now()
	for i := range r.peers {
		run, number := r.node.Run(i)
		r.ledger.Met(i, run, number, r.node.Gone(i), now)
	}
	r.dropLost()
	if r.ledger.Wait(now) == 0 {
		r.rouseVoids()
	}
}

// hearVoid takes a message of peer i about what is void. r.mu is held.
func (r *Runner) hearVoid(i int, b []byte, drop func(reason string)) {
	m, err := voids.Parse(b)
	if err != nil {
		drop("form")
		return
	}
	now := time.Now()
	ids, taken := r.ledger.Receive(i, m, now)
	r.dropLost()
	if r.keeper != nil && len(ids) > 0 {
		r.keeper.Void(ids)
	}
	if !taken {
		drop("late")
	} else {
		r.taken++
	}
	if r.ledger.Wait(now) == 0 {
		r.rouseVoids()
	}
}

// part says goodbye to those who are told what is void, once they have heard all.
func (r *Runner) part() {
	r.mu.Lock()
	r.ledger.Close()
	r.mu.Unlock()
	for end := time.Now().Add(partTime); time.Now().Before(end); pause(context.Background(), time.Millisecond) {
		r.rouseVoids()
		r.mu.Lock()
		parted := r.ledger.Parted(time.Now())
		r.mu.Unlock()
		if parted {
			return
		}
	}
}

// Voids is what was counted of what is void.
type Voids struct {
	voids.Counts
	Silent int             // gateways that do not vouch for what is kept
	Ages   []time.Duration // how long ago each has done so, by member; below zero: it has not
}

// voids is what is known of that, in the order of Node.Members. r.mu is held.
func (r *Runner) voids(now time.Time) *Voids {
	if r.keeper == nil {
		return nil
	}
	v := &Voids{r.ledger.Counts(), r.ledger.Silent(now), []time.Duration{-1}}
	for i, p := range r.node.peers {
		if !p.self {
			v.Ages = append(v.Ages, r.ledger.Age(i, now))
		}
	}
	return v
}
