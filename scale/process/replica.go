package process

import (
	"context"
	"errors"
	"fmt"
	"io"
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

	sight Replica // guarded by set.mu
}

func newReplica(s *Set, number int) *replica {
	name := fmt.Sprintf("%s-%d", s.opts.Name, number)
	log := s.opts.Log.With("replica", name)
	file := &logFile{path: filepath.Join(s.logs, name+".log"), max: maxLogBytes, log: log}
	return &replica{
		set: s, number: number, log: log,
		tail:  &tail{file: file, show: prefixed(s.opts.Output, &s.output, name)},
		sight: Replica{Name: name, State: Starting, Since: time.Now()},
	}
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
		if leaving.Err() != nil {
			return
		}
		at := b.next(l)
		r.change(func(s *Replica) { s.State, s.NextStart, s.LastExit = Backoff, at, why })
		r.log.Error("a replica ended", "why", why, "restart_in", time.Until(at).Round(time.Millisecond), "output", r.lastWords())
		sleep(leaving, time.Until(at))
	}
}

// live is one life of the replica: a process from its start until nothing of it is left. why says how it ended.
func (r *replica) live(ctx, leaving context.Context) (l life, why string) {
	l.started = time.Now()
	defer func() { l.ended = time.Now() }()
	p, read, err := r.start()
	if err != nil {
		return l, "start: " + err.Error()
	}
	defer read()
	limit := r.set.timeouts.Load().Start
	err = r.answers(leaving, p, limit)
	if err == nil {
		l.ready = r.serve(ctx, leaving, p)
	}
	select {
	case <-p.exited():
		r.end(p, 0) // what it left behind holds its socket or port
		return l, p.status()
	default:
	}
	r.change(func(s *Replica) { s.State = Stopping })
	r.end(p, r.set.timeouts.Load().Stop)
	return l, fmt.Sprintf("did not answer within %s: %v", limit, err)
}

// start starts the command. read waits until all that it wrote was taken; call it when the group has ended.
func (r *replica) start() (p process, read func(), err error) {
	s := r.set
	address, err := s.at.next(r.number, r.sight.Address)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			s.at.release(address)
		}
	}()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	sp := s.cfg.fill(r.number, address, s.at.user)
	sp.out = in
	p, err = s.start(sp)
	_ = in.Close() // the child has its own
	if err != nil {
		_ = out.Close()
		return nil, nil, err
	}
	r.change(func(v *Replica) { v.PID, v.Address = p.pid(), address })
	r.log.Info("a replica starts", "pid", p.pid(), "address", address)
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		_, _ = io.Copy(r.tail, out) // ends with the last writer, or at the deadline
	}()
	return p, func() {
		_ = out.SetReadDeadline(time.Now().Add(drainOutput))
		<-taken
		_ = out.Close()
		r.tail.flush()
		s.at.release(address)
		r.change(func(v *Replica) { v.PID = 0 })
	}, nil
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
func (r *replica) serve(ctx, leaving context.Context, p process) time.Duration {
	start := time.Now()
	r.change(func(s *Replica) { s.State = Ready })
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
