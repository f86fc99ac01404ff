package cluster_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
)

// watched is one slot and a queue that is watched by default.
var watched = cluster.Options{Slots: 1, Queue: cluster.QueueConfig{MaxCalls: 1000, MaxWait: time.Second, Target: 20 * time.Millisecond, Interval: 100 * time.Millisecond}}

// flood makes a call of group each so often, for a time, and returns the errors by the time of the call, in order.
func (x *fleet) flood(t *testing.T, group string, each, during time.Duration) (errs []error) {
	errs = make([]error, during/each)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = x.Handle(t.Context(), from(group, time.Hour)) })
		time.Sleep(each)
	}
	wg.Wait()
	return errs
}

// Twice as many calls as can be answered: that is found soon after they wait for a quarter of the longest wait, is told once, and is over when fewer come; a queue whose target is 0
// is not watched.
func TestOverloadIsFoundAndEnds(t *testing.T) {
	for _, target := range []time.Duration{20 * time.Millisecond, 0} {
		opts, told := watched, []bool{}
		if opts.Queue.Target = target; target == 0 {
			opts.Queue.MaxWait = time.Hour
		}
		opts.OnOverload = func(on bool) { told = append(told, on) }
		with(t, 1, opts, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
			time.AfterFunc(400*time.Millisecond, func() {
				if x.Snapshot().Overloaded {
					t.Error("overloaded, and calls wait for a fifth of a second")
				}
			})
			time.AfterFunc(1400*time.Millisecond, func() {
				if s := x.Snapshot(); s.Overloaded != (target > 0) {
					t.Errorf("target %v: overloaded is %v after 1.4 s", target, s.Overloaded)
				}
			})
			refused := 0
			for _, err := range x.flood(t, "a", 5*time.Millisecond, 3*time.Second) {
				if code(err) == rpc.ResourceExhausted {
					refused++
				} else if err != nil {
					t.Error(err)
				}
			}
			if target > 0 && (refused < 200 || refused > 400) || target == 0 && refused > 0 {
				t.Errorf("target %v: %d of 600 were refused", target, refused)
			}
			x.flood(t, "a", 20*time.Millisecond, 2*time.Second)
			s := x.Snapshot()
			if s.Overloaded || fmt.Sprint(told) != map[bool]string{true: "[true false]", false: "[]"}[target > 0] {
				t.Errorf("overloaded %v, told %v", s.Overloaded, told)
			}
			sum := s.Shed[1].Crowd + s.Shed[1].Waited
			if int(sum) != refused || s.Shed[1].Priority != rpc.Normal || target > 0 && s.Target != 30*time.Millisecond {
				t.Errorf("shed %+v, target %v; %d were refused", s.Shed, s.Target, refused)
			}
		})
	}
}

// An overloaded upstream still has each caller take its turn: one with few calls loses none to one with many.
func TestOverloadIsOfWhoMakesIt(t *testing.T) {
	with(t, 1, watched, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		wg.Go(func() { x.flood(t, "noisy", time.Millisecond, 4*time.Second) })
		time.Sleep(time.Second)
		for i := range 20 {
			start := time.Now()
			if _, err := x.Handle(t.Context(), from("quiet", time.Minute)); err != nil || time.Since(start) > 50*time.Millisecond {
				t.Errorf("call %d after %v: %v", i, time.Since(start), err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		wg.Wait()
	})
}

// A full queue gives way from below, whoever the callers are; a health check is never refused for overload, and waits for nobody.
func TestFullQueueGivesWayFromBelow(t *testing.T) {
	opts := cluster.Options{Slots: 1, Queue: cluster.QueueConfig{MaxCalls: 3, MaxWait: time.Hour}}
	with(t, 1, opts, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		var order, refused []rpc.Priority
		for _, p := range []rpc.Priority{rpc.Normal, rpc.Background, rpc.Batch, rpc.Normal, rpc.Critical, rpc.Critical, rpc.Background, rpc.Probe} {
			wg.Go(func() {
				c := call(time.Minute)
				c.Priority = p
				_, err := x.Handle(t.Context(), c)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused = append(refused, p)
				} else {
					order = append(order, p)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if got, want := fmt.Sprint(order, refused), "[normal probe critical critical] [background batch background normal]"; got != want {
			t.Errorf("answered and refused: %s, want %s", got, want)
		}
	})
}

// A call that has waited until less time is left than calls of its method take is refused: nobody works at what nobody waits for. One that has
// not waited has its try, so that a method which has become faster is found to be.
func TestCallsThatWouldBeLate(t *testing.T) {
	svc := schema.MustParse("service Users { void getUser(), void report() }").Service("Users")
	work := 100 * time.Millisecond
	script := func(transport.Message) fakepeer.Answer { return fakepeer.Answer{After: work} }
	with(t, 1, patient, script, func(t *testing.T, x *fleet) {
		of := func(timeout time.Duration) *rpc.Call {
			c := call(timeout)
			c.Method = svc.Method("getUser")
			return c
		}
		for range 30 {
			if _, err := x.Handle(t.Context(), of(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for _, tt := range []struct {
			timeout, took time.Duration
			code          rpc.Code
		}{{time.Minute, 100 * time.Millisecond, 0}, {150 * time.Millisecond, 100 * time.Millisecond, rpc.DeadlineExceeded}, {time.Minute, 200 * time.Millisecond, 0}} {
			wg.Go(func() {
				start := time.Now()
				_, err := x.Handle(t.Context(), of(tt.timeout))
				if code(err) != tt.code || time.Since(start).Round(time.Millisecond) != tt.took {
					t.Errorf("a call of %v: after %v %v", tt.timeout, time.Since(start), err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if calls := x.peers[0].Calls.Load(); calls != 32 {
			t.Errorf("the server has had %d calls, want 32", calls)
		}
		if s := x.Snapshot(); s.Shed[1].Late != 1 {
			t.Errorf("shed %+v", s.Shed)
		}
		work = 10 * time.Millisecond
		if _, err := x.Handle(t.Context(), of(50*time.Millisecond)); err != nil {
			t.Errorf("a method that has become faster: %v", err)
		}
	})
}

// A call whose time is over is never sent.
func TestNoDispatchAfterTheDeadline(t *testing.T) {
	with(t, 1, patient, working(time.Millisecond), func(t *testing.T, x *fleet) {
		c := call(time.Millisecond)
		time.Sleep(time.Millisecond)
		if _, err := x.Handle(t.Context(), c); code(err) != rpc.DeadlineExceeded || x.peers[0].Calls.Load() > 0 {
			t.Errorf("%v, and the server has had %d calls", err, x.peers[0].Calls.Load())
		}
	})
}
