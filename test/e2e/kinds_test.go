package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// serveKind runs server.py as a kind of server until the test ends, and returns its address once it answers.
func serveKind(t *testing.T, l peertest.Library, kind string) string {
	t.Helper()
	address := peertest.FreePort(t)
	p := peertest.Start(t, l.Python, peertest.File("server.py"), "--library", l.Name, "--kind", kind, address)
	peertest.Await(t, address, transport.Buffered, p)
	return address
}

// before is config for servers that run already.
func before(front, kind string, addresses ...string) string {
	list := fmt.Sprintf("%q", addresses)
	return config(front, fmt.Sprintf("upstream: {endpoints: %s, server: %s}", strings.ReplaceAll(list, "\" \"", "\", \""), kind))
}

// A worker that serves one connection at a time is given up when no call waits: somebody else, who found it taken, is served long before
// the server would have ended the gateway's connection by itself (3 s).
func TestPinnedWorkerIsGivenUp(t *testing.T) {
	peertest.Require(t)
	for _, l := range peertest.Libraries {
		t.Run(l.Name, func(t *testing.T) {
			t.Parallel()
			address, front := serveKind(t, l, "simple"), peertest.FreePort(t)
			peertest.StartGateway(t, before(front, "simple", address)).AwaitReady(t, "")
			k := dial(t, front, 1)
			for n := range int32(3) {
				if got, err := k.EchoI32(t.Context(), n); err != nil || got != n {
					t.Fatalf("%d, %v", got, err)
				}
				other := rawDial(t, address)
				_ = other.SetDeadline(time.Now().Add(2 * time.Second))
				other.send(message("ping", wire.Call, n))
				other.answer(n, wire.Reply)
				_ = other.Close()
			}
		})
	}
}

// One connection serves a caller that calls again at once: giving a worker up does not cost a connection a call.
func TestPinnedConnectionIsUsedAgain(t *testing.T) {
	peertest.Require(t)
	address, front := serveKind(t, peertest.ThriftPy2, "simple"), peertest.FreePort(t)
	g := peertest.StartGateway(t, before(front, "simple", address))
	g.AwaitReady(t, "")
	c := rawDial(t, front)
	for seq := range int32(16) { // all at once: fifteen wait for the one slot
		c.send(message("ping", wire.Call, seq))
	}
	for seq := range int32(16) {
		c.answer(seq, wire.Reply)
	}
	if e := g.Snapshot().Clusters[0].Endpoints[0]; e.Calls != 16 || e.Failures != 0 || e.Connections > 1 {
		t.Errorf("endpoint %+v", e)
	}
}

// make_aio_server ends a connection 3 s after it was made, also in the middle of a call. Calls of 1 s among short ones are not cut by it.
func TestAioCallsAreNotCut(t *testing.T) {
	peertest.Require(t)
	address, front := serveKind(t, peertest.ThriftPy2, "aio"), peertest.FreePort(t)
	peertest.StartGateway(t, before(front, "aio", address)).AwaitReady(t, "")
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed []string
	for n := range 8 {
		k := dial(t, front, 1)
		all.Go(func() {
			for i := range 5 {
				time.Sleep(time.Duration(n*40) * time.Millisecond) // so that connections of every age are met
				err := k.Ping(context.Background())
				if err == nil {
					_, err = k.Sleep(context.Background(), 1000)
				}
				if err != nil {
					mu.Lock()
					failed = append(failed, fmt.Sprintf("caller %d, turn %d: %v", n, i, err))
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	slices.Sort(failed)
	if len(failed) > 0 {
		t.Errorf("%d of 40 failed: %v", len(failed), failed)
	}
}

// Servers that want the service's name before the method's get it, and callers go on as they are: every case of client.py, the fence behind
// a oneway and the probe among them.
func TestMultiplexedServers(t *testing.T) {
	peertest.Require(t)
	for _, l := range peertest.Libraries {
		t.Run(l.Name, func(t *testing.T) {
			t.Parallel()
			front := peertest.FreePort(t)
			g := peertest.StartGateway(t, config(front, fmt.Sprintf(
				"unknown_methods: refuse, upstream: {run: %s, server: threaded, multiplexed: true}", run(l, 1, "--kind", "multiplexed"))))
			awaitReplicas(t, g, 1) // a replica is ready when it has answered the probe
			l.Call(t, transport.Buffered, peertest.CrashException, front)
			peertest.Eventually(t, "no slot is taken any more", func() bool { return g.Snapshot().Clusters[0].Endpoints[0].InFlight == 0 })
		})
	}
}
