package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// process is a command that was started, and everything else in its process group.
type process interface {
	pid() int
	exited() <-chan struct{} // closed when the command itself has ended
	status() string          // how it ended; after exited
	terminate()              // asks the whole group to end
	kill()                   // ends the whole group
	alive() bool             // whether a process of the group still lives; after exited
}

// How the end of a group is noticed once the command itself has ended, and how long SIGKILL may take.
const (
	groupPoll = 20 * time.Millisecond
	killWait  = 10 * time.Second
)

// replica is one place in a set, and what keeps a process in it.
type replica struct {
	set    *Set
	number int
	log    *slog.Logger
	tail   *tail
	leave  context.CancelFunc
	back   chan struct{} // holds one: the processes that were given away are this set's again

	// Guarded by set.mu.
	sight Replica
	now   *started // its process; nil while there is none
	ours  bool     // the process is this set's to end, and not another gateway's
	given bool     // … which it was given to
}

// newReplica returns a replica for a number. runs is its process where it runs already, and is another gateway's still; else nil.
func newReplica(s *Set, number int, runs *started) *replica {
	name := fmt.Sprintf("%s-%d", s.opts.Name, number)
	log := s.opts.Log.With("replica", name)
	file := &logFile{path: filepath.Join(s.logs, name+".log"), max: maxLogBytes, log: log}
	r := &replica{
		set: s, number: number, log: log, back: make(chan struct{}, 1), now: runs, ours: runs == nil,
		tail:  &tail{file: file, show: prefixed(s.opts.Output, &s.output, name)},
		sight: Replica{Name: name, State: Starting, Since: time.Now()},
	}
	if runs != nil {
		r.sight = Replica{Name: name, State: Starting, Since: runs.since, PID: runs.pid(), Address: runs.address, Restarts: runs.restarts}
	}
	return r
}

// run keeps a process running until leaving ends, which is when the replica is not wanted any more; ctx ends when the set is not.
func (r *replica) run(ctx, leaving context.Context) {
	defer r.tail.file.close()
	var b backoff
	for first := true; leaving.Err() == nil; first = false {
		r.change(func(s *Replica) {
			s.State, s.NextStart = Starting, time.Time{}
			if !first {
				s.Restarts++
			}
		})
		l, why := r.live(ctx, leaving)
		if !r.awaitBack(leaving) || leaving.Err() != nil {
			return
		}
		at := b.next(l)
		r.change(func(s *Replica) { s.State, s.NextStart, s.LastExit = Backoff, at, why })
		r.log.Error("a replica ended", "why", why, "restart_in", time.Until(at).Round(time.Millisecond), "output", r.lastWords())
		sleep(leaving, time.Until(at))
	}
}

// live is one life of the replica: a process from its start until nothing of it is left, or until it is another gateway's. why says how it
// ended.
func (r *replica) live(ctx, leaving context.Context) (l life, why string) {
	l.started = time.Now()
	defer func() { l.ended = time.Now() }()
	p, runs, err := r.begin()
	if err != nil {
		return l, "start: " + err.Error()
	}
	defer r.done(p)
	limit := r.set.timeouts.Load().Start
	if !runs { // else it has answered before
		err = r.answers(leaving, p, limit)
	}
	if err == nil {
		l.ready = r.serve(ctx, leaving, p)
	}
	select {
	case <-p.exited():
		if r.isOurs() {
			r.end(p, 0) // what it left behind holds its socket or port
		}
		return l, p.status()
	default:
	}
	if !r.isOurs() {
		return l, "another gateway has it"
	}
	r.change(func(s *Replica) { s.State = Stopping })
	r.end(p, r.set.timeouts.Load().Stop)
	return l, fmt.Sprintf("did not answer within %s: %v", limit, err)
}

// begin returns the process that runs already, or starts one.
func (r *replica) begin() (p *started, runs bool, err error) {
	r.set.mu.Lock()
	p = r.now
	r.set.mu.Unlock()
	if p != nil {
		p.watch()
		return p, true, nil
	}
	p, err = r.start()
	return p, false, err
}

// start starts the command.
func (r *replica) start() (p *started, err error) {
	s := r.set
	address, err := s.at.next(r.number, r.sight.Address)
	if err != nil {
		return nil, err
	}
	if p, err = r.startAt(address); err != nil {
		s.at.release(address)
		return nil, err
	}
	s.mu.Lock()
	r.now, r.ours = p, true
	s.mu.Unlock()
	r.change(func(v *Replica) { v.PID, v.Address = p.pid(), address })
	r.log.Info("a replica starts", "pid", p.pid(), "address", address)
	p.listen(r.tail)
	return p, nil
}

