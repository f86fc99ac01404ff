package cluster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
)

// A cluster that shares its endpoints has no slot of its own: a call waits, which the others are told, until some are left to it.
func TestLeasedSlots(t *testing.T) {
	told := make(chan bool, 100)
	opts := cluster.Options{Slots: 4, Leased: true, Changed: func(waiting bool) { told <- waiting }}
	with(t, 1, opts, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, err := x.Handle(t.Context(), call(time.Minute)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if u := x.Usage(); u.Waiting != 6 || len(u.Endpoints) != 1 || u.Endpoints[0] != (cluster.EndpointUsage{Address: address(0), Slots: 4}) {
			t.Errorf("before: %+v", u)
		}
		if len(told) != 3 || !<-told { // of the first, the second and the fourth
			t.Errorf("told %d times of 6 calls that wait", len(told))
		}
		start := time.Now()
		x.SetLimits(map[string]int{address(0): 2})
		synctest.Wait()
		if u := x.Usage(); u.Waiting != 4 || u.Endpoints[0] != (cluster.EndpointUsage{Address: address(0), Slots: 4, Limit: 2, Open: 2, Busy: 2}) {
			t.Errorf("with two: %+v", u)
		}
		x.Own()
		synctest.Wait()
		if u := x.Usage(); u.Waiting != 2 || u.Endpoints[0].Limit != 4 {
			t.Errorf("with all: %+v", u)
		}
		wg.Wait()
		if took := time.Since(start); took != 200*time.Millisecond || x.most.Load() != 4 {
			t.Errorf("6 calls took %v with %d connections", took, x.most.Load())
		}
	})
}

// Fewer slots close free connections at once, and those with a call when it has ended; more than are declared are none.
func TestFewerSlots(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 4, Leased: true}, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		x.SetLimits(map[string]int{address(0): 100})
		if _, errs := x.many(t, 8, time.Minute); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		x.SetLimits(map[string]int{address(0): 1})
		if u := x.Usage().Endpoints[0]; u.Open != 1 || u.Limit != 1 {
			t.Errorf("free ones: %+v", u)
		}
		var wg sync.WaitGroup
		wg.Go(func() { x.many(t, 1, time.Minute) })
		synctest.Wait()
		x.SetLimits(map[string]int{address(0): 0})
		if u := x.Usage().Endpoints[0]; u.Open != 1 || u.Limit != 0 || u.Busy != 1 {
			t.Errorf("one with a call: %+v", u)
		}
		wg.Wait()
		synctest.Wait()
		if u := x.Usage().Endpoints[0]; u.Open != 0 {
			t.Errorf("at the end: %+v", u)
		}
		if most := x.most.Load(); most != 4 {
			t.Errorf("%d connections at once", most)
		}
	})
}

// An endpoint never has more connections than slots: not when a connection has become too old, nor when the endpoint is taken out and put
// in again while it is at work.
func TestNeverMoreConnectionsThanSlots(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 2, IdleExpiry: 20 * time.Millisecond}, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 100 {
					if _, err := x.Handle(t.Context(), call(time.Minute)); err != nil && code(err) != rpc.Unavailable {
						t.Error(err)
					}
					time.Sleep(time.Duration((n*7+i*5)%40) * time.Millisecond)
				}
			})
		}
		for range 50 {
			time.Sleep(33 * time.Millisecond)
			x.Update(nil)
			if u := x.Usage().Endpoints; len(u) > 0 && (u[0].Slots != 0 || u[0].Open == 0) {
				t.Errorf("taken out: %+v", u)
			}
			x.Update([]rpc.Endpoint{{Address: address(0), Name: "users-1"}})
		}
		wg.Wait()
		if most := x.most.Load(); most != 2 {
			t.Errorf("%d connections at once", most)
		}
	})
}

// A question for a sign of life takes a slot, and is not asked once a call was answered.
func TestProbeTakesASlot(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 1}, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		failed := errors.New("no sign of life")
		err := x.Probe(t.Context(), func(_ context.Context, to string) error {
			if u := x.Usage().Endpoints[0]; to != address(0) || u.Busy != 1 {
				t.Errorf("asks %s meanwhile %+v", to, u)
			}
			return failed
		})
		if !errors.Is(err, failed) || x.Usage().Endpoints[0].Open != 0 {
			t.Errorf("%v, then %+v", err, x.Usage())
		}
		var wg sync.WaitGroup
		wg.Go(func() { x.many(t, 1, time.Minute) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		ask := func(context.Context, string) error {
			t.Error("asked")
			return nil
		}
		if err := x.Probe(ctx, ask); code(err) != rpc.DeadlineExceeded {
			t.Errorf("every slot is taken: %v", err)
		}
		wg.Wait()
		if err := x.Probe(t.Context(), ask); err != nil {
			t.Error(err)
		}
	})
}

// Slots of a drained endpoint are of no use to the cluster, which those that share it are told; they are again once it is no longer drained.
func TestDrainedSlotsAreForOthers(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 4, Leased: true}, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		x.SetLimits(map[string]int{address(0): 4})
		if _, errs := x.many(t, 4, time.Minute); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		for _, drained := range []bool{true, false} {
			x.Update([]rpc.Endpoint{{Name: "users-1", Address: address(0), Drained: drained}})
			want := cluster.EndpointUsage{Address: address(0), Slots: 4, Limit: 4, Down: drained}
			if u := x.Usage().Endpoints[0]; u != want {
				t.Errorf("drained %v: %+v", drained, u)
			}
		}
	})
}
