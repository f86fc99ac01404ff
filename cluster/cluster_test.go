package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is a cluster over scripted peers on an in-memory network.
type fleet struct {
	*cluster.Cluster
	network *memnet.Network
	peers   []*fakepeer.Peer
	stop    []func() // kills a peer

	open, most atomic.Int64 // connections to all peers, as the cluster itself sees them: being made, and not quite closed, counts
}

// dial counts the connection until its Close has returned.
func (x *fleet) dial(ctx context.Context, address string) (net.Conn, error) {
	if open := x.open.Add(1); open > x.most.Load() {
		x.most.Store(open)
	}
	c, err := x.network.Dial(ctx, address)
	if err != nil {
		x.open.Add(-1)
		return nil, err
	}
	return &counted{Conn: c, open: &x.open}, nil
}

type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return err
}

// with runs f in a bubble of virtual time over n peers with the script.
func with(t *testing.T, n int, opts cluster.Options, script func(m transport.Message) fakepeer.Answer, f func(t *testing.T, x *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		x := &fleet{network: memnet.New()}
		engine := netio.NewPortable()
		opts.Name, opts.Engine, opts.Dialer = "Users", engine, x.dial
		opts.Wire = transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}
		if opts.Queue == (cluster.QueueConfig{}) {
			opts.Queue = cluster.Default().Queue
		}
		x.Cluster = cluster.New(opts)
		var wg sync.WaitGroup
		wg.Go(func() { _ = engine.Run(ctx) })
		var endpoints []rpc.Endpoint
		for i := range n {
			peer := &fakepeer.Peer{Script: script}
			l, err := x.network.Listen(address(i))
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { peer.Serve(l) })
			x.peers = append(x.peers, peer)
			x.stop = append(x.stop, func() { l.Close() })
			endpoints = append(endpoints, rpc.Endpoint{Address: address(i), Name: fmt.Sprint("users-", i+1)})
		}
		x.Update(endpoints)
		f(t, x)
		x.Close()
		cancel()
		for _, stop := range x.stop {
			stop()
		}
		wg.Wait()
	})
}

func address(i int) string { return fmt.Sprintf("10.0.0.%d:6000", i+1) }

func call(timeout time.Duration) *rpc.Call {
	now := time.Now()
	return &rpc.Call{
		ID: rpc.NewID(), Service: "Users", Name: "getUser", Protocol: wire.Binary, Body: []byte{0}, Start: now, Deadline: now.Add(timeout),
	}
}

func working(d time.Duration) func(transport.Message) fakepeer.Answer {
	return func(transport.Message) fakepeer.Answer { return fakepeer.Answer{After: d} }
}

// many makes n calls at once and returns how long each took and its error.
func (x *fleet) many(t *testing.T, n int, timeout time.Duration) (took []time.Duration, errs []error) {
	took, errs = make([]time.Duration, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			start := time.Now()
			_, errs[i] = x.Handle(t.Context(), call(timeout))
			took[i] = time.Since(start)
		})
	}
	wg.Wait()
	return took, errs
}

func code(err error) rpc.Code {
	var e *rpc.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// Calls wait in one queue and each free slot takes the oldest: 12 calls of 100 ms on 4 slots take 300 ms, and no endpoint has more
// connections than slots.
func TestOneQueueForAllSlots(t *testing.T) {
	with(t, 2, cluster.Options{Slots: 2}, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		start := time.Now()
		_, errs := x.many(t, 12, time.Minute)
		for _, err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("12 calls took %v", took)
		}
		for i, p := range x.peers {
			if p.Calls.Load() != 6 || p.MostOpen.Load() > 2 {
				t.Errorf("peer %d: %d calls, %d connections at once", i, p.Calls.Load(), p.MostOpen.Load())
			}
		}
	})
}

// No call waits behind a busy endpoint while another is idle.
func TestNoWaitWhileAnotherIsIdle(t *testing.T) {
	var n atomic.Int64
	script := func(transport.Message) fakepeer.Answer {
		if n.Add(1) == 1 {
			return fakepeer.Answer{After: 10 * time.Second}
		}
		return fakepeer.Answer{After: time.Millisecond}
	}
	with(t, 2, cluster.Options{Slots: 1}, script, func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = x.Handle(t.Context(), call(time.Minute)) })
		synctest.Wait()
		for range 50 {
			start := time.Now()
			if _, err := x.Handle(t.Context(), call(time.Second)); err != nil || time.Since(start) > time.Millisecond {
				t.Fatalf("took %v, error %v", time.Since(start), err)
			}
		}
		wg.Wait()
	})
}

