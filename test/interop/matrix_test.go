package interop

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

var update = flag.Bool("update", false, "rewrite docs/interop.md")

// cell is one peer in one role over one way.
type cell struct {
	peer    string
	role    role
	way     way
	results map[string]peertest.Result // by case
	toCome  error                      // why it was not tried
	faults  []int                      // the known ones that showed
}

// Every peer and Thriftloom understand each other in every role over every transport and protocol that the peer has, plain and
// multiplexed, but for the peer's own known faults. docs/interop.md shows the outcome.
func TestMatrix(t *testing.T) {
	programs := peertest.Programs(t)
	ours := serveGo(t)
	gateway := startFleet(t)
	table := newTable(t)
	t.Run("peers", func(t *testing.T) {
		for _, p := range peers {
			t.Run(p.name, func(t *testing.T) { // one after the other: each keeps a machine busy by itself
				program := programs[p.name]
				table.add(p, asClient, program.Call(t, table.addresses(p, asClient, ours)))
				table.add(p, asCaller, program.Call(t, table.addresses(p, asCaller, gateway)))
				servers := program.Serve(t, table.names(p, asServer, asBehind))
				table.add(p, asServer, callServers(t, p, table.configs(p, asServer, servers)))
				table.add(p, asBehind, callServers(t, p, table.configs(p, asBehind, startGateways(t, servers, table.ways(p, asBehind)))))
				for _, c := range table.of(p) {
					t.Run(string(c.role)+"-"+c.way.String(), func(t *testing.T) { c.judge(t, p) })
				}
			})
		}
	})
	table.print(t)
}

// startFleet starts a gateway before two ThriftPy servers that speak only buffered binary, and returns its address.
func startFleet(t *testing.T) string {
	t.Helper()
	record := filepath.Join(t.TempDir(), "record")
	address := peertest.FreePort(t)
	fleet := []*peertest.Server{
		peertest.Threaded.Serve(t, peertest.FreePort(t), "--record", record), peertest.Threaded.Serve(t, peertest.FreePort(t), "--record", record),
	}
	peertest.StartGateway(t, fmt.Sprintf("defaults: {timeout: 30s, queue: {max_calls: 10000, max_wait: 30s}}\nservices:\n"+
		"  Kinds: {idl: %s, listen: %q, upstream: {endpoints: [%q, %q], server: threaded, slots: 16}}\n",
		peertest.File("kinds.thrift"), address, fleet[0].Address, fleet[1].Address))
	return address
}

// startGateways puts the servers of those ways behind a gateway, each behind a port of its own, and returns the ports.
func startGateways(t *testing.T, servers map[string]string, ways []way) map[string]string {
	t.Helper()
	var file strings.Builder
	file.WriteString("defaults: {timeout: 30s, queue: {max_wait: 30s}}\nservices:\n")
	fronts := make(map[string]string)
	for _, w := range ways {
		fronts[w.String()] = peertest.FreePort(t)
		fmt.Fprintf(&file, "  %s: {service: Kinds, unknown_methods: refuse, idl: %s, listen: %q, upstream: {endpoints: [%q], %s}}\n",
			w, peertest.File("kinds.thrift"), fronts[w.String()], servers[w.String()], w.upstream())
	}
	peertest.StartGateway(t, file.String())
	return fronts
}

// callServers runs the Go cases with a client of each config, several at the same time.
func callServers(t *testing.T, p peer, configs map[string]thriftloom.ClientConfig) (all []peertest.Result) {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	turns := make(chan struct{}, 8)
	for name, cfg := range configs {
		group.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			c := dialGo(t, cfg)
			c.zeroes = p.zeroes
			defer c.client.Close()
			without := strings.Fields(p.without[strings.Split(name, "-")[1]])
			for _, one := range goCases {
				if slices.Contains(without, one.name) {
					continue
				}
				why := said(t.Context(), one.run, c)
				mu.Lock()
				all = append(all, peertest.Result{Wire: name, Case: one.name, Why: why})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return all
}

// configOf makes our client speak that way.
func configOf(w way, address string) thriftloom.ClientConfig {
	cfg := thriftloom.ClientConfig{Addresses: []string{address}, Transport: w.wire().Kind, Protocol: w.wire().Protocol, Connections: 16}
	if w.multiplexed {
		cfg.Multiplexed = "Kinds"
	}
	return cfg
}

// recorder is a tester that writes down what a case says.
type recorder struct {
	ctx context.Context
	mu  sync.Mutex
	all []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Error(args ...any)        { r.Errorf("%s", strings.TrimSpace(fmt.Sprintln(args...))) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

// said returns what a case said, "" where it passed.
func said(ctx context.Context, run func(tester, *goClient), c *goClient) string {
	r, done := &recorder{ctx: ctx}, make(chan struct{})
	go func() {
		defer close(done)
		run(r, c)
	}()
	<-done
	return strings.Join(r.all, "; ")
}
