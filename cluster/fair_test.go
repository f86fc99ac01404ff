package cluster_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
)

// patient is one slot and a queue that is long enough.
var patient = cluster.Options{Slots: 1, Queue: cluster.QueueConfig{MaxCalls: 1000, MaxWait: time.Hour}}

// from is a call of one caller.
func from(group string, timeout time.Duration) *rpc.Call {
	c := call(timeout)
	c.Caller.Group = group
	return c
}

// crowd lets group make n calls at once, and returns what waits for them and gives their errors.
func (x *fleet) crowd(t *testing.T, group string, n int) func() []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = x.Handle(t.Context(), from(group, time.Hour)) })
	}
	synctest.Wait()
	return func() []error { wg.Wait(); return errs }
}

// Callers take turns: a caller with one call waits for one call of a noisy caller, not for its hundreds.
func TestCallersTakeTurns(t *testing.T) {
	with(t, 1, patient, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		noise := x.crowd(t, "noisy", 200)
		for range 3 {
			start := time.Now()
			if _, err := x.Handle(t.Context(), from("quiet", time.Minute)); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > 300*time.Millisecond {
				t.Errorf("a single call among 200 of another caller took %v", d)
			}
		}
		for _, err := range noise() {
			if err != nil {
				t.Errorf("the noisy caller: %v", err)
			}
		}
	})
}

// Calls of one caller keep their order.
func TestCallsOfOneCallerKeepTheirOrder(t *testing.T) {
	with(t, 1, patient, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 20 {
			group := []string{"a", "b"}[i%2]
			wg.Go(func() {
				_, err := x.Handle(t.Context(), from(group, time.Hour))
				mu.Lock()
				defer mu.Unlock()
				if order = append(order, i); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		last := map[int]int{0: -1, 1: -1}
		for _, i := range order {
			if i < last[i%2] {
				t.Errorf("the order was %v", order)
			}
			last[i%2] = i
		}
	})
}

// A full queue is not closed to who has less in it than another: the last call of the noisiest caller gives way, and is told so.
func TestFullQueueMakesRoomForTheQuiet(t *testing.T) {
	opts := cluster.Options{Slots: 1, Queue: cluster.QueueConfig{MaxCalls: 10, MaxWait: time.Hour}}
	with(t, 1, opts, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		noise := x.crowd(t, "noisy", 11)
		if _, err := x.Handle(t.Context(), from("noisy", time.Minute)); code(err) != rpc.ResourceExhausted {
			t.Errorf("one more of the noisy caller: %v", err)
		}
		start := time.Now()
		if _, err := x.Handle(t.Context(), from("quiet", time.Minute)); err != nil {
			t.Errorf("a quiet caller: %v", err)
		}
		if d := time.Since(start); d > 300*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		refused := 0
		for _, err := range noise() {
			if code(err) == rpc.ResourceExhausted {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		}
		if refused != 1 || x.Snapshot().Refused != 2 {
			t.Errorf("%d of the noisy caller's calls gave way, %d refusals are counted; want 1 and 2", refused, x.Snapshot().Refused)
		}
	})
}
