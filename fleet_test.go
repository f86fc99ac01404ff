package thriftloom_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/hedge"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/required"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/layer/subset"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/store/near"
)

const fleetIDL = `
struct Key { 1: required string shard }
service Fleet {
  string who(1: i64 id) (idempotent = "true"),
  string charge(1: i64 id),
  string owner(1: Key key),
}
`

// member is one server of the fleet: it answers with its own name after a while.
type member struct {
	name string
	work time.Duration
}

func (m member) answer(ctx context.Context) (string, error) {
	select {
	case <-time.After(m.work):
		return m.name, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (m member) Who(ctx context.Context, _ int64) (string, error)    { return m.answer(ctx) }
func (m member) Charge(ctx context.Context, _ int64) (string, error) { return m.answer(ctx) }
func (m member) Owner(ctx context.Context, _ *Key) (string, error)   { return m.answer(ctx) }

// Key is an argument of Fleet.
type Key struct{ Shard string }

// caller is the fleet, as a program sees it.
type caller struct {
	Who    func(ctx context.Context, id int64) (string, error)
	Charge func(ctx context.Context, id int64) (string, error)
	Owner  func(ctx context.Context, key *Key) (string, error)
}

// fleet is servers on a network in memory, each of which can be killed.
type fleet struct {
	network   *memnet.Network
	svc       *thriftloom.Service
	addresses []string

	mu    sync.Mutex
	conns map[string][]*memnet.Conn // by the server's address
	ends  []func()
	kill  map[string]func()
}

// withFleet runs f in a bubble of virtual time over n servers, whose calls take so long.
func withFleet(t *testing.T, n int, work time.Duration, f func(t *testing.T, x *fleet)) {
	doc, err := thriftloom.LoadBytes("fleet.thrift", []byte(fleetIDL))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		x := &fleet{network: memnet.New(), svc: doc.Service("Fleet"), conns: map[string][]*memnet.Conn{}, kill: map[string]func(){}}
		x.network.OnConn = func(_, server *memnet.Conn) {
			x.mu.Lock()
			defer x.mu.Unlock()
			a := server.LocalAddr().String()
			x.conns[a] = append(x.conns[a], server)
		}
		for i := range n {
			x.addresses = append(x.addresses, fmt.Sprintf("10.0.0.%d:6000", i+1))
			x.start(t, x.addresses[i], work)
		}
		f(t, x)
		for _, end := range x.ends {
			end()
		}
	})
}

// start serves the fleet at an address; kill[address] ends that as kill -9 does: no connection is taken any more, and all are reset.
func (x *fleet) start(t *testing.T, address string, work time.Duration) {
	l, err := x.network.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	s, err := thriftloom.NewServer(x.svc, member{address, work})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(ctx, l)
	}()
	x.ends = append(x.ends, func() {
		cancel()
		<-served
	})
	x.kill[address] = func() {
		x.network.SetTrouble(address, memnet.Trouble{Refuse: true}) // the listener stays open: a server without one ends its calls politely
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, c := range x.conns[address] {
			c.Reset()
		}
	}
}

// dial returns the fleet's client, which is closed when the test's part is over.
func (x *fleet) dial(t *testing.T, cfg thriftloom.ClientConfig) (*thriftloom.Client, *caller) {
	t.Helper()
	client, err := cfg.On(x.network).Dial(x.svc)
	if err != nil {
		t.Fatal(err)
	}
	x.ends = slices.Insert(x.ends, 0, client.Close)
	var c caller
	if err := thriftloom.Bind(client, &c); err != nil {
		t.Fatal(err)
	}
	return client, &c
}

