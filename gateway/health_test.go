package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
)

// Endpoints are checked where a block health stands, and not where there is none; the method is as the servers know it.
func TestHealthBlocks(t *testing.T) {
	const own, shared = "services.Users", "upstreams.shared"
	second := time.Second
	for _, tt := range []struct {
		name, service, upstream, shared string
		want                            map[string]cluster.Checks
	}{
		{"none", "", "", "", map[string]cluster.Checks{own: {Timeout: second}, shared: {Timeout: second}}},
		{"empty", "health: {}, ", "", "health: {}, ", map[string]cluster.Checks{
			own: {Interval: 10 * second, Timeout: second}, shared: {Interval: 10 * second, Timeout: second},
		}},
		{"written", "health: {method: ping, interval: 3s, timeout: 50ms}, ", "", "health: {method: ping, interval: 0}, ", map[string]cluster.Checks{
			own: {Method: "ping", Interval: 3 * second, Timeout: 50 * time.Millisecond}, shared: {Method: "ping", Timeout: second},
		}},
		{"multiplexed", "health: {method: ping}, ", ", multiplexed: true", "health: {method: \"Users:ping\"}, multiplexed: true, ", map[string]cluster.Checks{
			own:    {Method: "Users:ping", Interval: 10 * second, Timeout: second},
			shared: {Method: "Users:ping", Interval: 10 * second, Timeout: second},
		}},
		{"multiplexed, no method", "health: {}, ", ", multiplexed: true", "multiplexed: true, ", map[string]cluster.Checks{
			own:    {Method: client.MultiplexedProbe, Interval: 10 * second, Timeout: second},
			shared: {Method: client.MultiplexedProbe, Timeout: second},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := loadDir(t, t.TempDir(), `listen: 127.0.0.1:0
upstreams: {shared: {`+tt.shared+`endpoints: ["127.0.0.1:6001"]}}
services: {Users: {idl: users.thrift, `+tt.service+`upstream: {endpoints: ["127.0.0.1:6000"]`+tt.upstream+`}}}
`, nil)
			got := map[string]cluster.Checks{}
			for _, u := range cfg.Resolved.upstreams {
				got[u.key] = u.cluster.Checks
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A written weight of 0 drains an endpoint, and no weight is 1. The gateway's zone is what the file says, or else the environment.
func TestWeightAndZone(t *testing.T) {
	const rest = `
services: {Users: {idl: users.thrift, upstream: {endpoints: ["10.0.0.1:1", {address: "10.0.0.2:1"}, {address: "10.0.0.3:1", weight: 0, zone: b}, {address: "10.0.0.4:1", weight: 7}]}}}
`
	for _, tt := range []struct {
		name, text, zone string
		env              map[string]string
	}{
		{"nowhere", "listen: 127.0.0.1:0", "", nil},
		{"environment", "listen: 127.0.0.1:0", "a", map[string]string{"THRIFTLOOM_ZONE": "a"}},
		{"file", "listen: 127.0.0.1:0\nzone: b", "b", map[string]string{"THRIFTLOOM_ZONE": "a"}},
	} {
		u := loadDir(t, t.TempDir(), tt.text+rest, tt.env).Resolved.upstreams[0]
		want := []rpc.Endpoint{
			{Address: "10.0.0.1:1", Name: "10.0.0.1:1", Weight: 1}, {Address: "10.0.0.2:1", Name: "10.0.0.2:1", Weight: 1},
			{Address: "10.0.0.3:1", Name: "10.0.0.3:1", Drained: true, Zone: "b"}, {Address: "10.0.0.4:1", Name: "10.0.0.4:1", Weight: 7},
		}
		if diff := cmp.Diff(want, u.endpoints); diff != "" || u.cluster.Zone != tt.zone {
			t.Errorf("%s: zone %q, endpoints %s", tt.name, u.cluster.Zone, diff)
		}
	}
}
