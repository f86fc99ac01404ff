package e2e

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
)

// A Go client of three ThriftPy2 servers, without a gateway: one is killed under load, and no call of an idempotent method fails; calls with
// the same argument go to the same server; a resolver takes the dead one out.
func TestLibraryWithSeveralServers(t *testing.T) {
	peertest.Require(t)
	doc, err := thriftloom.Load(peertest.File("kinds.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	svc := doc.Service("Kinds")
	l := peertest.ThriftPy2
	var servers []*peertest.Process
	var endpoints []thriftloom.Endpoint
	for i := range 3 {
		address := peertest.FreePort(t)
		p := peertest.Start(t, l.Python, peertest.File("server.py"), "--library", l.Name, address)
		peertest.Await(t, address, transport.Buffered, p)
		servers, endpoints = append(servers, p), append(endpoints, thriftloom.Endpoint{Address: address, Name: fmt.Sprint("kinds-", i+1), Slots: 4})
	}
	known := directory{sets: make(chan []thriftloom.Endpoint)}
	client, err := thriftloom.ClientConfig{
		Resolver: known, Balance: balance.Config{Policy: "ring_hash", Argument: "value"},
		Policy: service.Policy{Idempotent: true},
	}.Dial(svc)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var k kinds
	if err := thriftloom.Bind(client, &k); err != nil {
		t.Fatal(err)
	}
	known.sets <- endpoints

	calls := func(name string) int64 {
		for _, e := range client.Snapshot().Endpoints {
			if e.Name == name {
				return e.Calls
			}
		}
		return 0
	}
	for range 20 {
		if _, err := k.EchoString(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
	}
	met := 0
	for _, e := range endpoints {
		if n := calls(e.Name); n != 0 && n != 20 {
			t.Errorf("%s had %d of 20 calls with one argument", e.Name, n)
		} else if n == 20 {
			met++
		}
	}
	if met != 1 {
		t.Errorf("20 calls with one argument were at %d servers", met)
	}

	ctx, stop := context.WithCancel(t.Context())
	var done, failed atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if _, err := k.Sleep(context.Background(), 5); err != nil {
					failed.Add(1)
					t.Log(err)
				}
				done.Add(1)
			}
		})
	}
	peertest.Eventually(t, "each server has calls", func() bool { return calls("kinds-1") > 30 && calls("kinds-2") > 30 && calls("kinds-3") > 30 })
	servers[1].Signal(t, syscall.SIGKILL)
	before := done.Load()
	peertest.Eventually(t, "300 calls after the kill", func() bool { return done.Load() > before+300 })
	known.sets <- []thriftloom.Endpoint{endpoints[0], endpoints[2]}
	peertest.Eventually(t, "the dead server is out", func() bool { return len(client.Snapshot().Endpoints) == 2 })
	stop()
	callers.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d calls failed", failed.Load(), done.Load())
	}
}

// directory is a resolver that a test drives.
type directory struct{ sets chan []thriftloom.Endpoint }

// Run implements thriftloom.Resolver.
func (d directory) Run(ctx context.Context, update func([]thriftloom.Endpoint)) error {
	for {
		select {
		case set := <-d.sets:
			update(set)
		case <-ctx.Done():
			return nil
		}
	}
}
