package lease

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/cluster/view"
)

// Viewed is an upstream whose calls are told: a cluster.
type Viewed interface {
	Calls(buf []view.Calls) (all []view.Calls, waiting bool)
	SetOthers(others []view.Calls, sharers int)
}

// sight is what a Runner tells and hears of calls in flight. Runner.mu guards it.
type sight struct {
	*view.View
	times   view.Times
	viewed  map[string]Viewed // by the name that all gateways call it by
	runs    []uint64          // of the peers whose words are taken
	sharers int               // gateways that live, as the upstreams know it
	calls   []view.Calls
	names   []string
	raw     []byte
}

func newSight(inc uint64, now time.Time) sight {
	times := view.DefaultTimes()
	return sight{View: view.New(inc, now, times, 0), times: times, viewed: map[string]Viewed{}, sharers: 1}
}

func (s *sight) setPeers(n int) {
	s.View.SetPeers(n)
	s.runs = make([]uint64, n)
}

// View adds an upstream whose calls are told to the others, by the name that all gateways call it by; nil takes it out.
func (r *Runner) View(name string, up Viewed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.sight
	if up == nil {
		s.end(name)
		return
	}
	s.viewed[name] = up
	s.own(name, up)
	s.Repeat(name)
	up.SetOthers(nil, s.sharers)
	s.spread()
}

// Busy says that an upstream has a call. It does not wait, and costs next to nothing while calls are told anyway.
func (r *Runner) Busy() {
	if !r.looks.Load() {
		r.rouseSight()
	}
}

func (r *Runner) rouseSight() {
	select {
	case r.stir <- struct{}{}:
	default:
	}
}

// look tells the others what is in flight here, every view.Times.Tick while there is any, until ctx ends.
func (r *Runner) look(ctx context.Context) {
	tick := time.NewTicker(r.sight.times.Tick)
	defer tick.Stop()
	for ctx.Err() == nil {
		r.looks.Store(true)
		for r.glance() && ctx.Err() == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		r.looks.Store(false)
		if r.glance() { // a call that has come since counted on being seen
			continue
		}
		tick.Stop()
		select {
		case <-r.stir:
		case <-ctx.Done():
		}
		tick.Reset(r.sight.times.Tick)
	}
}

// glance tells what there is to tell, and reports whether there may be more in a moment.
func (r *Runner) glance() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, busy := &r.sight, false
	if len(s.viewed) == 0 {
		return false
	}
	for name, up := range s.viewed {
		busy = s.own(name, up) || busy
	}
	for _, m := range s.Tell(time.Now()) {
		s.raw = Seal(r.key, m.Append(s.raw[:0]))
		for i, to := range r.at {
			if to.IsValid() && s.runs[i] != 0 {
				r.sent++
				_, _ = r.socket.WriteToUDPAddrPort(s.raw, to)
			}
		}
	}
	s.spread()
	return busy || !s.Quiet()
}

// own takes in what an upstream has in flight, and reports whether calls wait.
func (s *sight) own(name string, up Viewed) (waiting bool) {
	s.calls, waiting = up.Calls(s.calls[:0])
	s.Own(name, s.calls)
	return waiting
}

// end takes an upstream out: nobody tells it any more what others have.
func (s *sight) end(name string) {
	up := s.viewed[name]
	if up == nil {
		return
	}
	delete(s.viewed, name)
	s.Drop(name)
	s.calls, _ = up.Calls(s.calls[:0])
	for i := range s.calls {
		s.calls[i].Calls = 0
	}
	up.SetOthers(s.calls, 1)
}

// spread gives the upstreams what has changed in what others have in flight.
func (s *sight) spread() {
	s.names = s.Names(s.names[:0])
	for _, name := range s.names {
		s.calls = s.Others(name, s.calls[:0])
		s.viewed[name].SetOthers(s.calls, s.sharers)
	}
}

// judge lets go of the words of those who have ended, or are at another run, and tells the upstreams how many gateways live. r.mu is held.
func (r *Runner) judge() {
	s := &r.sight
	for i := range s.runs {
		if run, _ := r.node.Run(i); run != s.runs[i] {
			s.runs[i] = run
			s.Forget(i)
		}
	}
	if living := r.node.Living(time.Now()); living != s.sharers {
		s.sharers = living
		for _, up := range s.viewed {
			up.SetOthers(nil, living)
		}
	}
	s.spread()
}

// hear takes a message about calls of peer i. One that is not of the peer's present run, or older than its last one of the other kind by
// more than a word holds, is late: somebody may have kept it. r.mu is held.
func (r *Runner) hear(i int, b []byte, drop func(reason string)) {
	s := &r.sight
	m, err := view.Parse(b)
	if err != nil {
		drop("form")
		return
	}
	run, last := r.node.Run(i)
	if run == 0 || m.From != run || m.From != s.runs[i] || m.Number+uint64(s.times.Expiry) < last || !s.Receive(i, m, time.Now()) {
		drop("late")
		return
	}
	r.taken++
	s.spread()
	if !r.looks.Load() { // to let go of what it said
		r.rouseSight()
	}
}

// heard is what is known of each member's words, in the order of Node.Members. r.mu is held.
func (r *Runner) heard(now time.Time) (all []view.Heard) {
	if len(r.sight.viewed) == 0 {
		return nil
	}
	all = append(all, view.Heard{Age: -1})
	for i, p := range r.node.peers {
		if !p.self {
			all = append(all, r.sight.Heard(i, now))
		}
	}
	return all
}
