//go:build unix

package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// viewing is a config with a threaded server that gateways share as it says.
func viewing(server, own, name, share string, all []string) string {
	return fmt.Sprintf(`
listen: 127.0.0.1:0
gateways: {listen: %q, peers: [%s], name: %s, key: a key of the test, share: %s}
services:
  Users: {idl: users.thrift, timeout: 1m, upstream: {endpoints: [%q], server: threaded, slots: 4}}
`, own, `"`+strings.Join(all, `", "`)+`"`, name, share, server)
}

// Gateways with the same servers behind them see each other's calls, and show them; slots are lent only where the config says so, which a
// reload may change while calls are in flight. A gateway that ends is forgotten.
func TestGatewaysSeeEachOthersCalls(t *testing.T) {
	end := make(chan struct{})
	server, _, _ := peer(t, func(m transport.Message) fakepeer.Answer {
		if m.Head.Name == "report" {
			<-end
		}
		return fakepeer.Answer{}
	})
	all := udp(t, 2)
	a, b := start(t, viewing(server, all[0], "gw-a", "view", all)), start(t, viewing(server, all[1], "gw-b", "view", all))
	wait := func(r *running, calls int) (done chan struct{}) {
		done = make(chan struct{}, calls)
		for range calls {
			c := dial(t, r.Addresses()[0])
			go func() {
				c.call("report")
				done <- struct{}{}
			}()
		}
		return done
	}
	seen := func(r *running, others, word int) func() bool {
		return func() bool {
			s := r.Snapshot()
			w := s.Gateways.Members[1].Word
			return s.Clusters[0].Endpoints[0].Others == others && (w == nil && word == 0 || w != nil && w.Calls == word && w.Taken > 0 && w.AgeSeconds >= 0)
		}
	}
	ofA, ofB := wait(a, 2), wait(b, 1)
	eventually(t, "each sees the other's", func() bool { return seen(a, 1, 1)() && seen(b, 2, 2)() })
	if c := b.cluster(); c.Leased || !c.Viewed || c.Endpoints[0].LeasedSlots != 4 {
		t.Errorf("%+v", c)
	}
	if n, err := testutil.GatherAndCount(b.Registry(), "thriftloom_upstream_calls_of_others"); err != nil || n != 1 {
		t.Errorf("%d metrics, %v", n, err)
	}

	b.reload(viewing(server, all[1], "gw-b", "slots", all))
	if c := b.cluster(); !c.Leased || c.Viewed || c.Endpoints[0].Others != 0 {
		t.Errorf("with slots alone: %+v", c)
	}
	eventually(t, "the other forgets what is not told any more", seen(a, 0, 0))
	b.reload(viewing(server, all[1], "gw-b", "both", all))
	a.reload(viewing(server, all[0], "gw-a", "both", all))
	eventually(t, "each sees the other's again", func() bool { return seen(a, 1, 1)() && seen(b, 2, 2)() })
	eventually(t, "slots are lent", func() bool {
		return a.cluster().Leased && a.cluster().Endpoints[0].LeasedSlots+b.cluster().Endpoints[0].LeasedSlots == 4
	})

	close(end)
	for range 2 {
		<-ofA
	}
	<-ofB
	eventually(t, "no call is left", func() bool { return seen(a, 0, 0)() && seen(b, 0, 0)() })
	b.end()
	eventually(t, "it is gone", func() bool { return a.Snapshot().Gateways.Members[1].State == "gone" })
	if m := a.Snapshot().Gateways.Members[1]; m.Word != nil {
		t.Errorf("%+v", m)
	}
	a.reload(strings.Replace(viewing(server, all[0], "gw-a", "view", all), "slots: 4", "slots: 4, multiplexed: true", 1)) // another cluster
	if c := a.cluster(); !c.Viewed {
		t.Errorf("%+v", c)
	}
	dial(t, a.Addresses()[0]).expect("getUser", "void")
}
