//go:build unix

package gateway_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// udp returns n addresses where nobody hears.
func udp(t *testing.T, n int) (all []string) {
	for range n {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c.LocalAddr().String())
	}
	return all
}

// lending is a config with a server of two workers that gateways share; own is the gateway's own address.
func lending(server, own, name string, all []string) string {
	return fmt.Sprintf(`
listen: 127.0.0.1:0
gateways: {listen: %q, peers: [%s], name: %s, key: a key of the test}
services:
  Users: {idl: users.thrift, timeout: 10s, upstream: {endpoints: [%q], server: gunicorn-sync, slots: 2}}
`, own, `"`+strings.Join(all, `", "`)+`"`, name, server)
}

func (r *running) cluster() status.Cluster { return r.Snapshot().Clusters[0] }

// Two gateways with the same workers behind them lend each other slots, and show it. A gateway that ends leaves all to the other.
func TestGatewaysLendSlots(t *testing.T) {
	server, _, _ := peer(t, named("users"))
	all := udp(t, 2)
	a, b := start(t, lending(server, all[0], "gw-a", all)), start(t, lending(server, all[1], "gw-b", all))
	for range 20 {
		dial(t, a.Addresses()[0]).expect("getUser", "users")
		dial(t, b.Addresses()[0]).expect("getUser", "users")
	}
	eventually(t, "both slots are given out", func() bool {
		return a.cluster().Endpoints[0].LeasedSlots+b.cluster().Endpoints[0].LeasedSlots == 2
	})
	s := b.Snapshot().Gateways
	if s == nil || s.Name != "gw-b" || s.Arbiter != "gw-a" || s.Static || len(s.Members) != 2 || s.Members[1].State != "alive" || s.Taken == 0 {
		t.Errorf("snapshot %+v", s)
	}
	if e := b.cluster().Endpoints[0]; !b.cluster().Leased || e.Slots != 2 {
		t.Errorf("%+v", b.cluster())
	}
	if n, err := testutil.GatherAndCount(b.Registry(), "thriftloom_upstream_leased_slots", "thriftloom_gateways"); err != nil || n != 5 {
		t.Errorf("%d metrics, %v", n, err)
	}
	a.end()
	eventually(t, "the other has both", func() bool { return b.cluster().Endpoints[0].LeasedSlots == 2 })
	if s := b.Snapshot().Gateways; s.Arbiter != "gw-b" || s.Members[1].State != "gone" {
		t.Errorf("snapshot %+v", s)
	}
}

// With a stated number a gateway takes its share of each endpoint's slots, rounded down, and one at least; where it is the only one that uses
// an upstream, all.
func TestStatedNumberOfGateways(t *testing.T) {
	r := start(t, `
listen: 127.0.0.1:0
gateways: 3
defaults: {timeout: 5s}
upstreams:
  alone: {endpoints: ["127.0.0.1:1"], server: gunicorn-sync, slots: 8, gateways: 1}
  two: {endpoints: ["127.0.0.1:1", {address: "127.0.0.1:2", slots: 2}], server: gunicorn-sync, slots: 9, gateways: 2}
services:
  Users: {idl: users.thrift, upstream: {endpoints: ["127.0.0.1:1", {address: "127.0.0.1:2", slots: 2}], server: gunicorn-sync, slots: 7}}
`)
	got := map[string][]int{}
	for _, c := range r.Snapshot().Clusters {
		for _, e := range c.Endpoints {
			got[c.Name] = append(got[c.Name], e.Slots)
		}
	}
	if want := "map[Users:[2 1] alone:[8] two:[4 1]]"; fmt.Sprint(got) != want {
		t.Errorf("slots %v, want %s", got, want)
	}
}

