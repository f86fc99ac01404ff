package cluster_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// real is a cluster before real servers, which answer in any order unless cfg says otherwise.
type real struct {
	*testing.T
	*cluster.Cluster
	network *memnet.Network
	servers []*server.Server
	stops   []context.CancelFunc
	dials   atomic.Int64
	working atomic.Int64 // handlers
	most    atomic.Int64
	calls   atomic.Int64
}

// before runs f in a bubble over n servers whose handlers take as long as the call's name says: "sleep3", in seconds.
func before(t *testing.T, n int, cfg server.Config, opts cluster.Options, f func(x *real)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		x := &real{T: t, network: memnet.New()}
		cfg.Route = x.route
		engine := netio.NewPortable()
		opts.Name, opts.Engine, opts.Shared = "Users", engine, true
		opts.Wire = transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}
		opts.Queue = cluster.Default().Queue
		opts.Dialer = func(ctx context.Context, address string) (net.Conn, error) {
			x.dials.Add(1)
			return x.network.Dial(ctx, address)
		}
		x.Cluster = cluster.New(opts)
		var wg sync.WaitGroup
		wg.Go(func() { _ = engine.Run(ctx) })
		var endpoints []rpc.Endpoint
		for i := range n {
			address := fmt.Sprintf("peer:%d", i+1)
			endpoints = append(endpoints, rpc.Endpoint{Address: address, Name: fmt.Sprintf("users-%d", i+1)})
			l, err := x.network.Listen(address)
			if err != nil {
				t.Fatal(err)
			}
			s := server.New(cfg)
			life, stop := context.WithCancel(ctx)
			x.servers, x.stops = append(x.servers, s), append(x.stops, stop)
			wg.Go(func() { _ = s.Serve(life, l) })
		}
		x.Update(endpoints)
		f(x)
		x.Close()
		cancel()
		wg.Wait()
	})
}

func (x *real) route(_ *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
	if call.Name[0] == '_' {
		return nil, &rpc.Error{Code: rpc.UnknownMethod, Op: "route"}
	}
	return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
		x.calls.Add(1)
		if n := x.working.Add(1); n > x.most.Load() {
			x.most.Store(n)
		}
		defer x.working.Add(-1)
		select {
		case <-time.After(time.Duration(call.Name[len(call.Name)-1]-'0') * time.Second):
		case <-ctx.Done():
		}
		return &rpc.Reply{Protocol: call.Protocol, Body: call.Body}, nil
	}), nil
}

func (x *real) handle(name string, timeout time.Duration) error {
	now := time.Now()
	_, err := x.Handle(x.Context(), &rpc.Call{
		ID: rpc.NewID(), Service: "Users", Name: name, Protocol: wire.Binary, Body: []byte{0}, Start: now, Deadline: now.Add(timeout),
	})
	return err
}

// As many calls are in flight as there are slots, over as few connections as may hold them; more wait in the queue. Idle, they are closed.
func TestManyCallsShareFewConnections(t *testing.T) {
	before(t, 1, server.Config{}, cluster.Options{Slots: 256, IdleExpiry: 10 * time.Second}, func(x *real) {
		start := time.Now()
		var wg sync.WaitGroup
		for range 300 {
			wg.Go(func() {
				if err := x.handle("sleep1", time.Minute); err != nil {
					x.Error(err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 2*time.Second {
			x.Errorf("300 calls of 1s took %v, want 2s", d)
		}
		if n := x.most.Load(); n != 256 {
			x.Errorf("%d calls at once, want 256", n)
		}
		if n := x.dials.Load(); n != 2 {
			x.Errorf("%d connections, want 2", n)
		}
		e := x.Snapshot().Endpoints[0]
		if e.Connections != 2 || e.InFlight != 0 || e.Zombies != 0 {
			x.Errorf("%+v", e)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if n := x.servers[0].Snapshot().Connections; n != 0 {
			x.Errorf("%d idle connections are kept", n)
		}
		if err := x.handle("sleep1", time.Minute); err != nil {
			x.Errorf("anew: %v", err)
		}
	})
}

// The calls that come while the first connection is made wait for it; what keeps it from being made is told to all of them.
func TestCallsWaitForTheFirstConnection(t *testing.T) {
	before(t, 1, server.Config{}, cluster.Options{Slots: 64}, func(x *real) {
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if err := x.handle("sleep1", time.Minute); err != nil {
					x.Error(err)
				}
			})
		}
		wg.Wait()
		if n := x.dials.Load(); n != 1 {
			x.Errorf("%d connections, want 1", n)
		}
		x.stops[0]()
		synctest.Wait()
		for range 64 {
			wg.Go(func() {
				e := rpc.AsError(x.handle("sleep1", time.Minute), "")
				if e == nil || e.Reach != rpc.NotSent {
					x.Errorf("%v", e)
				}
			})
		}
		wg.Wait()
	})
}

// An endpoint that does not grant it has one call on a connection at a time, as many as its slots; it is said once, and asked again later.
func TestEndpointThatAnswersInOrder(t *testing.T) {
	var told atomic.Int64
	opts := cluster.Options{Slots: 8, IdleExpiry: 10 * time.Second, OnSerial: func(string) { told.Add(1) }}
	before(t, 1, server.Config{Ordered: true}, opts, func(x *real) {
		for range 2 {
			start := time.Now()
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					if err := x.handle("sleep1", time.Minute); err != nil {
						x.Error(err)
					}
				})
			}
			wg.Wait()
			if d := time.Since(start); d != 2*time.Second {
				x.Errorf("16 calls of 1s took %v, want 2s", d)
			}
			if n := x.most.Load(); n != 8 {
				x.Errorf("%d calls at once, want 8", n)
			}
			time.Sleep(2 * time.Minute)
		}
		if n := x.dials.Load(); n != 16 {
			x.Errorf("%d connections, want 8 and 8", n)
		}
		if n := told.Load(); n != 1 {
			x.Errorf("told %d times", n)
		}
	})
}

