package cluster_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// asked has the peers answer checks, and returns how many there were.
func (x *fleet) asked() *atomic.Int64 {
	checks := new(atomic.Int64)
	for _, p := range x.peers {
		p.Hidden = func(transport.Message) fakepeer.Answer {
			checks.Add(1)
			return fakepeer.Answer{Unknown: true}
		}
	}
	return checks
}

// watching runs f beside Watch, and waits for its end.
func (x *fleet) watching(t *testing.T, f func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { x.Watch(ctx) })
	f()
	cancel()
	wg.Wait()
}

func (x *fleet) state(i int) string { return x.Snapshot().Endpoints[i].State }

// An endpoint without traffic is asked once an interval, and a tenth of it later at most, on a connection that is closed at once; no check is counted as a call, and the
// snapshot has what came of the last one.
func TestChecksWithoutTraffic(t *testing.T) {
	opts := cluster.Options{Checks: cluster.Checks{Interval: 10 * time.Second}}
	with(t, 1, opts, working(0), func(t *testing.T, x *fleet) {
		checks := x.asked()
		x.watching(t, func() {
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			e := x.Snapshot().Endpoints[0]
			if n := checks.Load(); n < 54 || n > 60 {
				t.Errorf("%d checks in ten minutes", n)
			}
			if e.Calls != 0 || e.Failures != 0 || e.P99 != 0 || e.Connections != 0 || e.InFlight != 0 || x.open.Load() != 0 {
				t.Errorf("after checks alone: %+v, %d connections", e, x.open.Load())
			}
			if e.Check != "application_exception" || time.Since(e.Checked) > 11*time.Second {
				t.Errorf("the last check came to %q, %v ago", e.Check, time.Since(e.Checked))
			}
		})
	})
}

// Endpoints whose calls are answered are not asked, and nor are those of a cluster without checks; the checks of one that gets some, and loses
// them again, begin and end with that.
func TestTrafficProvesLife(t *testing.T) {
	opts := cluster.Options{Checks: cluster.Checks{Interval: 10 * time.Second}}
	with(t, 2, opts, working(time.Millisecond), func(t *testing.T, x *fleet) {
		checks := x.asked()
		x.watching(t, func() {
			_, _ = x.many(t, 2, time.Second)
			checks.Store(0)
			for range 600 {
				_, _ = x.many(t, 2, time.Second)
				time.Sleep(time.Second)
			}
			if n := checks.Load(); n > 2 { // the first look at each
				t.Errorf("%d checks beside calls", n)
			}
			x.Configure(cluster.Options{Queue: cluster.Default().Queue})
			checks.Store(0)
			if time.Sleep(time.Hour); checks.Load() != 0 {
				t.Errorf("%d checks, and there are to be none", checks.Load())
			}
			x.Configure(cluster.Options{Queue: cluster.Default().Queue, Checks: opts.Checks})
			if time.Sleep(time.Minute); checks.Load() < 10 {
				t.Errorf("%d checks in a minute, and there are to be some again", checks.Load())
			}
		})
	})
}