// A call that finds no free slot until its deadline is refused at its deadline; nothing was sent.
func TestNoSlotUntilTheDeadline(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 1}, working(time.Second), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = x.Handle(t.Context(), call(time.Minute)) })
		synctest.Wait()
		start := time.Now()
		_, err := x.Handle(t.Context(), call(50*time.Millisecond))
		e := rpc.AsError(err, "")
		if e == nil || e.Code != rpc.DeadlineExceeded || e.Reach != rpc.NotSent || time.Since(start) != 50*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		wg.Wait()
		if got := x.peers[0].Calls.Load(); got != 1 {
			t.Errorf("the peer saw %d calls", got)
		}
	})
}

// The queue is bounded in calls and in time.
func TestQueueIsBounded(t *testing.T) {
	opts := cluster.Options{Slots: 1, Queue: cluster.QueueConfig{MaxCalls: 2, MaxWait: 200 * time.Millisecond}}
	with(t, 1, opts, working(time.Second), func(t *testing.T, x *fleet) {
		took, errs := x.many(t, 4, time.Minute)
		count := map[string]int{}
		for i, err := range errs {
			count[fmt.Sprint(code(err), " ", took[i])]++
		}
		want := map[string]int{"CODE_0 1s": 1, "RESOURCE_EXHAUSTED 0s": 1, "RESOURCE_EXHAUSTED 200ms": 2}
		if fmt.Sprint(count) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", count, want)
		}
		if s := x.Snapshot(); s.Refused != 1 || s.Waiting != 0 {
			t.Errorf("snapshot %+v", s)
		}
	})
}

// A call whose caller goes away leaves the queue.
func TestCancelledCallLeavesTheQueue(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 1}, working(time.Second), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = x.Handle(t.Context(), call(time.Minute)) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, err := x.Handle(ctx, call(time.Minute)); code(err) != rpc.Cancelled {
				t.Errorf("error %v", err)
			}
		})
		synctest.Wait()
		if _, waiting := x.InFlight(); waiting != 1 {
			t.Errorf("%d wait", waiting)
		}
		cancel()
		synctest.Wait()
		if _, waiting := x.InFlight(); waiting != 0 {
			t.Errorf("%d wait", waiting)
		}
		wg.Wait()
	})
}

// A call that timed out keeps its slot until the peer is done with it.
func TestTimedOutCallKeepsItsSlot(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 1}, working(500*time.Millisecond), func(t *testing.T, x *fleet) {
		if _, err := x.Handle(t.Context(), call(100*time.Millisecond)); code(err) != rpc.DeadlineExceeded {
			t.Fatal(err)
		}
		if e := x.Snapshot().Endpoints[0]; e.InFlight != 1 || e.Zombies != 1 {
			t.Errorf("after the timeout: %+v", e)
		}
		start := time.Now()
		if _, err := x.Handle(t.Context(), call(time.Minute)); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 900*time.Millisecond { // 400 ms until the slot is free, 500 ms of work
			t.Errorf("the next call took %v", took)
		}
		if e := x.Snapshot().Endpoints[0]; e.InFlight != 0 || e.Zombies != 0 || e.Connections != 1 {
			t.Errorf("at the end: %+v", e)
		}
	})
}

// 300 calls with gaps around the 3 s after which the peer closes an idle connection: none of them fails.
func TestIdleGapsAroundThePeersLimit(t *testing.T) {
	with(t, 2, cluster.Options{Slots: 4, IdleExpiry: 2500 * time.Millisecond}, working(time.Millisecond), func(t *testing.T, x *fleet) {
		for _, p := range x.peers {
			p.IdleEnd = 3 * time.Second
		}
		for i := range 300 {
			if _, err := x.Handle(t.Context(), call(time.Second)); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
			time.Sleep(2*time.Second + time.Duration(i)*7*time.Millisecond)
		}
	})
}

// An endpoint that refuses connections is left alone for a while, then tried with one call; the others take the calls.
func TestRefusedEndpointIsLeftAlone(t *testing.T) {
	with(t, 2, cluster.Options{Slots: 4}, working(time.Millisecond), func(t *testing.T, x *fleet) {
		x.stop[0]()
		refused := 0
		for range 20 {
			if _, err := x.Handle(t.Context(), call(time.Second)); err != nil {
				if e := rpc.AsError(err, ""); e.Reach != rpc.NotSent || e.Endpoint != "users-1" {
					t.Fatal(err)
				}
				refused++
			}
		}
		if refused > 1 {
			t.Errorf("%d calls met the endpoint that is down", refused)
		}
	})
}

