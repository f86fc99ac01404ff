//go:build linux

package faults

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// fleet is a gateway in this process over real ThriftPy2 servers of Faulty. The same servers stand behind two services: at again calls may
// be made twice, at once they may not. At brief they may not either, and take 2 s at most.
type fleet struct {
	*testing.T
	gateway            *peertest.Gateway
	again, once, brief string
}

const slots = 4

// newFleet starts a gateway. upstream is the block behind both services, with server and slots left out; defaults are more keys of that section.
func newFleet(t *testing.T, upstream string, defaults ...string) *fleet {
	t.Helper()
	peertest.Require(t)
	goroutines, descriptors := runtime.NumGoroutine(), openFiles("self")
	t.Cleanup(func() { // after the gateway's own
		peertest.Eventually(t, "goroutines and descriptors are as before", func() bool {
			return runtime.NumGoroutine() <= goroutines && openFiles("self") <= descriptors
		})
	})
	f := &fleet{T: t, again: peertest.FreePort(t), once: peertest.FreePort(t), brief: peertest.FreePort(t)}
	idl := peertest.File("faulty.thrift")
	f.gateway = peertest.StartGateway(t, fmt.Sprintf(`
defaults: {timeout: 20s, queue: {max_wait: 20s}%s}
upstreams: {fleet: {%s, server: threaded, slots: %d}}
services:
  Again: {service: Faulty, idl: %q, listen: %q, upstream: fleet, methods: {ping: {idempotent: true}, pid: {idempotent: true}, sleep: {idempotent: true}}}
  Once: {service: Faulty, idl: %q, listen: %q, upstream: fleet}
  Brief: {service: Faulty, idl: %q, listen: %q, upstream: fleet, timeout: 2s}
`, strings.Join(append([]string{""}, defaults...), ", "), upstream, slots, idl, f.again, idl, f.once, idl, f.brief))
	f.gateway.AwaitReady(t, "")
	f.Cleanup(func() {
		peertest.Eventually(t, "no slot is taken", func() bool {
			taken := 0
			for _, e := range f.endpoints() {
				taken += e.InFlight + e.Zombies
			}
			return taken == 0
		})
	})
	return f
}

// replicas are so many servers that the gateway runs.
func replicas(t *testing.T, n int, defaults ...string) *fleet {
	t.Helper()
	l := peertest.ThriftPy2
	f := newFleet(t, fmt.Sprintf("run: {command: [%q, %q, --library, %s, \"{socket}\"], replicas: %d}", l.Python, peertest.File("faulty_server.py"), l.Name, n), defaults...)
	f.awaitReplicas(n)
	return f
}

// awaitReplicas returns when n replicas are ready.
func (f *fleet) awaitReplicas(n int) {
	f.Helper()
	peertest.Eventually(f, fmt.Sprintf("%d replicas are ready", n), func() bool {
		ready := 0
		for _, r := range f.gateway.Snapshot().Replicas {
			if r.State == "ready" {
				ready++
			}
		}
		return ready == n
	})
}

// standalone starts a server at an address that the gateway does not run.
func standalone(t *testing.T, address string, flags ...string) *peertest.Process {
	t.Helper()
	l := peertest.ThriftPy2
	p := peertest.Start(t, l.Python, append([]string{peertest.File("faulty_server.py"), "--library", l.Name, address}, flags...)...)
	peertest.Await(t, address, transport.Buffered, p)
	return p
}

func (f *fleet) endpoints() (all []status.Endpoint) {
	for _, c := range f.gateway.Snapshot().Clusters {
		all = append(all, c.Endpoints...)
	}
	return all
}

// call makes a call as a new caller and returns what became of it: "OK" or a code.
func (f *fleet) call(address, method string, body []byte) string {
	f.Helper()
	c := connect(f.T, address)
	defer c.Close()
	return c.call(method, body)
}

// number is the arguments of sleep.
func number(n int32) []byte {
	return binary.AppendStop(binary.AppendI32(binary.AppendField(nil, wire.I32, 1), n))
}

// misbehave lets one server do so, and returns what became of the call.
func (f *fleet) misbehave(how string, amount int32) string {
	f.Helper()
	return f.call(f.once, "misbehave", behaviour(how, amount))
}

// behaviour is the arguments of misbehave.
func behaviour(how string, amount int32) []byte {
	b := binary.AppendString(binary.AppendField(nil, wire.String, 1), how)
	return binary.AppendStop(binary.AppendI32(binary.AppendField(b, wire.I32, 2), amount))
}

// pending is a call that is under way.
type pending struct {
	done chan string
	at   string // the endpoint that works at it
}

// start makes a call that takes a while and returns when an endpoint is at work at it that was not before.
func (f *fleet) start(address string, millis int32) *pending {
	f.Helper()
	before := map[string]int{}
	for _, e := range f.endpoints() {
		before[e.Name] = e.InFlight
	}
	p := &pending{done: make(chan string, 1)}
	c := connect(f.T, address)
	go func() { p.done <- c.call("sleep", number(millis)) }()
	peertest.Eventually(f, "an endpoint is at work", func() bool {
		for _, e := range f.endpoints() {
			if e.InFlight > before[e.Name] {
				p.at = e.Name
				return true
			}
		}
		return false
	})
	return p
}

// pidOf returns the process of a replica.
func (f *fleet) pidOf(name string) int {
	f.Helper()
	for _, r := range f.gateway.Snapshot().Replicas {
		if r.Name == name {
			return r.PID
		}
	}
	f.Fatalf("no replica %s", name)
	return 0
}

// restarted returns when a replica has been started again so often, and is ready.
func (f *fleet) restarted(name string, times int) {
	f.Helper()
	peertest.Eventually(f, name+" is back", func() bool {
		for _, r := range f.gateway.Snapshot().Replicas {
			if r.Name == name {
				return r.State == "ready" && r.Restarts == times
			}
		}
		return false
	})
}

// many makes n calls at once at each of two services and returns how they ended, counted by result.
func (f *fleet) many(n int, millis int32) map[string]int {
	f.Helper()
	return f.manyAt(n, millis, f.again, f.once)
}

func (f *fleet) manyAt(n int, millis int32, addresses ...string) map[string]int {
	f.Helper()
	var mu sync.Mutex
	results := map[string]int{}
	var all sync.WaitGroup
	for _, address := range addresses {
		for range n {
			c := connect(f.T, address)
			all.Go(func() {
				got := c.call("sleep", number(millis))
				_ = c.Close()
				mu.Lock()
				defer mu.Unlock()
				results[got]++
			})
		}
	}
	all.Wait()
	return results
}

// works checks that every endpoint serves: calls of both services are all answered, and the endpoints are up.
func (f *fleet) works() {
	f.Helper()
	if got := f.many(2*slots, 5); len(got) != 1 || got["OK"] != 4*slots {
		f.Errorf("calls ended with %v", got)
	}
	for _, e := range f.endpoints() {
		if e.State != "up" {
			f.Errorf("%s is %s", e.Name, e.State)
		}
	}
}

// soon fails the test where a result is not there long before the call would have ended by itself.
func (p *pending) soon(f *fleet) string {
	f.Helper()
	select {
	case got := <-p.done:
		return got
	case <-time.After(15 * time.Second):
		f.Fatal("the call did not end")
		return ""
	}
}
