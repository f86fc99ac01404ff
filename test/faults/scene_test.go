//go:build linux

package faults

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// The methods: get may be called twice, put may not, nobody waits for note. Each returns what it was given.
var users = schema.MustParse(`service Users {
	string get(1: string key),
	string put(1: string key),
	oneway void note(1: string key),
}`).Service("Users")

// front is the gateway's address.
const front = "gateway:9090"

// setup says what a scene is made of. The zero value is two well-behaved peers, unframed, and calls that may take 5 s.
type setup struct {
	kind    transport.Kind
	peers   int
	options cluster.Options
	timeout time.Duration
	server  server.Config
	address func(i int) string            // of a peer
	prepare func(i int, p *fakepeer.Peer) // before it serves
}

// scene is the chain as the gateway builds it, from callers to peers, on a network in memory.
type scene struct {
	*testing.T
	setup
	network *memnet.Network
	engine  netio.Engine
	cluster *cluster.Cluster
	server  *server.Server
	peers   []*fakepeer.Peer
	stops   []func() // closes a peer's listener
	callers []*caller

	bad   atomic.Int64 // connections to peers that fault is still to meet
	fault atomic.Pointer[func(*memnet.Conn)]
	ended sync.WaitGroup
	sent  atomic.Int64 // requests, by which their arguments are told apart

	mu      sync.Mutex
	onConn  func(client, server *memnet.Conn) // as Network.OnConn; may be nil
	ends    []*memnet.Conn                    // of all connections
	records []*rpc.Record
}

// rounds is how often a scene is played: once to fill what is kept for ever, and then to see that nothing more is kept.
const rounds = 3