// An endpoint that closes at the hello is called on another connection.
func TestEndpointThatClosesAtHello(t *testing.T) {
	peer := func(m transport.Message) fakepeer.Answer { return fakepeer.Answer{} }
	with(t, 1, cluster.Options{Shared: true}, peer, func(t *testing.T, x *fleet) {
		x.peers[0].Take = func(c net.Conn) bool { // as a multiplexed ThriftPy server may
			if x.peers[0].Connections.Load() > 1 {
				return false
			}
			_, _ = c.Read(make([]byte, 100))
			return true
		}
		for range 3 {
			if _, err := x.Handle(t.Context(), call(time.Minute)); err != nil {
				t.Error(err)
			}
		}
		if n := x.peers[0].Connections.Load(); n != 2 {
			t.Errorf("%d connections, want the one that was closed and another", n)
		}
	})
}

// A server that drains loses no call: those that it has taken in are answered, and the others go elsewhere, having been sent nowhere.
func TestDrainOfASharedEndpoint(t *testing.T) {
	before(t, 2, server.Config{}, cluster.Options{Slots: 64}, func(x *real) {
		var wg sync.WaitGroup
		var retried atomic.Int64
		for range 32 {
			wg.Go(func() {
				for range 20 {
					err := x.handle("sleep1", time.Minute)
					for err != nil {
						if e := rpc.AsError(err, ""); e.Reach != rpc.NotSent {
							x.Errorf("%v", err)
							return
						}
						retried.Add(1)
						time.Sleep(10 * time.Millisecond)
						err = x.handle("sleep1", time.Minute)
					}
				}
			})
		}
		time.Sleep(2500 * time.Millisecond)
		if err := x.servers[0].Drain(x.Context()); err != nil {
			x.Error(err)
		}
		wg.Wait()
		if n := x.calls.Load(); n != 32*20 {
			x.Errorf("%d calls were handled, want %d: each once", n, 32*20)
		}
	})
}

// A call that times out keeps its slot until the server is done with it, and no more; the connection goes on.
func TestTimeoutOfASharedCall(t *testing.T) {
	before(t, 1, server.Config{}, cluster.Options{Slots: 2, IdleExpiry: time.Minute}, func(x *real) {
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 9 {
				if err := x.handle("sleep1", time.Minute); err != nil {
					x.Error(err)
				}
			}
		})
		e := rpc.AsError(x.handle("sleep3", 2500*time.Millisecond), "")
		if e == nil || e.Code != rpc.DeadlineExceeded {
			x.Errorf("%v", e)
		}
		if s := x.Snapshot().Endpoints[0]; s.Zombies != 1 || s.InFlight != 2 {
			x.Errorf("behind the timeout: %+v", s)
		}
		wg.Wait()
		if s := x.Snapshot().Endpoints[0]; s.Zombies != 0 || s.InFlight != 0 {
			x.Errorf("in the end: %+v", s)
		}
		if n := x.dials.Load(); n != 1 {
			x.Errorf("%d connections, want 1", n)
		}
	})
}

// An endpoint that is taken out finishes what it has, then its connection ends.
func TestSharedEndpointLeaves(t *testing.T) {
	before(t, 1, server.Config{}, cluster.Options{Slots: 8}, func(x *real) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := x.handle("sleep2", time.Minute); err != nil {
					x.Error(err)
				}
			})
		}
		synctest.Wait()
		x.Update(nil)
		if err := x.Drained(x.Context(), "users-1"); err != nil {
			x.Error(err)
		}
		wg.Wait()
		synctest.Wait()
		if n := x.servers[0].Snapshot().Connections; n != 0 {
			x.Errorf("%d connections are left", n)
		}
	})
}