// load has 30 callers call f one call after the other for so long, and returns how many calls failed, of which it logs some, and who
// answered how many.
func load(t *testing.T, d time.Duration, f func(ctx context.Context, id int64) (string, error)) (failed int, by map[string]int) {
	var mu sync.Mutex
	var callers sync.WaitGroup
	by = map[string]int{}
	end := time.Now().Add(d)
	for range 30 {
		callers.Go(func() {
			for time.Now().Before(end) {
				name, err := f(t.Context(), rand.Int64())
				mu.Lock()
				if err == nil {
					by[name]++
				} else if failed++; failed <= 5 {
					t.Log(err)
				}
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	return failed, by
}

// Where one of three servers is killed under load, no call of an idempotent method fails, and of others one on each connection to that
// server at most (whose end a call may cross), or each in flight there: with every policy, and whether servers answer in any order or one call at a time.
func TestServerIsKilled(t *testing.T) {
	for _, policy := range []string{"slots", "round_robin", "random", "two_choices", "least_request", "peak_ewma"} {
		for _, serial := range []bool{false, true} {
			for _, method := range []string{"who", "charge"} {
				t.Run(fmt.Sprintf("%s/serial=%t/%s", policy, serial, method), func(t *testing.T) {
					withFleet(t, 3, 7*time.Millisecond, func(t *testing.T, x *fleet) {
						client, c := x.dial(t, thriftloom.ClientConfig{
							Addresses: x.addresses, Serial: serial, Balance: balance.Config{Policy: policy}, Policy: service.Policy{Timeout: time.Second},
						})
						inFlight, most := 0, 0
						time.AfterFunc(304*time.Millisecond, func() {
							e := client.Snapshot().Endpoints[1]
							inFlight, most = e.InFlight, max(e.InFlight, e.Connections)
							x.kill[x.addresses[1]]()
						})
						f, may := c.Who, 0
						if method == "charge" {
							f = c.Charge
						}
						failed, by := load(t, time.Second, f)
						if method == "charge" {
							may = most
						}
						if inFlight == 0 || failed > may {
							t.Errorf("%d calls failed, want %d at most; %d were in flight there", failed, may, inFlight)
						}
						if len(by) != 3 {
							t.Errorf("calls were answered by %v", by)
						}
					})
				})
			}
		}
	}
}

// A call of an idempotent method that is late is made at another server as well, and its caller hears the first answer.
func TestHedges(t *testing.T) {
	for percent, late := range map[int]time.Duration{0: time.Second, 50: 100 * time.Millisecond} {
		withFleet(t, 2, 5*time.Millisecond, func(t *testing.T, x *fleet) {
			slow := "10.0.0.3:6000"
			x.start(t, slow, time.Second)
			client, c := x.dial(t, thriftloom.ClientConfig{
				Addresses: append(slices.Clone(x.addresses), slow), Balance: balance.Config{Policy: "round_robin"},
				Policy: service.Policy{Hedge: hedge.Policy{Percent: percent, Delay: 20 * time.Millisecond}},
			})
			longest := time.Duration(0)
			for range 60 {
				start := time.Now()
				if _, err := c.Who(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				longest = max(longest, time.Since(start))
			}
			if (longest > late) || percent == 0 && longest < late {
				t.Errorf("with %d %% the longest call takes %v: %+v", percent, longest, client.Snapshot())
			}
		})
	}
}

// Calls with the same argument, or field of one, go to the same server, and different ones to all of them. Where that server is gone they
// go to another one, all to the same.
func TestAffinityByArgument(t *testing.T) {
	for _, policy := range []string{"ring_hash", "maglev"} {
		t.Run(policy, func(t *testing.T) {
			withFleet(t, 3, time.Millisecond, func(t *testing.T, x *fleet) {
				_, c := x.dial(t, thriftloom.ClientConfig{
					Addresses: x.addresses, Balance: balance.Config{Policy: policy, Argument: "key.shard"},
					Methods: map[string]service.Policy{"who": {Affinity: by(t, x.svc, "who", "id")}},
				})
				met := func(f func(key int) (string, error)) (servers map[string]bool, first []string) {
					servers = map[string]bool{}
					for key := range 40 {
						one := ""
						for range 5 {
							name, err := f(key)
							if err != nil || one != "" && name != one {
								t.Fatalf("key %d: %s after %s, %v", key, name, one, err)
							}
							one = name
						}
						servers[one] = true
						first = append(first, one)
					}
					return servers, first
				}
				owner := func(key int) (string, error) { return c.Owner(t.Context(), &Key{fmt.Sprint("shard ", key)}) }
				all, before := met(owner)
				if len(all) != 3 {
					t.Errorf("forty shards met %v only", slices.Collect(maps.Keys(all)))
				}
				if all, _ := met(func(key int) (string, error) { return c.Who(t.Context(), int64(key)) }); len(all) != 3 {
					t.Errorf("forty ids met %v only", slices.Collect(maps.Keys(all)))
				}
				x.kill[x.addresses[0]]()
				for range 5 {
					_, _ = c.Owner(t.Context(), &Key{"some other"})
					_, _ = c.Who(t.Context(), rand.Int64()) // it is found to be down
				}
				_, after := met(owner)
				for i, was := range before {
					if was != x.addresses[0] && after[i] != was {
						t.Errorf("shard %d moved from %s, which is there, to %s", i, was, after[i])
					}
				}
			})
		})
	}
}

func by(t *testing.T, svc *thriftloom.Service, method, argument string) affinity.Policy {
	t.Helper()
	p, ok := affinity.ByArgument(svc.Method(method), argument)
	if !ok {
		t.Fatalf("%s has no argument %s", method, argument)
	}
	return p
}

// directory is a resolver that a test drives.
type directory struct {
	sets chan []thriftloom.Endpoint
	err  error // what it ends with when sets is closed
}

func (d directory) Run(ctx context.Context, update func([]thriftloom.Endpoint)) error {
	for {
		select {
		case set, ok := <-d.sets:
			if !ok {
				return d.err
			}
			update(set)
		case <-ctx.Done():
			return nil
		}
	}
}

func at(addresses ...string) (set []thriftloom.Endpoint) {
	for _, a := range addresses {
		set = append(set, thriftloom.Endpoint{Address: a})
	}
	return set
}

// A resolver that gives other servers every few milliseconds has no call fail, also of methods that may not be tried again; all servers
// have calls.
func TestResolverDropsNoCall(t *testing.T) {
	for _, serial := range []bool{false, true} {
		withFleet(t, 5, 7*time.Millisecond, func(t *testing.T, x *fleet) {
			d := directory{sets: make(chan []thriftloom.Endpoint)}
			client, c := x.dial(t, thriftloom.ClientConfig{Resolver: d, Serial: serial, Attempts: 1})
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			ctx, stop := context.WithCancel(t.Context())
			go func() {
				time.Sleep(time.Second) // in which calls wait
				for ctx.Err() == nil {
					some := slices.Clone(x.addresses)
					random.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
					d.sets <- at(some[:1+random.IntN(len(some))]...)
					time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
				}
			}()
			failed, by := load(t, 3*time.Second, c.Charge)
			stop()
			if failed > 0 || len(by) != len(x.addresses) {
				t.Errorf("serial=%t: %d calls failed; answered by %v", serial, failed, by)
			}
			time.Sleep(30 * time.Millisecond) // the last set
			if s := client.Snapshot(); slices.ContainsFunc(s.Endpoints, func(e cluster.EndpointSnapshot) bool { return e.InFlight > 0 }) {
				t.Errorf("calls are still in flight: %+v", s)
			}
		})
	}
}

// Until a resolver has given servers calls wait, within their deadlines and the queue's bound; addresses that the config names serve in the
// meantime. One that fails leaves what it gave last; where it gave nothing, the error says why it failed.
func TestResolverIsAwaited(t *testing.T) {
	errDirectory := errors.New("directory: 10.0.0.99: connection refused")
	check := func(t *testing.T, err error, code rpc.Code, text string) {
		t.Helper()
		var e *thriftloom.Error
		if !errors.As(err, &e) || e.Code != code || e.Reach != rpc.NotSent || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %v with %q", err, code, text)
		}
	}
	withFleet(t, 2, time.Millisecond, func(t *testing.T, x *fleet) {
		d := directory{sets: make(chan []thriftloom.Endpoint), err: errDirectory}
		_, c := x.dial(t, thriftloom.ClientConfig{Resolver: d, Queue: cluster.QueueConfig{MaxCalls: 2}})
		var calls sync.WaitGroup
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := c.Who(ctx, 1)
			check(t, err, rpc.DeadlineExceeded, "the resolver has found no server yet")
			if time.Since(start) != 50*time.Millisecond {
				t.Errorf("that took %v", time.Since(start))
			}
		})
		calls.Go(func() {
			if name, err := c.Charge(t.Context(), 1); err != nil || name != x.addresses[1] {
				t.Errorf("%s, %v", name, err)
			}
		})
		synctest.Wait()
		_, err := c.Who(t.Context(), 1)
		check(t, err, rpc.ResourceExhausted, "the queue is full")
		time.Sleep(100 * time.Millisecond)
		d.sets <- at(x.addresses[1])
		calls.Wait()
		close(d.sets) // it fails
		synctest.Wait()
		if name, err := c.Who(t.Context(), 1); err != nil || name != x.addresses[1] {
			t.Errorf("with the last set: %s, %v", name, err)
		}
	})
	withFleet(t, 1, time.Millisecond, func(t *testing.T, x *fleet) {
		d := directory{sets: make(chan []thriftloom.Endpoint), err: errDirectory}
		_, named := x.dial(t, thriftloom.ClientConfig{Resolver: d, Addresses: x.addresses})
		_, c := x.dial(t, thriftloom.ClientConfig{Resolver: d})
		if _, err := named.Who(t.Context(), 1); err != nil {
			t.Errorf("with an address to begin with: %v", err)
		}
		time.AfterFunc(time.Second, func() { close(d.sets) })
		_, err := c.Who(t.Context(), 1)
		check(t, err, rpc.Unavailable, "no endpoint is up: directory: 10.0.0.99: connection refused")
		if _, err := named.Who(t.Context(), 1); err != nil {
			t.Errorf("after the resolver has failed: %v", err)
		}
	})
}

// counter is a sink that counts calls and attempts.
type counter struct{ calls, attempts atomic.Int64 }

func (s *counter) Begun(*rpc.Call)             {}
func (s *counter) Ended(r *rpc.Record)         { s.calls.Add(1); s.attempts.Add(int64(len(r.Attempts()))) }
func (s *counter) Late(*rpc.Call, rpc.Attempt) {}

// Each method has its own policies over those of all methods: timeout, tries, required fields, another handler.
func TestPolicyByMethod(t *testing.T) {
	withFleet(t, 3, 40*time.Millisecond, func(t *testing.T, x *fleet) {
		elsewhere, _ := x.dial(t, thriftloom.ClientConfig{Addresses: x.addresses[2:], Protocol: thriftloom.Compact})
		var seen counter
		_, c := x.dial(t, thriftloom.ClientConfig{
			Addresses: x.addresses[:2],
			Policy:    service.Policy{Timeout: 30 * time.Millisecond, Retry: retry.Config{Attempts: 1}},
			Methods: map[string]service.Policy{
				"who":   {Timeout: time.Second},
				"owner": {Timeout: time.Second, Upstream: elsewhere, Required: required.For(x.svc.Method("owner"), required.Refuse)},
			},
			Service: service.Config{Sinks: []observe.Sink{&seen}},
		})
		if _, err := c.Who(t.Context(), 1); err != nil {
			t.Errorf("who, with a second: %v", err)
		}
		start := time.Now()
		if _, err := c.Charge(t.Context(), 1); err == nil || time.Since(start) != 30*time.Millisecond {
			t.Errorf("charge, with 30 ms: error %v after %v", err, time.Since(start))
		}
		if name, err := c.Owner(t.Context(), &Key{"x"}); err != nil || name != x.addresses[2] {
			t.Errorf("owner, which is elsewhere: %s, %v", name, err)
		}
		if _, err := c.Owner(t.Context(), nil); err != nil {
			t.Errorf("owner without a key, of which nothing is required: %v", err)
		}
		if seen.calls.Load() != 4 || seen.attempts.Load() != 2 {
			t.Errorf("the sink saw %d calls with %d attempts at the client's own servers", seen.calls.Load(), seen.attempts.Load())
		}
		for _, a := range x.addresses[:2] {
			x.kill[a]()
		}
		seen.attempts.Store(0)
		if _, err := c.Who(t.Context(), 1); err == nil || seen.attempts.Load() != 1 {
			t.Errorf("who, which is tried once: error %v, %d attempts", err, seen.attempts.Load())
		}
	})
}

// A server that is said to have more slots, or a greater weight, has as many calls more.
func TestEndpointsDiffer(t *testing.T) {
	t.Run("slots", func(t *testing.T) {
		withFleet(t, 2, 10*time.Millisecond, func(t *testing.T, x *fleet) {
			client, c := x.dial(t, thriftloom.ClientConfig{Serial: true, Connections: 2, Endpoints: []thriftloom.Endpoint{
				{Address: x.addresses[0], Name: "small"}, {Address: x.addresses[1], Name: "large", Slots: 6},
			}})
			failed, by := load(t, time.Second, c.Who)
			if small, large := by[x.addresses[0]], by[x.addresses[1]]; failed > 0 || large < 5*small/2 || large > 7*small/2 {
				t.Errorf("2 slots had %d calls, 6 slots %d; %d failed", small, large, failed)
			}
			for _, e := range client.Snapshot().Endpoints {
				if want := map[string]int{"small": 2, "large": 6}[e.Name]; e.Slots != want || e.Connections > want {
					t.Errorf("%+v, want %d slots", e, want)
				}
			}
		})
	})
	t.Run("weight", func(t *testing.T) {
		withFleet(t, 2, 10*time.Millisecond, func(t *testing.T, x *fleet) {
			_, c := x.dial(t, thriftloom.ClientConfig{Serial: true, Connections: 30, Balance: balance.Config{Policy: "least_request"}, Endpoints: []thriftloom.Endpoint{
				{Address: x.addresses[0]}, {Address: x.addresses[1], Weight: 4},
			}})
			if _, by := load(t, time.Second, c.Who); by[x.addresses[1]] < 3*by[x.addresses[0]] {
				t.Errorf("weights 1 and 4 had %v", by)
			}
		})
	})
}

// Calls stay in the client's zone as long as there is a server with a free slot.
func TestZone(t *testing.T) {
	withFleet(t, 3, 10*time.Millisecond, func(t *testing.T, x *fleet) {
		_, c := x.dial(t, thriftloom.ClientConfig{Zone: "a", Endpoints: []thriftloom.Endpoint{
			{Address: x.addresses[0], Zone: "b"}, {Address: x.addresses[1], Zone: "a"}, {Address: x.addresses[2]},
		}})
		if failed, by := load(t, time.Second, c.Who); failed > 0 || by[x.addresses[1]] < 9*(by[x.addresses[0]]+by[x.addresses[2]]) {
			t.Errorf("%d failed, answered by %v", failed, by)
		}
		x.kill[x.addresses[1]]()
		if _, by := load(t, time.Second, c.Who); by[x.addresses[0]] == 0 || by[x.addresses[2]] == 0 {
			t.Errorf("without the server of its zone: answered by %v", by)
		}
	})
}

// A server that nobody calls is asked whether it lives: one that is gone is known to be before a call meets it, and so is one that is back.
func TestChecks(t *testing.T) {
	withFleet(t, 2, 10*time.Millisecond, func(t *testing.T, x *fleet) {
		var states []string
		client, c := x.dial(t, thriftloom.ClientConfig{
			Addresses: x.addresses, Checks: cluster.Checks{Interval: time.Second}, OnState: func(endpoint, state string) { states = append(states, endpoint+" "+state) },
		})
		after := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if !slices.Equal(states, want) {
				t.Errorf("%v, want %v", states, want)
			}
		}
		if _, err := c.Who(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		x.kill[x.addresses[0]]()
		after(10*time.Second, x.addresses[0]+" down")
		if e := client.Snapshot().Endpoints[0]; e.Calls > 1 {
			t.Errorf("checks are counted as calls: %+v", e)
		}
		x.network.SetTrouble(x.addresses[0], memnet.Trouble{})
		after(20*time.Second, x.addresses[0]+" down", x.addresses[0]+" up")
	})
}

// How many calls a server has at one time is learned: many of one whose calls wait.
func TestAuto(t *testing.T) {
	withFleet(t, 1, 20*time.Millisecond, func(t *testing.T, x *fleet) {
		client, c := x.dial(t, thriftloom.ClientConfig{Addresses: x.addresses, Serial: true, Auto: true})
		if failed, _ := load(t, 10*time.Second, c.Who); failed > 0 {
			t.Errorf("%d calls failed", failed)
		}
		if e := client.Snapshot().Endpoints[0]; !e.Auto || e.Slots < 24 || e.Slots > 64 {
			t.Errorf("30 callers, and slots %d, learned: %v", e.Slots, e.Auto)
		}
	})
}

// Two clients that share a state are answered with what either has loaded, and a method that invalidates makes it void for both.
func TestCache(t *testing.T) {
	withFleet(t, 1, 10*time.Millisecond, func(t *testing.T, x *fleet) {
		memory := near.New(1 << 20)
		defer memory.Close()
		state := cache.NewState(cache.Options{Near: memory})
		defer state.Close()
		var seen [2]counter
		var clients [2]*caller
		for i := range clients {
			_, clients[i] = x.dial(t, thriftloom.ClientConfig{
				Addresses: x.addresses, Cache: map[string]cache.Config{"who": {TTL: time.Minute}, "charge": {Invalidates: []string{"who(id)"}}},
				Service: service.Config{Sinks: []observe.Sink{&seen[i]}, Cache: state},
			})
		}
		for _, step := range []struct {
			client, loads int
			do            func(ctx context.Context, id int64) (string, error)
		}{{0, 1, clients[0].Who}, {0, 1, clients[0].Who}, {1, 0, clients[1].Who}, {1, 1, clients[1].Charge}, {0, 2, clients[0].Who}, {1, 1, clients[1].Who}} {
			if name, err := step.do(t.Context(), 7); err != nil || name != x.addresses[0] {
				t.Errorf("%q, %v", name, err)
			}
			if n := int(seen[step.client].attempts.Load()); n != step.loads {
				t.Errorf("client %d has made %d attempts, %d are wanted", step.client, n, step.loads)
			}
		}
	})
}

// Calls go to the servers with the labels that their method's policy asks for, by an argument too, and are refused where there is none.
func TestSubset(t *testing.T) {
	withFleet(t, 3, 10*time.Millisecond, func(t *testing.T, x *fleet) {
		shard, ok := affinity.ByArgument(x.svc.Method("owner"), "key.shard")
		if !ok {
			t.Fatal("owner has no argument key.shard")
		}
		_, c := x.dial(t, thriftloom.ClientConfig{
			Endpoints: []thriftloom.Endpoint{
				{Address: x.addresses[0], Labels: "shard=a"}, {Address: x.addresses[1], Labels: "shard=b,size=big"}, {Address: x.addresses[2], Labels: "size=big,shard=c"},
			},
			Methods: map[string]service.Policy{
				"who":   {Subset: subset.New(map[string]subset.Value{"size": {Is: "big"}}, false)},
				"owner": {Subset: subset.New(map[string]subset.Value{"shard": {By: shard}}, true)},
			},
		})
		if failed, by := load(t, time.Second, c.Who); failed > 0 || by[x.addresses[0]] > 0 || by[x.addresses[1]] == 0 || by[x.addresses[2]] == 0 {
			t.Errorf("%d failed, answered by %v", failed, by)
		}
		for i, shard := range []string{"a", "b", "c"} {
			if got, err := c.Owner(t.Context(), &Key{shard}); err != nil || got != x.addresses[i] {
				t.Errorf("shard %s is at %q: %v", shard, got, err)
			}
		}
		_, err := c.Owner(t.Context(), &Key{"secret"})
		if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.Unavailable || !strings.Contains(err.Error(), "no endpoint with shard is up") || strings.Contains(err.Error(), "secret") {
			t.Errorf("a shard that nobody has: %v", err)
		}
	})
}

// Every mistake of a config is told at once, with the field that has it.
func TestClientConfigMistakes(t *testing.T) {
	doc, err := thriftloom.LoadBytes("fleet.thrift", []byte(fleetIDL))
	if err != nil {
		t.Fatal(err)
	}
	svc := doc.Service("Fleet")
	good := []string{"10.0.0.1:6000"}
	for _, tt := range []struct {
		name string
		cfg  thriftloom.ClientConfig
		want []string
	}{
		{"nowhere", thriftloom.ClientConfig{}, []string{"no address is given for Fleet: one of Addresses, Endpoints and Resolver"}},
		{"several", thriftloom.ClientConfig{
			Addresses: good, Attempts: 11, Balance: balance.Config{Policy: "fastest", Bound: 101}, Queue: cluster.QueueConfig{MaxCalls: -1},
			Policy:  service.Policy{Retry: retry.Config{BudgetPercent: 200}},
			Methods: map[string]service.Policy{"wo": {}, "who": {Timeout: -time.Second}},
		}, []string{
			`Balance.Policy: "fastest" is none of slots, round_robin,`, "Balance.Bound: 101 is more than 100", "Queue.MaxCalls: -1 is less than 0", "Attempts: 11 is not 1 to 10",
			"Policy.Retry.BudgetPercent: 200 is more than 100", `Methods["who"].Timeout: -1s is less than 0`, `Methods["wo"]: Fleet has no such method; did you mean "who"?`,
		}},
		{"cache", thriftloom.ClientConfig{Addresses: good, Cache: map[string]cache.Config{
			"wo": {TTL: time.Second}, "who": {TTL: 25 * time.Hour, Key: []string{"name"}}, "charge": {Tags: []string{"x"}},
		}}, []string{
			"Service.Cache: is missing", `Cache["charge"]: tags: is of replies that are kept`, `Cache["who"].TTL: 25h0m0s is more than 24h`,
			`Cache["who"]: key: `, `Cache["wo"]: Fleet has no such method; did you mean "who"?`,
		}},
		{"labels", thriftloom.ClientConfig{Endpoints: []thriftloom.Endpoint{{Address: good[0], Labels: "size"}, {Address: good[0], Labels: "size=very big"}}},
			[]string{`Endpoints: 10.0.0.1:6000: labels "size": name=value,name=value is wanted, each name once`, `Endpoints: 10.0.0.1:6000: label size: "very big"`}},
		{"endpoints", thriftloom.ClientConfig{Endpoints: []thriftloom.Endpoint{{Address: "nowhere"}, {Address: good[0], Slots: -1}}},
			[]string{"nowhere", "Endpoints: 10.0.0.1:6000: slots and weight are 0 at least"}},
		{"a hash without a key", thriftloom.ClientConfig{Addresses: good, Balance: balance.Config{Policy: "maglev"}},
			[]string{"Balance: maglev wants the key of a call"}},
		{"a key without a hash", thriftloom.ClientConfig{Addresses: good, Balance: balance.Config{Argument: "id"}},
			[]string{"Balance: slots asks for no key"}},
		{"a key that no method has", thriftloom.ClientConfig{Addresses: good, Balance: balance.Config{Policy: "ring_hash", Argument: "key.shrad"}},
			[]string{"Balance.Argument: no method of Fleet has an argument key.shrad"}},
		{"checks of nothing", thriftloom.ClientConfig{Addresses: good, Checks: cluster.Checks{Interval: time.Second, Method: "woh"}},
			[]string{`Checks.Method: Fleet has no method woh; did you mean "who"?`}},
		{"checks at no time", thriftloom.ClientConfig{Addresses: good, Checks: cluster.Checks{Method: "who"}}, []string{"Checks.Interval: is missing"}},
		{"checks before now", thriftloom.ClientConfig{Addresses: good, Checks: cluster.Checks{Interval: -1}}, []string{"Checks: Interval and Timeout are 0 at least"}},
		{"a schema", thriftloom.ClientConfig{Addresses: good, Service: service.Config{Schema: svc}}, []string{"Service: Schema and Policies are made of"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.cfg.Dial(svc)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Errorf("%d mistakes, want %d:\n%v", len(lines), len(tt.want), err)
			}
			for i, want := range tt.want {
				if i < len(lines) && (!strings.HasPrefix(lines[i], "thriftloom: ") || !strings.Contains(lines[i], want)) {
					t.Errorf("%s\nwant %s", lines[i], want)
				}
			}
		})
	}
}