// Who the gateways are, where one listens, and how the servers speak may change by reload while calls run: none fails.
func TestLendingReloads(t *testing.T) {
	server, _, _ := peer(t, func(transport.Message) fakepeer.Answer { return fakepeer.Answer{After: time.Millisecond} })
	all := udp(t, 3)
	a, b := start(t, lending(server, all[0], "gw-a", all[:2])), start(t, lending(server, all[1], "gw-b", all[:2]))
	var calls atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	for _, address := range []string{a.Addresses()[0], a.Addresses()[0], b.Addresses()[0]} {
		c := dial(t, address)
		callers.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				if got := c.call("getUser"); got != "void" {
					t.Errorf("%s; %+v %+v and %+v %+v", got, a.Snapshot().Gateways, a.cluster(), b.Snapshot().Gateways, b.cluster())
				}
				calls.Add(1)
			}
		})
	}
	served := func() {
		t.Helper()
		before := calls.Load()
		eventually(t, "calls go on", func() bool { return calls.Load() > before+20 || t.Failed() })
	}
	served()
	a.reload(lending(server, all[0], "gw-z", all)) // another name, and one gateway more that does not run yet
	b.reload(lending(server, all[1], "gw-b", all))
	served()
	eventually(t, "the other gives the orders", func() bool { return a.Snapshot().Gateways.Arbiter == "gw-b" })
	a.reload(lending(server, all[2], "gw-z", all)) // it listens elsewhere
	served()
	eventually(t, "they see each other", func() bool {
		s := a.Snapshot().Gateways
		return s.Arbiter == "gw-b" && !s.Static && a.cluster().Endpoints[0].LeasedSlots+b.cluster().Endpoints[0].LeasedSlots == 2
	})
	served()
	a.reload(strings.Replace(lending(server, all[2], "gw-z", all), "timeout: 10s", "timeout: 10s, queue: {max_calls: 9}", 1))
	served()
	b.reload(strings.Replace(lending(server, all[1], "gw-b", all), "slots: 2", "slots: 2, multiplexed: true", 1)) // another cluster
	served()
	eventually(t, "the one before has ended", func() bool { return b.cluster().Endpoints[0].LeasedSlots > 0 })
	b.reload(fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 10s, upstream: {endpoints: [%q]}}}\n", server))
	if s := b.Snapshot(); s.Gateways != nil || s.Clusters[0].Leased {
		t.Errorf("it shares no more: %+v", s)
	}
	served()
	stop()
	callers.Wait()
}

// A gateway that drains a server has no more part in its slots: they are for the others, also while its own calls wait, which get as many slots
// elsewhere instead.
func TestDrainedSlotsAreLent(t *testing.T) {
	busy := func(transport.Message) fakepeer.Answer { return fakepeer.Answer{After: 2 * time.Millisecond} }
	one, _, _ := peer(t, busy)
	two, _, _ := peer(t, busy)
	all := udp(t, 2)
	config := func(i, weight int) string {
		both := fmt.Sprintf(`{address: %q, weight: %d}, %q`, one, weight, two)
		return strings.Replace(lending("SERVERS", all[i], fmt.Sprint("gw-", i), all), `"SERVERS"`, both, 1)
	}
	gateways := []*running{start(t, config(0, 1)), start(t, config(1, 1))}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	for i := range 12 {
		c := dial(t, gateways[i%2].Addresses()[0])
		callers.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				if got := c.call("getUser"); got != "void" {
					t.Error(got)
				}
			}
		})
	}
	leased := func() string { // of each gateway, by server
		text := ""
		for _, g := range gateways {
			for _, e := range []string{one, two} {
				for _, x := range g.cluster().Endpoints {
					if x.Address == e {
						text += fmt.Sprint(x.LeasedSlots, " ")
					}
				}
			}
		}
		return text
	}
	eventually(t, "all slots are lent", func() bool {
		var a, b, c, d int
		_, _ = fmt.Sscan(leased(), &a, &b, &c, &d)
		return a+b == 2 && a+c == 2 && c+d == 2
	})
	gateways[0].reload(config(0, 0))
	eventually(t, "the drained server is the other's", func() bool { return leased() == "0 2 2 0 " })
	gateways[0].reload(config(0, 1))
	gateways[1].reload(config(1, 0))
	eventually(t, "now it is the other way round", func() bool { return leased() == "2 0 0 2 " })
	gateways[0].reload(config(0, 0))
	eventually(t, "both drain it, and share what stays", func() bool { return strings.Fields(leased())[1] == "1" && strings.Fields(leased())[3] == "1" })
	stop()
	callers.Wait()
}
