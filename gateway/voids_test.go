package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/cache/cachetest"
)

// noting is the memory of a process that says when it is told that something is void.
type noting struct {
	cachetest.Map
	void chan time.Time // of each
	all  chan struct{}  // capacity 1: of all
}

// Delete implements cache.Near.
func (n *noting) Delete(id cache.ID) {
	n.void <- time.Now()
	n.Map.Delete(id)
}

// Clear implements cache.Near.
func (n *noting) Clear() {
	select {
	case n.all <- struct{}{}:
	default:
	}
	n.Map.Clear()
}

// keeping is a running gateway that keeps replies.
type keeping struct {
	*Gateway
	near *noting
	end  func()
}

// freePorts are two addresses where nobody hears.
func freePorts(t *testing.T) (addresses [2]string) {
	for i := range addresses {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		addresses[i] = c.LocalAddr().String()
	}
	return addresses
}

// cachingGateways are two of them that tell each other what is void, once each vouches to the other.
func cachingGateways(t *testing.T) (both [2]*keeping) {
	t.Helper()
	addresses := freePorts(t)
	for i, own := range addresses {
		cfg := loadDir(t, t.TempDir(), fmt.Sprintf(`
listen: 127.0.0.1:0
gateways: {listen: %q, peers: [%q, %q], name: gw-%d, key: a key of the test, share: both}
services:
  Users: {idl: users.thrift, upstream: {endpoints: ["127.0.0.1:1"], server: threaded, slots: 2}}
`, own, addresses[0], addresses[1], i), nil)
		c := &keeping{near: &noting{void: make(chan time.Time, 10000), all: make(chan struct{}, 1)}}
		c.Gateway = New(cfg, Options{Log: slog.New(slog.DiscardHandler)})
		c.cache.Keep(c.near)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		c.lender.Load().runner.Keep(voided{c.cache.State})
		<-c.near.all
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = c.Run(ctx, nil)
		}()
		c.end = func() { cancel(); <-done }
		t.Cleanup(c.end)
		both[i] = c
	}
	for _, c := range both {
		c.wait(t, "each vouches", func() bool { return c.Snapshot().Gateways.Members[1].VouchedAgeSeconds != nil })
	}
	return both
}

func (c *keeping) wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s: %+v", what, c.Snapshot().Gateways)
		}
	}
}

// What is made void on one gateway is void on the other one some moments later, and each counts it; where one is gone, the other one goes on.
func TestVoidOnOtherGateways(t *testing.T) {
	both := cachingGateways(t)
	at := cache.Place{Service: "Users"}
	const n = 1000
	var took []time.Duration
	for i := range n {
		from, to := both[i%2], both[1-i%2]
		begin := time.Now()
		if err := from.cache.PurgeTag(t.Context(), at, fmt.Sprint("user:", i)); err != nil {
			t.Fatal(err)
		}
		<-from.near.void // at once
		select {
		case heard := <-to.near.void:
			took = append(took, heard.Sub(begin))
		case <-time.After(time.Minute):
			t.Fatalf("%d is not heard: %+v", i, to.Snapshot().Gateways)
		}
	}
	slices.Sort(took)
	t.Logf("from one gateway to the other: p50 %v, p99 %v, at most %v", took[n/2], took[n*99/100], took[n-1])
	for _, c := range both {
		if v := c.Snapshot().Gateways.Voids; v.Told != n/2 || v.Heard != n/2 || v.Silent != 0 || len(v.Dropped) != 3 {
			t.Errorf("%+v", v)
		}
		if n, err := testutil.GatherAndCount(c.Registry(), "thriftloom_gateway_voids_total", "thriftloom_gateway_cache_drops_total"); err != nil || n != 6 {
			t.Errorf("%d metrics, %v", n, err)
		}
	}
	both[1].end()
	if err := both[0].cache.PurgeTag(t.Context(), at, "user:0"); err != nil {
		t.Error(err)
	}
	<-both[0].near.void
	if v := both[0].Snapshot().Gateways.Voids; v.Told != n/2+1 || v.Silent != 0 {
		t.Errorf("%+v", v)
	}
}

// A reload that leaves the gateways as they are drops nothing, and where no reply is kept that nobody else tells of, as here, nothing is heard.
func TestReloadOfGatewaysThatKeepNothing(t *testing.T) {
	both := cachingGateways(t)
	both[0].changing.Lock()
	both[0].hearVoid(both[0].lender.Load(), both[0].current.Load().plans)
	both[0].changing.Unlock()
	if s := both[0].Snapshot().Gateways; s.Voids != nil || s.Members[1].VouchedAgeSeconds != nil {
		t.Errorf("%+v", s)
	}
	problems, err := testutil.GatherAndLint(both[0].Registry(), "thriftloom_gateway_voids_total")
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if err := both[0].cache.Purge(t.Context(), cache.Place{Service: "Users"}); err != nil {
		t.Fatal(err)
	}
	<-both[1].near.void // it tells all the same
	if text := fmt.Sprintf("%+v", both[1].Snapshot().Gateways.Voids); !strings.Contains(text, "Silent:0") {
		t.Error(text)
	}
}