// An endpoint that is gone is found out without a call, and is back without one: the only endpoint comes back, and not one call has met it
// while it was down.
func TestDownAndBackByChecks(t *testing.T) {
	var told []string
	opts := cluster.Options{
		Checks:  cluster.Checks{Interval: 10 * time.Second},
		OnState: func(endpoint, state string) { told = append(told, endpoint+" "+state) },
	}
	with(t, 2, opts, working(time.Millisecond), func(t *testing.T, x *fleet) {
		x.asked()
		x.watching(t, func() {
			x.stop[0]()
			time.Sleep(12 * time.Second)
			if x.state(0) != balance.Down || x.state(1) != balance.Up {
				t.Errorf("without a call: %s, %s", x.state(0), x.state(1))
			}
			for range 2000 { // 20 s and more: its pauses are over now and then
				if _, err := x.Handle(t.Context(), call(time.Second)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if e := x.Snapshot().Endpoints[0]; e.Calls != 0 || e.State != balance.Down || e.Check != "refused" {
				t.Errorf("while it is down: %+v", e)
			}
			l, err := x.network.Listen(address(0))
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() { x.peers[0].Serve(l) })
			time.Sleep(5*time.Second + 10*time.Millisecond) // the longest pause
			if x.state(0) != balance.Up {
				t.Errorf("five seconds after it is back it is %s", x.state(0))
			}
			if want := []string{"users-1 down", "users-1 up"}; !slices.Equal(told, want) {
				t.Errorf("OnState was told %q", told)
			}
			l.Close()
		})
	})
}

// Where a call finds out that an endpoint is gone, checks find out that it is back: the only endpoint is down for a minute, and one call has met it.
func TestDownByACallAndBackByChecks(t *testing.T) {
	opts := cluster.Options{Checks: cluster.Checks{Interval: time.Hour}}
	with(t, 1, opts, working(time.Millisecond), func(t *testing.T, x *fleet) {
		x.watching(t, func() {
			synctest.Wait() // it looks, and sleeps
			x.stop[0]()
			for range 60 {
				if _, err := x.Handle(t.Context(), call(10*time.Second)); err == nil {
					t.Fatal("who answered?")
				}
				time.Sleep(time.Second)
			}
			if e := x.Snapshot().Endpoints[0]; e.Calls != 1 || e.State != balance.Down {
				t.Errorf("while it is down: %+v", e)
			}
			l, err := x.network.Listen(address(0))
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() { x.peers[0].Serve(l) })
			time.Sleep(5*time.Second + 10*time.Millisecond) // the longest pause
			if _, err := x.Handle(t.Context(), call(time.Second)); err != nil {
				t.Error(err)
			}
			l.Close()
		})
	})
}

// One that takes connections and never answers is down after three checks, and back after one that it answers. One worker that is at work at
// a long call is not asked, whatever the interval.
func TestHangsByChecks(t *testing.T) {
	opts := cluster.Options{Checks: cluster.Checks{Interval: time.Second, Timeout: 500 * time.Millisecond}}
	with(t, 1, opts, working(time.Minute), func(t *testing.T, x *fleet) {
		var checks atomic.Int64
		var healthy atomic.Bool
		x.peers[0].Hidden = func(transport.Message) fakepeer.Answer {
			if checks.Add(1); healthy.Load() {
				return fakepeer.Answer{Unknown: true}
			}
			time.Sleep(time.Minute)
			return fakepeer.Answer{}
		}
		x.watching(t, func() {
			if time.Sleep(2*time.Second + 700*time.Millisecond); x.state(0) != balance.Up {
				t.Errorf("after %d checks it is %s", checks.Load(), x.state(0))
			}
			if time.Sleep(4 * time.Second); x.state(0) != balance.Down {
				t.Errorf("after %d checks it is %s", checks.Load(), x.state(0))
			}
			healthy.Store(true)
			if time.Sleep(6 * time.Second); x.state(0) != balance.Up {
				t.Errorf("when it answers it is %s", x.state(0))
			}
			checks.Store(0)
			if _, err := x.Handle(t.Context(), call(2*time.Minute)); err != nil || checks.Load() > 0 {
				t.Errorf("%d checks beside a call of a minute: %v", checks.Load(), err)
			}
			if most := x.most.Load(); most > 1 {
				t.Errorf("%d connections to one worker", most)
			}
		})
	})
}

// Endpoints without a slot, since others have them, and those that are drained are not asked.
func TestNobodyIsAskedWithoutASlot(t *testing.T) {
	opts := cluster.Options{Leased: true, Checks: cluster.Checks{Interval: time.Second}}
	with(t, 2, opts, working(0), func(t *testing.T, x *fleet) {
		checks := x.asked()
		x.watching(t, func() {
			if time.Sleep(time.Minute); checks.Load() != 0 {
				t.Errorf("%d checks without a slot", checks.Load())
			}
			x.Update([]rpc.Endpoint{{Address: address(0), Drained: true}, {Address: address(1)}})
			x.SetLimits(map[string]int{address(0): 1, address(1): 1})
			if time.Sleep(time.Minute); checks.Load() < 50 || x.Snapshot().Endpoints[0].Check != "" {
				t.Errorf("%d checks with one, and of the drained one: %q", checks.Load(), x.Snapshot().Endpoints[0].Check)
			}
		})
	})
}

