package gateway_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// Calls go to the endpoints with the labels that their method asks for, and wait for these while they are busy; nobody else waits with them. A
// reload moves labels. Where no endpoint has them calls go to any, or are refused; what is said of them is the config's.
func TestSubset(t *testing.T) {
	small, _, _ := peer(t, named("small"))
	hold, held := make(chan struct{}), make(chan struct{})
	big, _, _ := peer(t, func(m transport.Message) fakepeer.Answer {
		if m.Head.Name == "report" {
			held <- struct{}{}
			<-hold
		}
		return named("big")(m)
	})
	config := `
listen: "127.0.0.1:0"
services:
  Users:
    idl: users.thrift
    timeout: 15s
    queue: {max_wait: 15s}
    upstream: {endpoints: [{address: %q, labels: {size: %s}}, {address: %q, labels: {size: %s, disk: ssd}}], server: simple}
    methods:
      report: {subset: {labels: {size: big}, otherwise: refuse}}
      getUser: {subset: {labels: {size: {argument: id, default: big}, disk: ssd}}}
`
	r := start(t, fmt.Sprintf(config, small, "small", big, "big"))
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	a, b, c := dial(t, r.Addresses()[0]), dial(t, r.Addresses()[0]), dial(t, r.Addresses()[0])
	for range 5 {
		c.expect("getUser", "big")
	}
	answers := make(chan string, 2)
	go func() { answers <- a.call("report") }()
	<-held
	go func() { answers <- b.call("getUser") }()
	eventually(t, "a call that waits", func() bool { return r.Snapshot().Clusters[0].QueueCalls == 1 })
	for range 5 {
		c.expect("ping", "small")
	}
	close(hold)
	for range 2 {
		if got := <-answers; got != "big" {
			t.Errorf("%q has answered", got)
		}
	}
	want := map[string]map[string]string{small: {"size": "small"}, big: {"size": "big", "disk": "ssd"}}
	for _, e := range r.Snapshot().Clusters[0].Endpoints {
		if !maps.Equal(e.Labels, want[e.Address]) {
			t.Errorf("%s has the labels %v", e.Address, e.Labels)
		}
	}
	for _, step := range []struct{ small, big, report, getUser string }{
		{"big", "small", "small", "small"}, // no endpoint has size: big with disk: ssd, and either may answer
		{"tiny", "tiny", "6 UNAVAILABLE: upstream Users: no endpoint with size=big is up; call …", "small"},
	} {
		r.write("thriftloom.yaml", fmt.Sprintf(config, small, step.small, big, step.big))
		if _, err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.expect("report", step.report)
		if got := c.call("getUser"); got != "small" && got != "big" {
			t.Errorf("getUser: %q", got)
		}
	}
}

// A more specific place replaces the labels whole and keeps what it does not name; off turns the subset off.
func TestSubsetsOfPlaces(t *testing.T) {
	big, _, _ := peer(t, named("big"))
	small, _, _ := peer(t, named("small"))
	r := start(t, fmt.Sprintf(`
listen: "127.0.0.1:0"
defaults: {subset: {otherwise: refuse}}
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: [{address: %q, labels: {size: big}}, {address: %q, labels: {size: small, version: v2}}]}
    subset: {labels: {size: big, version: v1}}
    methods:
      report: {subset: {labels: {version: v2}}}
      ping: {subset: off}
`, big, small))
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	c := dial(t, r.Addresses()[0])
	for range 5 {
		c.expect("report", "small")
		c.expect("getUser", "6 UNAVAILABLE: upstream Users: no endpoint with size=big, version=v1 is up; call …")
		if got := c.call("ping"); got != "big" && got != "small" {
			t.Errorf("ping: %q", got)
		}
	}
}
