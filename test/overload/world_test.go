// Package overload holds the product to its goals where there is more to do than can be done, and where servers are late or fail: the layers of a service over a cluster, as the
// gateway puts them together, in virtual time.
package overload

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/layer/breaker"
	"github.com/thriftloom/thriftloom/layer/hedge"
	"github.com/thriftloom/thriftloom/layer/limit"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/priority"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop has a method for each class, and one whose calls do harm where a test says so.
var shop = schema.MustParse("service Shop { void pay(), void list(), void report(), void prefetch(), void poison() }").Service("Shop")

var classes = map[string]string{"pay": "critical", "list": "normal", "report": "batch", "prefetch": "background"}

// setup is what a world is made of; the zero value is a gateway as it is by default before 10 servers, each of which works at one call at a
// time, for 10 ms on average, exponentially distributed: 1000 calls a second.
type setup struct {
	peers      int           // default 10
	slots      int           // of each; default 1
	work       time.Duration // default 10ms
	even       bool          // each call takes as long as any
	queue      *cluster.QueueConfig
	timeout    time.Duration // default 5s
	idempotent bool
	limit      limit.Policy                                        // of each method
	policy     func(p *service.Policy)                             // what else holds for each method; nil: nothing
	script     func(w *world, m transport.Message) fakepeer.Answer // what a server does in the place of work
	sinks      []observe.Sink
	seed       uint64
}

// world is a service over a fleet.
type world struct {
	*testing.T
	setup
	*service.Service
	cluster *cluster.Cluster
	peers   []*fakepeer.Peer
	random  *dice
	stalled atomic.Int64 // until when, in Unix nanoseconds, the servers are frozen
	failing atomic.Bool  // each call ends its connection
	arrive  func(m transport.Message)
	loads   sync.WaitGroup // that load has begun

	attempts atomic.Int64 // that the servers saw
	ejected  atomic.Int64 // endpoints, each as often as it was
	hedges   *hedge.State
	breaker  breaker.Breaker

	mu    sync.Mutex
	calls []done
}

// dice is a random source that many may use.
type dice struct {
	mu sync.Mutex
	*rand.Rand
}

// wait draws a time of that mean, exponentially distributed.
func (d *dice) wait(mean time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.ExpFloat64() * float64(mean))
}

func (d *dice) share() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Float64()
}

// done is a call that has ended.
type done struct {
	method string
	caller string
	start  time.Duration // since the world's
	took   time.Duration
	err    *rpc.Error
}

// play runs f in a world of virtual time.
func play(t *testing.T, set setup, f func(w *world)) {
	t.Helper()
	set.peers, set.slots = cmp.Or(set.peers, 10), cmp.Or(set.slots, 1)
	set.work, set.timeout = cmp.Or(set.work, 10*time.Millisecond), cmp.Or(set.timeout, 5*time.Second)
	if set.seed == 0 {
		set.seed = rand.Uint64()
	}
	t.Logf("seed %d", set.seed)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{T: t, setup: set, random: &dice{Rand: rand.New(rand.NewPCG(set.seed, 1))}, hedges: hedge.NewState()}
		network, engine := memnet.New(), netio.NewPortable()
		var life sync.WaitGroup
		life.Go(func() { _ = engine.Run(ctx) })
		queue := cluster.Default().Queue
		if set.queue != nil {
			queue = *set.queue
		}
		w.cluster = cluster.New(cluster.Options{
			Name: "shop", Engine: engine, Dialer: network.Dial, Wire: transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}, Slots: set.slots, Queue: queue,
			IdleExpiry: time.Minute, Balance: balance.Default(),
			OnState: func(_, state string) {
				if state == balance.Ejected {
					w.ejected.Add(1)
				}
			},
		})
		var endpoints []rpc.Endpoint
		var listeners []net.Listener
		for i := range set.peers {
			peer := &fakepeer.Peer{Script: w.answer}
			address := fmt.Sprintf("10.0.0.%d:6000", i+1)
			l, err := network.Listen(address)
			if err != nil {
				t.Fatal(err)
			}
			life.Go(func() { peer.Serve(l) })
			listeners = append(listeners, l)
			w.peers = append(w.peers, peer)
			endpoints = append(endpoints, rpc.Endpoint{Address: address, Name: fmt.Sprint("shop-", i+1)})
		}
		w.cluster.Update(endpoints)
		w.Service = w.serve()
		f(w)
		w.loads.Wait()
		time.Sleep(time.Minute) // attempts that have lost are through
		w.cluster.Close()
		cancel()
		for _, l := range listeners {
			l.Close()
		}
		life.Wait()
	})
}