// Without an endpoint that is up a call is refused at once, one that waits too.
func TestNoEndpoint(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 1}, working(time.Second), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = x.Handle(t.Context(), call(time.Minute)) })
		synctest.Wait()
		wg.Go(func() {
			start := time.Now()
			if _, err := x.Handle(t.Context(), call(time.Minute)); code(err) != rpc.Unavailable || time.Since(start) != 100*time.Millisecond {
				t.Errorf("the call that waited: %v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		x.Update(nil)
		_, err := x.Handle(t.Context(), call(time.Minute))
		if e := rpc.AsError(err, ""); e == nil || e.Public(1).Message != "UNAVAILABLE: upstream Users: no endpoint is up; call 0000000000000001" {
			t.Errorf("error %v", err)
		}
		wg.Wait()
	})
}

// An endpoint that is taken out finishes its calls and takes no new one; Drained waits for them.
func TestRemovedEndpointDrains(t *testing.T) {
	with(t, 2, cluster.Options{Slots: 1}, working(300*time.Millisecond), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := x.Handle(t.Context(), call(time.Minute)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		x.Update([]rpc.Endpoint{{Address: address(0), Name: "users-1"}})
		start := time.Now()
		if err := x.Drained(t.Context(), "users-2"); err != nil || time.Since(start) != 300*time.Millisecond {
			t.Errorf("drained after %v, error %v", time.Since(start), err)
		}
		wg.Wait()
		if _, errs := x.many(t, 3, time.Minute); errors.Join(errs...) != nil {
			t.Error(errs)
		}
		if got := x.peers[1].Calls.Load(); got != 1 {
			t.Errorf("the removed endpoint saw %d calls", got)
		}
	})
}

// A change of slots or endpoints under load loses no call and no count.
func TestReconfigureUnderLoad(t *testing.T) {
	with(t, 3, cluster.Options{Slots: 2}, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					if _, err := x.Handle(t.Context(), call(time.Second)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range 20 {
			time.Sleep(7 * time.Millisecond)
			x.Configure(cluster.Options{Slots: 1 + i%3, Queue: cluster.Default().Queue})
			var endpoints []rpc.Endpoint
			for k := range 3 {
				if i%4 == 3 || k != i%4 {
					endpoints = append(endpoints, rpc.Endpoint{Address: address(k), Name: fmt.Sprint("users-", k+1)})
				}
			}
			x.Update(endpoints)
		}
		wg.Wait()
		if taken, waiting := x.InFlight(); taken != 0 || waiting != 0 {
			t.Errorf("%d in flight, %d waiting at the end", taken, waiting)
		}
	})
}

// An endpoint that hangs up on each new connection is left alone for a while, as one that refuses; else it would draw every call, since it
// is always free. One that closes a connection which has served is not: nothing says that it takes no other.
func TestHangsUp(t *testing.T) {
	with(t, 2, cluster.Options{}, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		x.network.SetTrouble(address(0), memnet.Trouble{Reset: true})
		failed := 0
		for range 20 {
			_, err := x.Handle(t.Context(), call(time.Second))
			if err != nil {
				failed++
				var e *rpc.Error
				if !errors.As(err, &e) || e.Reach != rpc.NotSent || e.Outcome != rpc.HungUp {
					t.Errorf("error %v", err)
				}
				if state := x.Snapshot().Endpoints[0].State; state != "down" {
					t.Errorf("the endpoint is %s", state)
				}
			}
		}
		if failed < 1 || failed > 3 { // 200 ms: at the first, and after 100 ms again
			t.Errorf("%d of 20 calls met it", failed)
		}
		x.network.SetTrouble(address(0), memnet.Trouble{})
		time.Sleep(time.Minute)
		if _, errs := x.many(t, 4, time.Second); errors.Join(errs...) != nil || x.Snapshot().Endpoints[0].State != "up" {
			t.Errorf("afterwards it is %s: %v", x.Snapshot().Endpoints[0].State, errors.Join(errs...))
		}
	})
}

// A cluster that yields keeps no connection without a call, so that another process finds every slot of its peers; it answers its own calls
// meanwhile, and keeps connections again afterwards.
func TestYield(t *testing.T) {
	with(t, 2, cluster.Options{Slots: 2, IdleExpiry: time.Hour}, working(time.Second), func(t *testing.T, x *fleet) {
		open := func() (n int) {
			synctest.Wait()
			for _, e := range x.Snapshot().Endpoints {
				n += e.Connections
			}
			return n
		}
		calls := func() {
			t.Helper()
			_, errs := x.many(t, 4, time.Minute)
			for _, err := range errs {
				if err != nil {
					t.Error(err)
				}
			}
		}
		calls()
		if n := open(); n != 4 {
			t.Errorf("%d connections are kept, want 4", n)
		}
		done := make(chan struct{})
		go func() { defer close(done); _, _ = x.Handle(t.Context(), call(time.Minute)) }()
		synctest.Wait()
		x.Yield(true)
		if n := open(); n != 1 {
			t.Errorf("%d connections are open, want the one with a call", n)
		}
		<-done
		calls()
		if n := open(); n != 0 {
			t.Errorf("%d connections are open behind their calls", n)
		}
		x.Yield(false)
		calls()
		if n := open(); n != 4 {
			t.Errorf("%d connections are kept afterwards, want 4", n)
		}
	})
}