// An endpoint that is drained by its weight takes no new call; those that it works at are answered, and its connections are closed. Where all
// are, calls are refused at once, also those that wait, with a text that says so.
func TestDrainedByWeight(t *testing.T) {
	with(t, 2, cluster.Options{}, working(time.Second), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			wg.Go(func() { _, errs[i] = x.Handle(t.Context(), call(5*time.Second)) })
		}
		synctest.Wait() // two at work, one waits
		endpoints := []rpc.Endpoint{
			{Address: address(0), Name: "users-1", Drained: true}, {Address: address(1), Name: "users-2", Drained: true},
		}
		x.Update(endpoints)
		wg.Wait()
		refused := 0
		for _, err := range errs {
			if err != nil {
				refused++
				if err.Error() != "upstream Users: every endpoint is drained [UNAVAILABLE, not sent]" {
					t.Errorf("the one that waited: %v", err)
				}
			}
		}
		time.Sleep(time.Millisecond)
		if refused != 1 || x.open.Load() != 0 || x.state(0) != balance.Drained || x.Answering() {
			t.Errorf("%d were refused, %d connections are open, it is %s, answering: %v", refused, x.open.Load(), x.state(0), x.Answering())
		}
		endpoints[1].Drained = false
		x.Update(endpoints)
		for range 5 {
			if _, err := x.Handle(t.Context(), call(5*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if e := x.Snapshot().Endpoints; e[0].Calls != 1 || e[1].Calls != 6 {
			t.Errorf("calls: %d and %d", e[0].Calls, e[1].Calls)
		}
	})
}

// When the own zone is lost every call is answered by another one, and the zone has its calls again once it is back.
func TestZoneLoss(t *testing.T) {
	opts := cluster.Options{Slots: 4, Zone: "a"}
	with(t, 4, opts, working(5*time.Millisecond), func(t *testing.T, x *fleet) {
		var endpoints []rpc.Endpoint
		for i := range 4 {
			endpoints = append(endpoints, rpc.Endpoint{Address: address(i), Name: x.Snapshot().Endpoints[i].Name, Zone: string(rune('a' + i/2))})
		}
		x.Update(endpoints)
		calls := func(n int) (errors int, far int64) {
			before := x.Snapshot().Endpoints
			for range n {
				c := call(time.Second)
				for range 3 { // a call of which nothing was sent is tried again
					_, err := x.Handle(t.Context(), c)
					if err == nil {
						break
					}
					if c.Avoid = rpc.AsError(err, "").Endpoint; rpc.AsError(err, "").Reach != rpc.NotSent {
						errors++
						break
					}
				}
				time.Sleep(5 * time.Millisecond)
			}
			after := x.Snapshot().Endpoints
			return errors, after[2].Calls + after[3].Calls - before[2].Calls - before[3].Calls
		}
		if errs, far := calls(200); errs != 0 || far != 0 {
			t.Errorf("%d errors, %d calls left the zone", errs, far)
		}
		time.Sleep(3 * time.Second) // no connection is left that could end a call
		x.stop[0]()
		x.stop[1]()
		if errs, far := calls(200); errs != 0 || far != 200 {
			t.Errorf("with the zone lost: %d errors, %d of 200 calls elsewhere", errs, far)
		}
		var wg sync.WaitGroup
		for i := range 2 {
			l, err := x.network.Listen(address(i))
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { x.peers[i].Serve(l) })
			defer func() { l.Close() }()
		}
		calls(2000) // ten seconds and more
		if errs, far := calls(200); errs != 0 || far != 0 {
			t.Errorf("with the zone back: %d errors, %d calls left it", errs, far)
		}
	})
}
