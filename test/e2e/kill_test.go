package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/load"
)

// HL-1, with real servers: when one of four replicas is killed under load, no call of an idempotent method fails, of others at most those that it was working at,
// and the replica comes back and serves.
func TestKillOneReplica(t *testing.T) {
	peertest.Require(t)
	const slots = 4
	again, once := peertest.FreePort(t), peertest.FreePort(t)
	idl := peertest.File("kinds.thrift")
	g := peertest.StartGateway(t, fmt.Sprintf(`
defaults: {timeout: 20s, queue: {max_wait: 20s}}
upstreams: {fleet: {run: %s, server: threaded, slots: %d}}
services:
  Again: {service: Kinds, idl: %s, listen: %q, upstream: fleet, methods: {sleep: {idempotent: true}}}
  Once: {service: Kinds, idl: %s, listen: %q, upstream: fleet}
`, run(peertest.ThriftPy2, 4), slots, idl, again, idl, once))
	awaitReplicas(t, g, 4)
	victim := g.Snapshot().Replicas[1]

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	idempotent, plain := startSleeping(ctx, t, again), startSleeping(ctx, t, once)
	peertest.Eventually(t, "300 calls of each", func() bool { return idempotent.done.Load() >= 300 && plain.done.Load() >= 300 })
	peertest.Eventually(t, "the victim is at work", func() bool { return inFlight(g, victim.Name) == slots })
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	peertest.Eventually(t, "the replica is back", func() bool {
		for _, r := range g.Snapshot().Replicas {
			if r.Name == victim.Name {
				return r.State == "ready" && r.PID != victim.PID && r.Restarts == 1
			}
		}
		return false
	})
	back := time.Since(killed)
	served := calls(g, victim.Name)
	peertest.Eventually(t, "the new replica serves", func() bool { return calls(g, victim.Name) >= served+100 })
	cancel()
	a, b := <-idempotent.report, <-plain.report
	if a.Failed != 0 {
		t.Errorf("%d of %d idempotent calls failed: %v", a.Failed, a.Calls, a.Errors)
	}
	if b.Failed > slots {
		t.Errorf("%d of %d other calls failed, and the replica worked at %d: %v", b.Failed, b.Calls, slots, b.Errors)
	}
	tried := retries(t, g, "Again/sleep")
	if hit := tried + b.Failed; hit > slots {
		t.Errorf("%d calls were hit, and the replica worked at %d", hit, slots)
	}
	t.Logf("idempotent: %d calls, %d tried again, %d failed; others: %d calls, %d failed; the replica was back after %v",
		a.Calls, tried, a.Failed, b.Calls, b.Failed, back)
}

// sleeping is sixteen callers at work.
type sleeping struct {
	done   atomic.Int64 // calls
	report chan *load.Report
}

func startSleeping(ctx context.Context, t *testing.T, address string) *sleeping {
	s, k := &sleeping{report: make(chan *load.Report, 1)}, dial(t, address, 16)
	go func() {
		r, err := load.Run(ctx, load.Config{Concurrency: 16}, func(context.Context, int) load.Result {
			defer s.done.Add(1)
			_, err := k.Sleep(context.Background(), 10)
			return load.Result{Err: err}
		}, nil)
		if err != nil {
			t.Error(err)
		}
		s.report <- r
	}()
	return s
}

func awaitReplicas(t *testing.T, g *peertest.Gateway, n int) {
	t.Helper()
	peertest.Eventually(t, fmt.Sprintf("%d replicas are ready", n), func() bool {
		ready := 0
		for _, r := range g.Snapshot().Replicas {
			if r.State == "ready" {
				ready++
			}
		}
		return ready == n
	})
}

// calls is how many the endpoint of that name has been sent so far, under all of its addresses.
func calls(g *peertest.Gateway, name string) (n int64) {
	for _, e := range endpoints(g) {
		if e.Name == name {
			n += e.Calls
		}
	}
	return n
}

// inFlight is how many calls the endpoint of that name is working at.
func inFlight(g *peertest.Gateway, name string) (n int) {
	for _, e := range endpoints(g) {
		if e.Name == name {
			n += e.InFlight
		}
	}
	return n
}

// retries is how often calls of a method were tried again after the connection broke with the call under way.
func retries(t *testing.T, g *peertest.Gateway, method string) (n int64) {
	t.Helper()
	families, err := g.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "thriftloom_retries_total" && labels["rpc_method"] == method && strings.HasPrefix(labels["reason"], "closed_") {
				n += int64(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

func endpoints(g *peertest.Gateway) (all []status.Endpoint) {
	for _, c := range g.Snapshot().Clusters {
		all = append(all, c.Endpoints...)
	}
	return all
}
