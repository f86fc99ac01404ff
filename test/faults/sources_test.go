//go:build linux

package faults

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/cluster/resolve/etcd"
	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// looked is a gateway whose servers are looked up, before callers that call all the time.
type looked struct {
	*testing.T
	gateway *peertest.Gateway
	front   string
	peers   []*fakepeer.Peer
	at      []string // the peers' addresses: one port on 127.0.0.1, 127.0.0.2 and so on
	stops   []func()
}

// newPeers starts n servers.
func newPeers(t *testing.T, n int) *looked {
	goroutines := runtime.NumGoroutine()
	t.Cleanup(func() {
		peertest.Eventually(t, "goroutines are as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	})
	l := &looked{T: t, front: peertest.FreePort(t)}
	_, port, _ := net.SplitHostPort(peertest.FreePort(t))
	for i := range n {
		p, at, stop := peer(t, "tcp", fmt.Sprintf("127.0.0.%d:%s", i+1, port))
		l.peers, l.at, l.stops = append(l.peers, p), append(l.at, at), append(l.stops, stop)
	}
	return l
}

// begin starts the gateway over an upstream, and waits until so many endpoints are known.
func (l *looked) begin(upstream string, endpoints int) {
	l.Helper()
	l.gateway = peertest.StartGatewayWith(l.T, gateway.Options{Resolvers: gateway.Resolvers{Etcd: etcd.New}}, fmt.Sprintf(`
defaults: {timeout: 20s, queue: {max_wait: 20s}}
services: {Faulty: {idl: %q, listen: %q, upstream: {%s, server: threaded}, methods: {ping: {idempotent: true}}}}
`, peertest.File("faulty.thrift"), l.front, upstream))
	l.await(resolve.Good, endpoints)
	l.gateway.AwaitReady(l.T, "")
}

func (l *looked) cluster() status.Cluster { return l.gateway.Snapshot().Clusters[0] }

// await waits until the source is in a state with so many endpoints in force.
func (l *looked) await(state string, endpoints int) {
	l.Helper()
	peertest.Eventually(l.T, fmt.Sprintf("%s with %d endpoints", state, endpoints), func() bool {
		s := l.cluster().Source
		return s.State == state && s.Endpoints == endpoints
	})
}

// during lets callers call while f runs, and checks that no call fails.
func (l *looked) during(f func()) {
	l.Helper()
	var callers sync.WaitGroup
	var over atomic.Bool
	var calls atomic.Int64
	for range 4 {
		c := connect(l.T, l.front)
		callers.Go(func() {
			defer c.Close()
			for !over.Load() {
				if got := c.call("ping", []byte{0}); got != "OK" {
					l.Errorf("a call ended with %s", got)
					return
				}
				calls.Add(1)
			}
		})
	}
	defer func() { over.Store(true); callers.Wait() }()
	more := func(n int64) {
		peertest.Eventually(l.T, "calls are answered", func() bool { return l.Failed() || calls.Load() > n })
	}
	more(20)
	f()
	more(calls.Load() + 20)
}

// serves waits until each of these peers is asked, and checks that the others are not.
func (l *looked) serves(which ...int) {
	l.Helper()
	before := make([]int64, len(l.peers))
	wanted := map[int]bool{}
	for _, i := range which {
		wanted[i] = true
	}
	peertest.Eventually(l.T, "calls in flight elsewhere are over", func() bool {
		return !slices.ContainsFunc(l.cluster().Endpoints, func(e status.Endpoint) bool { return e.State == "draining" })
	})
	for i, p := range l.peers {
		before[i] = p.Calls.Load()
	}
	peertest.Eventually(l.T, fmt.Sprint("peers are asked: ", which), func() bool {
		for _, i := range which {
			if l.peers[i].Calls.Load() == before[i] {
				return false
			}
		}
		return true
	})
	for i, p := range l.peers {
		if n := p.Calls.Load() - before[i]; !wanted[i] && n > 0 {
			l.Errorf("peer %d, which is not named, was asked %d times", i, n)
		}
	}
}

// What may go wrong with the DNS server by which servers are found. No call fails.
func TestDNSSource(t *testing.T) {
	t.Run("DNS source fails", func(t *testing.T) {
		l, server := withDNS(t, 2)
		l.during(func() {
			server.Stop()
			l.await(resolve.Stale, 2)
			l.serves(0, 1)
			server.Set(l.records(0, 1)...)
			l.await(resolve.Good, 2)
		})
	})
	t.Run("DNS source empty", func(t *testing.T) {
		l, server := withDNS(t, 2)
		l.during(func() {
			for _, records := range [][]string{nil, {"txt-record=users.internal,gone"}} { // no such name, and a name without an address
				server.Set(records...)
				l.await(resolve.Stale, 2)
				l.serves(0, 1)
				server.Set(l.records(0, 1)...)
				l.await(resolve.Good, 2)
			}
		})
	})
	t.Run("DNS source changed", func(t *testing.T) {
		l, server := withDNS(t, 1)
		l.during(func() {
			server.Set(l.records(1)...)
			peertest.Eventually(t, "the other address", func() bool { return l.cluster().Endpoints[0].Address == l.at[1] })
			l.await(resolve.Good, 1)
			l.serves(1)
			server.Set(l.records(0, 1, 2)...)
			l.await(resolve.Good, 3)
			l.serves(0, 1, 2)
		})
	})
	t.Run("DNS source slow", func(t *testing.T) {
		l := newPeers(t, 2)
		server := peertest.StartDNS(t, l.records(0)...)
		var dark atomic.Bool
		l.begin(dnsUpstream(slowLine(t, server.Address, &dark)), 1)
		l.during(func() {
			dark.Store(true)
			l.await(resolve.Stale, 1)
			server.Set(l.records(1)...)
			l.serves(0)
			dark.Store(false)
			l.await(resolve.Good, 1)
			l.serves(1)
		})
	})
}

// withDNS is three peers, of which the first n are named by dnsmasq.
func withDNS(t *testing.T, n int) (*looked, *peertest.DNS) {
	t.Helper()
	l := newPeers(t, 3)
	server := peertest.StartDNS(t, l.records([]int{0, 1, 2}[:n]...)...)
	l.begin(dnsUpstream(server.Address), n)
	return l, server
}

// records are what dnsmasq needs to name some of the peers by SRV records.
func (l *looked) records(peers ...int) (lines []string) {
	_, port, _ := net.SplitHostPort(l.at[0])
	for _, i := range peers {
		lines = append(lines, fmt.Sprintf("srv-host=_thrift._tcp.users.internal,users-%d.internal,%s,0,5", i, port),
			fmt.Sprintf("host-record=users-%d.internal,127.0.0.%d,0", i, i+1))
	}
	return lines
}

func dnsUpstream(server string) string {
	return fmt.Sprintf("dns: {name: _thrift._tcp.users.internal, server: %q, min_ttl: 100ms}, hold_empty: 1h", server)
}

// slowLine passes questions on to a server, and, while it is dark, answers later than anybody waits: never.
func slowLine(t *testing.T, to string, dark *atomic.Bool) (address string) {
	t.Helper()
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			n, from, err := in.ReadFrom(buf)
			if err != nil {
				return
			}
			if dark.Load() {
				continue
			}
			out, err := net.Dial("udp", to)
			if err != nil {
				continue
			}
			_, _ = out.Write(buf[:n])
			_ = out.SetReadDeadline(time.Now().Add(time.Second))
			if n, err = out.Read(buf); err == nil {
				_, _ = in.WriteTo(buf[:n], from)
			}
			_ = out.Close()
		}
	}()
	t.Cleanup(func() { _ = in.Close(); <-ended })
	return in.LocalAddr().String()
}

// What may become of the servers that a registry names, a real etcd, and of the registry. No call fails, but where no server is left by choice.
func TestRegistry(t *testing.T) {
	t.Run("add 1", func(t *testing.T) {
		l, r := withEtcd(t, 2, "1h")
		l.during(func() {
			r.put("c", l.at[2])
			l.await(resolve.Good, 3)
			l.serves(0, 1, 2)
		})
	})
	t.Run("remove 1", func(t *testing.T) {
		l, r := withEtcd(t, 3, "1h")
		l.during(func() {
			r.remove("b")
			l.await(resolve.Good, 2)
			l.serves(0, 2)
		})
	})
	t.Run("registry names none", func(t *testing.T) {
		l, r := withEtcd(t, 2, "0s")
		l.during(func() { l.serves(0, 1) })
		r.remove("a")
		r.remove("b")
		l.await(resolve.Empty, 0)
		c := connect(t, l.front)
		if got := c.call("ping", []byte{0}); got != "UNAVAILABLE" {
			t.Errorf("with no server: %s", got)
		}
		r.put("b", l.at[1])
		l.await(resolve.Good, 1)
		if got := c.call("ping", []byte{0}); got != "OK" {
			t.Errorf("with a server again: %s", got)
		}
		l.during(func() { l.serves(1) })
	})
	t.Run("duplicate address", func(t *testing.T) {
		l, r := withEtcd(t, 2, "1h")
		l.during(func() {
			r.put("z", l.at[0])
			r.put("c", l.at[2]) // what comes after it has been seen
			l.await(resolve.Good, 3)
			for _, e := range l.cluster().Endpoints {
				if e.Connections > e.Slots {
					t.Errorf("%s has %d connections and %d slots", e.Name, e.Connections, e.Slots)
				}
			}
			r.remove("a") // the other one names it still
			r.remove("c")
			l.await(resolve.Good, 2)
			l.serves(0, 1)
		})
	})
	t.Run("registry down", func(t *testing.T) {
		l, r := withEtcd(t, 2, "1h")
		l.during(func() {
			r.Stop()
			l.await(resolve.Stale, 2)
			l.serves(0, 1)
			r.Start()
			r.put("c", l.at[2])
			l.await(resolve.Good, 3)
			l.serves(0, 1, 2)
		})
	})
	t.Run("registry empty", func(t *testing.T) {
		l, r := withEtcd(t, 2, "1h")
		l.during(func() {
			r.remove("a")
			r.remove("b")
			l.await(resolve.Stale, 1)
			l.serves(1)
			r.put("c", l.at[2])
			l.await(resolve.Good, 1)
			l.serves(2)
		})
	})
	t.Run("registry stale", func(t *testing.T) { // it names a server that has ended
		l, r := withEtcd(t, 2, "1h")
		l.during(func() {
			l.stops[2]()
			r.put("c", l.at[2])
			l.await(resolve.Good, 3)
			peertest.Eventually(t, "the dead one is down", func() bool {
				for _, e := range l.cluster().Endpoints {
					if e.Address == l.at[2] && e.State == "down" {
						return true
					}
				}
				return false
			})
			l.serves(0, 1)
		})
	})
}

// registry is a real etcd with a client.
type registry struct {
	*peertest.EtcdServer
	t      *testing.T
	client *clientv3.Client
}

// withEtcd is three peers, of which the first n are named by etcd: under the keys a, b and c.
func withEtcd(t *testing.T, n int, hold string) (*looked, *registry) {
	t.Helper()
	l := newPeers(t, 3)
	r := &registry{EtcdServer: peertest.StartEtcd(t), t: t}
	var err error
	if r.client, err = clientv3.New(clientv3.Config{Endpoints: []string{r.Address}, Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	for i := range n {
		r.put(string(rune('a'+i)), l.at[i])
	}
	l.begin(fmt.Sprintf("etcd: {endpoints: [%q], prefix: /users/}, hold_empty: %s", r.Address, hold), n)
	return l, r
}

func (r *registry) put(key, value string) {
	r.t.Helper()
	r.do(func(ctx context.Context) error { _, err := r.client.Put(ctx, "/users/"+key, value); return err })
}

func (r *registry) remove(key string) {
	r.t.Helper()
	r.do(func(ctx context.Context) error { _, err := r.client.Delete(ctx, "/users/"+key); return err })
}

func (r *registry) do(f func(ctx context.Context) error) {
	r.t.Helper()
	peertest.Eventually(r.t, "etcd answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return f(ctx) == nil
	})
}
