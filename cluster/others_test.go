package cluster_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/cluster/view"
	"github.com/thriftloom/thriftloom/rpc"
)

// calls are the cluster's own, as others are told.
func (x *fleet) calls() string {
	all, waiting := x.Calls(nil)
	return fmt.Sprint(all, waiting)
}

// Calls of others take slots: a call waits while they have all, and goes on at the moment when one is told to be free. Its own are told, and
// whoever tells them is woken for each.
func TestOthersTakeSlots(t *testing.T) {
	woken := 0
	opts := cluster.Options{Slots: 2, Busy: func() { woken++ }}
	with(t, 1, opts, working(50*time.Millisecond), func(t *testing.T, x *fleet) {
		x.SetOthers([]view.Calls{{Address: address(0), Calls: 2}, {Address: "unknown", Calls: 9}}, 2)
		if e := x.Snapshot().Endpoints[0]; e.Others != 2 {
			t.Errorf("%+v", e)
		}
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { x.many(t, 1, time.Minute) })
		synctest.Wait()
		if got := x.calls(); got != fmt.Sprintf("[{%s 0}] true", address(0)) || woken != 1 {
			t.Errorf("it waits: %s; woken %d times", got, woken)
		}
		time.Sleep(20 * time.Millisecond)
		x.SetOthers([]view.Calls{{Address: address(0), Calls: 1}}, 2)
		synctest.Wait()
		if got := x.calls(); got != fmt.Sprintf("[{%s 1}] false", address(0)) || woken != 2 {
			t.Errorf("it is there: %s; woken %d times", got, woken)
		}
		wg.Wait()
		if took := time.Since(start); took != 70*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// Slots that are leased are the cluster's own: calls of others take none of them, until they are leased no more.
func TestOthersOfLeasedSlots(t *testing.T) {
	opts := cluster.Options{Slots: 2, Leased: true, Queue: cluster.Default().Queue}
	with(t, 1, opts, working(50*time.Millisecond), func(t *testing.T, x *fleet) {
		x.SetLimits(map[string]int{address(0): 2})
		x.SetOthers([]view.Calls{{Address: address(0), Calls: 2}}, 2)
		start := time.Now()
		x.many(t, 2, time.Minute)
		if took := time.Since(start); took != 50*time.Millisecond {
			t.Errorf("two calls took %v", took)
		}
		opts.Leased = false
		x.Configure(opts)
		if _, errs := x.many(t, 1, 20*time.Millisecond); errs[0] == nil {
			t.Error("a call found a slot where others have all")
		}
		x.SetOthers([]view.Calls{{Address: address(0), Calls: 0}}, 2)
		if _, errs := x.many(t, 1, time.Minute); errs[0] != nil {
			t.Error(errs)
		}
	})
}

// Where the others have every slot and never tell of one that is free, a call waits for no longer than Patience: nobody is shut out.
func TestOthersShutNobodyOut(t *testing.T) {
	with(t, 2, cluster.Options{Slots: 2}, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		x.SetOthers([]view.Calls{{Address: address(0), Calls: 2}, {Address: address(1), Calls: 2}}, 2)
		tick, end := time.NewTicker(5*time.Millisecond), make(chan struct{}) // as who tells the calls does while there are any
		defer tick.Stop()
		go func() {
			for {
				select {
				case <-tick.C:
					x.Calls(nil)
				case <-end:
					return
				}
			}
		}()
		start := time.Now()
		if _, errs := x.many(t, 2, time.Minute); slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
			t.Error(errs)
		}
		if took := time.Since(start); took < balance.Patience || took > balance.Patience+20*time.Millisecond {
			t.Errorf("two calls took %v", took)
		}
		close(end)
	})
}

// Of two endpoints at one address the first has its slots taken, and what is beyond them is taken from the second. One that goes and comes
// back begins with nothing.
func TestOthersAtOneAddress(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 2}, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		both := []rpc.Endpoint{{Address: address(0), Name: "one"}, {Address: address(0), Name: "two"}}
		others := func() (all []int) {
			for _, e := range x.Snapshot().Endpoints {
				all = append(all, e.Others)
			}
			return all
		}
		x.Update(both)
		x.SetOthers([]view.Calls{{Address: address(0), Calls: 3}}, 2)
		if got := others(); !slices.Equal(got, []int{2, 1}) {
			t.Errorf("others %v", got)
		}
		x.Update(both[1:])
		x.Update([]rpc.Endpoint{both[1], both[0]})
		if got := others(); !slices.Equal(got, []int{1, 0}) {
			t.Errorf("one has come back: others %v", got)
		}
	})
}