// serve puts the service together as the gateway does.
func (w *world) serve() *service.Service {
	tries := &budget.Budget{}
	var all rpc.PerMethod[service.Policy]
	for _, m := range shop.Methods {
		p := service.Policy{
			Timeout: w.timeout, Retry: retry.Default(), Budget: tries, Idempotent: w.idempotent, Upstream: w.cluster,
			Priority: priority.Config{Class: classes[m.Name]}.Policy(), Limit: w.limit,
		}
		if w.policy != nil {
			w.policy(&p)
		}
		if p.Hedge.Percent > 0 {
			p.Hedge.Method = w.hedges.Method(m.Name)
		}
		p.Wire.Protocol = wire.Binary
		all.Methods = append(all.Methods, p)
	}
	return service.New(service.Config{Name: "Shop", Schema: shop, Policies: all, Limits: limit.NewState(), Breaker: &w.breaker, Sinks: w.sinks})
}

// answer is what a server does with a call.
func (w *world) answer(m transport.Message) fakepeer.Answer {
	w.attempts.Add(1)
	if w.arrive != nil {
		w.arrive(m)
	}
	if until := time.Unix(0, w.stalled.Load()); time.Now().Before(until) {
		time.Sleep(time.Until(until))
	}
	if w.script != nil {
		return w.script(w, m)
	}
	work := w.work
	if !w.even {
		work = w.random.wait(w.work)
	}
	return fakepeer.Answer{After: work, Close: w.failing.Load()}
}

// capacity is how many calls a second the fleet answers.
func (w *world) capacity() float64 { return float64(len(w.peers)) / w.work.Seconds() }

// call makes one call.
func (w *world) call(method, caller string) *rpc.Error {
	_, err := w.Handle(w.Context(), &rpc.Call{
		ID: rpc.NewID(), Service: "Shop", Name: method, Method: shop.Method(method), Protocol: wire.Binary, Body: []byte{0}, Start: time.Now(),
		Caller: rpc.Caller{Name: caller},
	})
	return rpc.AsError(err, "")
}

// offer makes calls for a time, as many a second whatever becomes of them, and returns when the last has ended. make makes one.
func (w *world) offer(rate float64, during time.Duration, make func()) {
	var all sync.WaitGroup
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(w.random.wait(time.Duration(float64(time.Second) / rate))) {
		all.Go(make)
	}
	all.Wait()
}

// load makes calls at a rate, beside what else is made, and hands each one's end on.
func (w *world) load(rate float64, lasts time.Duration, method, caller string, ended func(took time.Duration, e *rpc.Error)) {
	w.loads.Go(func() {
		w.offer(rate, lasts, func() {
			start := time.Now()
			e := w.call(method, caller)
			ended(time.Since(start), e)
		})
	})
}

// began is when the world did: virtual time begins there.
var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// note makes a call and keeps what became of it.
func (w *world) note(method, caller string) {
	start := time.Now()
	e := w.call(method, caller)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, done{method, caller, start.Sub(began), time.Since(start), e})
}

// ended is calls that have, by what became of them.
type ended struct {
	good, refused, late, failed []time.Duration
}

// during returns the calls that began within a time of the world and for which is holds; nil is for all.
func (w *world) during(from, to time.Duration, is func(done) bool) (e ended) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if c.start < from || c.start >= to || is != nil && !is(c) {
			continue
		}
		switch {
		case c.err == nil:
			e.good = append(e.good, c.took)
		case c.err.Code == rpc.ResourceExhausted:
			e.refused = append(e.refused, c.took)
		case c.err.Code == rpc.DeadlineExceeded:
			e.late = append(e.late, c.took)
		default:
			e.failed = append(e.failed, c.took)
		}
	}
	return e
}

func (e *ended) all() int { return len(e.good) + len(e.refused) + len(e.late) + len(e.failed) }

func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(int(q*float64(len(times))), len(times)-1)]
}