// play runs f over a new scene, and checks that nothing is left of it: no slot taken, no call, no connection, no goroutine, no memory.
func play(t *testing.T, set setup, f func(s *scene)) {
	t.Helper()
	goroutines, heap := runtime.NumGoroutine(), uint64(0)
	for round := range rounds {
		if round == 1 {
			heap = inUse()
		}
		synctest.Test(t, func(t *testing.T) {
			s := open(t, set)
			f(s)
			s.close()
		})
		if t.Failed() {
			return
		}
	}
	if grown := int64(inUse()) - int64(heap); grown > 512<<10 {
		t.Errorf("%d bytes more are in use after %d rounds", grown, rounds-1)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, and there were %d", n, goroutines)
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func open(t *testing.T, set setup) *scene {
	s := &scene{T: t, setup: set.withDefaults(), network: memnet.New(), engine: netio.NewPortable()}
	s.network.OnConn = s.connected
	s.Cleanup(s.ended.Wait) // the last to run, in the bubble, also behind a Fatal
	o := s.options
	o.Name, o.Engine, o.Dialer, o.Wire = "Users", s.engine, s.network.Dial, s.wire()
	s.cluster = cluster.New(o)
	for i := range s.setup.peers {
		p := &fakepeer.Peer{Script: echo, Kind: s.kind, Take: s.take}
		if s.prepare != nil {
			s.prepare(i, p)
		}
		s.peers = append(s.peers, p)
		s.stops = append(s.stops, s.listen(i))
	}
	s.cluster.Update(s.endpoints(nil))
	s.serve()
	s.Cleanup(s.reset)
	return s
}

func (s *scene) connected(a, b *memnet.Conn) {
	s.mu.Lock()
	s.ends = append(s.ends, a, b)
	then := s.onConn
	s.mu.Unlock()
	if then != nil {
		then(a, b)
	}
}

// lose cuts the lines of all connections to an address so that neither end learns of it.
func (s *scene) lose(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ends {
		if end.LocalAddr().String() == address || end.RemoteAddr().String() == address {
			end.SetFaults(memnet.Faults{Drop: true})
		}
	}
}

// cut resets all connections to an address.
func (s *scene) cut(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ends {
		if end.LocalAddr().String() == address {
			end.Reset()
		}
	}
}

// reset ends all connections for both ends, lost ones too, as the keep-alive of an operating system does in the end.
func (s *scene) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ends {
		end.SetFaults(memnet.Faults{})
	}
	for _, end := range s.ends {
		end.Reset()
	}
}

func (set setup) withDefaults() setup {
	if set.kind == 0 {
		set.kind = transport.Buffered
	}
	if set.peers == 0 {
		set.peers = 2
	}
	if set.timeout == 0 {
		set.timeout = 5 * time.Second
	}
	if set.options.Queue == (cluster.QueueConfig{}) {
		set.options.Queue = cluster.Default().Queue
	}
	if set.address == nil {
		set.address = func(i int) string { return fmt.Sprintf("10.0.0.%d:6000", i+1) }
	}
	return set
}

// serve puts the service over the cluster and the server before it.
func (s *scene) serve() {
	policy := service.Policy{Timeout: s.timeout, Retry: retry.Default(), Upstream: s.cluster}
	again := policy
	again.Idempotent = true
	handler := service.New(service.Config{
		Name: "Users", Schema: users, Sinks: []observe.Sink{s},
		Policies: rpc.PerMethod[service.Policy]{Methods: []service.Policy{again, policy, policy}, Other: policy},
	})
	cfg := s.setup.server
	cfg.Engine = s.engine
	cfg.Route = func(head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
		call.Service, call.Method = "Users", users.Method(head.Name)
		if call.Method != nil {
			call.Oneway = call.Method.Oneway
		}
		return handler, nil
	}
	s.server = server.New(cfg)
	l, err := s.network.Listen(front)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.ended.Go(func() {
		if err := s.server.Serve(ctx, l); err != nil {
			s.Error(err)
		}
	})
	s.ended.Go(func() { _ = s.engine.Run(ctx) })
	s.Cleanup(func() {
		cancel()
		s.cluster.Close()
	})
}

// listen lets a peer serve; what it returns closes its listener.
func (s *scene) listen(i int) (stop func()) {
	l, err := s.network.Listen(s.address(i))
	if err != nil {
		s.Fatal(err)
	}
	p := s.peers[i]
	s.ended.Go(func() { p.Serve(l) })
	s.Cleanup(func() { _ = l.Close() })
	return func() { _ = l.Close() }
}

// close checks that nothing is left two minutes on, which is longer than anything may be kept.
func (s *scene) close() {
	s.Helper()
	for _, c := range s.callers {
		_ = c.Close()
	}
	time.Sleep(2 * time.Minute)
	if taken, waiting := s.cluster.InFlight(); taken != 0 || waiting != 0 {
		s.Errorf("%d slots are taken, %d calls wait", taken, waiting)
	}
	for _, e := range s.cluster.Snapshot().Endpoints {
		if e.InFlight != 0 || e.Zombies != 0 || e.Connections != 0 {
			s.Errorf("%s is left with %d calls, %d of them zombies, and %d connections", e.Name, e.InFlight, e.Zombies, e.Connections)
		}
	}
	if v := s.server.Snapshot(); v.Connections != 0 || v.Inflight != 0 {
		s.Errorf("the server is left with %d connections and %d calls", v.Connections, v.Inflight)
	}
}

func (s *scene) wire() transport.Wire { return transport.Wire{Kind: s.kind, Protocol: wire.Binary} }

// next lets f deal with the next n connections to peers, whichever they go to. Each is closed when f returns.
func (s *scene) next(n int, f func(c *memnet.Conn)) {
	s.fault.Store(&f)
	s.bad.Store(int64(n))
}

func (s *scene) take(c net.Conn) bool {
	if s.bad.Load() <= 0 || s.bad.Add(-1) < 0 {
		return false
	}
	(*s.fault.Load())(c.(*memnet.Conn))
	return true
}

// trouble meets those who connect to any peer.
func (s *scene) trouble(t memnet.Trouble) {
	for i := range s.peers {
		s.network.SetTrouble(s.address(i), t)
	}
}

// echo answers 10 ms later with the argument. The argument's field and the result's differ by their id only.
func echo(m transport.Message) fakepeer.Answer {
	body := append([]byte(nil), m.Body...)
	if len(body) > 2 {
		body[2] = 0
	}
	return fakepeer.Answer{After: 10 * time.Millisecond, Body: body}
}

// Begun, Ended and Late implement observe.Sink.
func (s *scene) Begun(*rpc.Call) {}

func (s *scene) Ended(r *rpc.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, r)
}

func (s *scene) Late(*rpc.Call, rpc.Attempt) {}

// seen returns how many records there are, and the last one; nil where there is none.
func (s *scene) seen() (n int, last *rpc.Record) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n = len(s.records); n > 0 {
		last = s.records[n-1]
	}
	return n, last
}

// outcomes are the classes of a record's attempts, in order: "refused success".
func outcomes(r *rpc.Record) string {
	var all []string
	for _, a := range r.Attempts() {
		all = append(all, a.Outcome.String())
	}
	return strings.Join(all, " ")
}

// calls is how many calls the peers were asked, together.
func (s *scene) calls() (n int64) {
	for _, p := range s.peers {
		n += p.Calls.Load()
	}
	return n
}

// zombies is how many slots are held by peers whose callers have gone.
func (s *scene) zombies() (n int) {
	synctest.Wait()
	for _, e := range s.cluster.Snapshot().Endpoints {
		n += e.Zombies
	}
	return n
}

// health is the state of each endpoint: "up down".
func (s *scene) health() string {
	synctest.Wait()
	var all []string
	for _, e := range s.cluster.Snapshot().Endpoints {
		all = append(all, e.State)
	}
	return strings.Join(all, " ")
}

// malformed is how many messages were none, for whatever reason.
func (s *scene) malformed() (n int64) {
	synctest.Wait()
	for _, k := range s.server.Snapshot().Malformed {
		n += k
	}
	return n
}