// startAt starts the command, to serve at address.
func (r *replica) startAt(address string) (*started, error) {
	s, p := r.set, &started{address: address}
	sp := s.cfg.fill(r.number, address, s.at.user)
	var err error
	if p.out, sp.out, err = os.Pipe(); err != nil {
		return nil, err
	}
	defer sp.out.Close() // the child has its own
	if s.cfg.Adopt {
		if sp.hold, p.leash, err = os.Pipe(); err != nil {
			p.close()
			return nil, err
		}
		defer sp.hold.Close()
	}
	if p.process, err = s.start(sp); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// done ends what belongs to a process of which nothing is left, or that is another gateway's.
func (r *replica) done(p *started) {
	r.set.mu.Lock()
	r.now = nil
	ours := r.ours
	r.set.mu.Unlock()
	p.close()
	r.tail.flush()
	if ours {
		r.set.at.release(p.address)
	}
	r.change(func(v *Replica) { v.PID = 0 })
}

func (r *replica) isOurs() bool {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	return r.ours
}

// awaitBack holds a replica whose process was given away and has ended since: the other gateway starts the next one. It returns false
// where that stays so until leaving ends.
func (r *replica) awaitBack(leaving context.Context) bool {
	r.set.mu.Lock()
	given := r.given
	r.set.mu.Unlock()
	if !given {
		return true
	}
	select {
	case <-r.back:
		return true
	case <-leaving.Done():
		return false
	}
}

// answers waits until the replica answers, for limit at most, and returns why it does not: the last attempt's error, or that its process has ended.
func (r *replica) answers(leaving context.Context, p process, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(leaving, limit)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- r.probe(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-p.exited(): // whatever answers now is not the replica
		cancel()
		_ = <-answer // the probe has ended
		return errors.New("the process ended")
	}
}

// probe tries until the replica answers or ctx ends.
func (r *replica) probe(ctx context.Context) error {
	for failed := 0; ; failed++ {
		once, cancel := context.WithTimeout(ctx, probeTimeout)
		err := r.set.opts.Probe(once, r.sight.Address)
		cancel()
		if err == nil {
			return nil
		}
		if !sleep(ctx, probeDelay(failed)) {
			return err
		}
	}
}

// serve makes the replica an endpoint until it ends or has to leave, and returns for how long it was one. A replica that leaves while
// the set stays is drained.
func (r *replica) serve(ctx, leaving context.Context, p *started) time.Duration {
	start := time.Now()
	r.change(func(s *Replica) { s.State = Ready })
	if !p.since.IsZero() {
		r.change(func(s *Replica) { s.Since = p.since })
	}
	r.set.sendEndpoints()
	r.log.Info("a replica is ready", "pid", p.pid())
	select {
	case <-p.exited():
	case <-leaving.Done():
	}
	r.change(func(s *Replica) { s.State = Stopping })
	r.set.sendEndpoints()
	ready := time.Since(start)
	if leaving.Err() != nil {
		r.drain(ctx, p)
	}
	return ready
}

// drain waits until no call is in flight, the set's ctx ends, or the process does.
func (r *replica) drain(ctx context.Context, p process) {
	if r.set.opts.Drain == nil || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.set.timeouts.Load().Drain)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		r.set.opts.Drain(ctx, r.sight.Name)
	}()
	select {
	case <-drained:
	case <-p.exited():
		cancel()
		<-drained
	}
}

// end ends what is left of the group: SIGTERM, after grace SIGKILL; without grace SIGKILL at once.
func (r *replica) end(p process, grace time.Duration) {
	if grace > 0 {
		p.terminate()
		if gone(p, grace) {
			return
		}
		r.log.Warn("a replica did not end after SIGTERM", "pid", p.pid(), "waited", grace)
	}
	p.kill()
	if gone(p, killWait) {
		return
	}
	err := fmt.Errorf("process group %d of %s still lives %s after SIGKILL", p.pid(), r.sight.Name, killWait)
	r.log.Error("a replica cannot be ended", "error", err)
	r.set.mu.Lock()
	r.set.left = append(r.set.left, err)
	r.set.mu.Unlock()
}

// gone waits until the whole group has ended, at most for limit, and says whether it has.
func gone(p process, limit time.Duration) bool {
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-p.exited():
	case <-late.C:
		return false
	}
	for p.alive() { // nothing tells of the end of processes that are not ours to wait for
		select {
		case <-late.C:
			return false
		case <-time.After(groupPoll):
		}
	}
	return true
}

// change changes what is seen of the replica.
func (r *replica) change(f func(*Replica)) {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	before := r.sight.State
	f(&r.sight)
	if r.sight.State != before {
		r.sight.Since = time.Now()
	}
}

// lastWords returns the last few lines, for the log.
func (r *replica) lastWords() string {
	lines := r.tail.lines()
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// sleep waits for d; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
