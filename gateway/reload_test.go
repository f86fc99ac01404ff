//go:build unix

package gateway_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// reload writes the config and takes it over; it wants these services stale, by label.
func (r *running) reload(config string, stale ...string) {
	r.t.Helper()
	r.write("thriftloom.yaml", config)
	result, err := r.Reload(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if !slices.Equal(result.Stale, stale) {
		r.t.Errorf("stale %v, want %v: %s", result.Stale, stale, strings.Join(result.Mistakes, "\n"))
	}
}

// at returns where the listener of one service alone is bound.
func (r *running) at(label string) string {
	r.t.Helper()
	for _, l := range r.Snapshot().Listeners {
		if len(l.Services) == 1 && l.Services[0] == label {
			return l.Address
		}
	}
	r.t.Fatalf("%s has no listener of its own: %+v", label, r.Snapshot().Listeners)
	return ""
}

// unused returns an address where nobody listens.
func unused(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The only service keeps its last good version too, and the shared listener that leads to it alone stays open.
func TestTheOnlyServiceGoesStale(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", users)
	r := start(t, config)
	c := dial(t, r.Addresses()[0])
	r.write("users.thrift", "service Users {")
	r.reload(config, "Users")
	c.expect("getUser", "users")
	dial(t, r.Addresses()[0]).expect("getUser", "users")
	r.write("users.thrift", usersIDL)
	r.reload(config)
	c.expect("getUser", "users")
}

// A service that would lose a method stays as it was, and the mistake names the method, until the reload is forced; one that gains a method
// changes, and so does one whose section is taken out of the file.
func TestRemovedMethodNeedsForce(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	orders, _, _ := peer(t, named("orders"))
	both := func(services string) string { return "listen: 127.0.0.1:0\nservices:\n" + services }
	service := func(label, idl, at string) string {
		return fmt.Sprintf("  %s: {idl: %s, unknown_methods: refuse, timeout: 5s, upstream: {endpoints: [%q]}}\n", label, idl, at)
	}
	all := both(service("Users", "users.thrift", users) + service("Orders", "orders.thrift", orders))
	r := start(t, all)
	c := dial(t, r.Addresses()[0])

	r.write("users.thrift", "service Users { string getUser(1: i64 id), string ping(), string more() }") // report is gone, more is new
	result, err := r.Reload(t.Context())
	if err != nil || !slices.Equal(result.Stale, []string{"Users"}) || len(result.Mistakes) != 1 ||
		!strings.Contains(result.Mistakes[0], "users.thrift:1:9: services.Users.idl: Users would lose report: reload --force") {
		t.Fatalf("%+v, %v", result, err)
	}
	c.expect("Users:report", "users")

	if result, err = r.ForceReload(t.Context()); err != nil || len(result.Stale) > 0 || !result.Changed {
		t.Fatalf("forced: %+v, %v", result, err)
	}
	c.expect("Users:more", "users")
	if text := c.call("Users:report"); !strings.Contains(text, "no method") {
		t.Errorf("report after the forced reload: %q", text)
	}
	r.reload(both(service("Users", "users.thrift", users)))
}

// Services that share a broken IDL all keep their last good version; its mistakes are told once.
func TestSharedIDLBreaks(t *testing.T) {
	first, _, _ := peer(t, named("first"))
	second, _, _ := peer(t, named("second"))
	config := fmt.Sprintf(`
listen: 127.0.0.1:0
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}
  People: {service: Users, idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}
`, first, second)
	r := start(t, config)
	c := dial(t, r.Addresses()[0])
	r.write("users.thrift", "service Users { strin ping() }")
	r.reload(config, "Users", "People")
	c.expect("Users:ping", "first")
	c.expect("People:ping", "second")
	if s := r.Snapshot().Config.Stale; !slices.Equal(s, []string{"Users", "People"}) {
		t.Errorf("stale in the snapshot: %v", s)
	}
}

// A stale service calls a shared upstream where that is now; its own stays where it was.
func TestStaleServiceOnSharedUpstream(t *testing.T) {
	own, _, _ := peer(t, named("own"))
	before, _, _ := peer(t, named("before"))
	after, _, _ := peer(t, named("after"))
	config := func(shared, own, more string) string {
		return fmt.Sprintf(`
listen: 127.0.0.1:0
upstreams: {%s}
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}, methods: {report: {upstream: reports}}%s}
  Orders: {idl: orders.thrift, timeout: 5s, upstream: {endpoints: [%q]}}
`, shared, own, more, before)
	}
	reports := func(address string) string { return fmt.Sprintf("reports: {endpoints: [%q]}", address) }
	r := start(t, config(reports(before), own, ""))
	c := dial(t, r.Addresses()[0])
	c.expect("report", "before")
	r.reload(config(reports(after), after, ", tmieout: 1s"), "Users")
	c.expect("report", "after")
	c.expect("getUser", "own")
	r.reload(config("", own, ""), "Users") // its method leads to an upstream that has gone
	c.expect("report", "after")
	c.expect("getOrder", "before")
}

// A new service that is broken opens no address, starts nothing and is not served; the others are.
func TestNewServiceIsBroken(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := fmt.Sprintf("listen: 127.0.0.1:0\nservices:\n  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}\n", users)
	r := start(t, config)
	c := dial(t, r.Addresses()[0])
	address := unused(t)
	r.reload(config+fmt.Sprintf("  Orders: {idl: orders.thrift, listen: %q, tmieout: 1s, upstream: {endpoints: [%q]}}\n", address, users), "Orders")
	c.expect("getUser", "users")
	c.expect("Orders:getOrder", `1 UNKNOWN_METHOD: gateway: no service is named "Orders" here…`)
	if s := r.Snapshot(); len(s.Listeners) != 1 || len(s.Services) != 1 || len(s.Clusters) != 1 {
		t.Errorf("listeners %+v, %d services, %d clusters", s.Listeners, len(s.Services), len(s.Clusters))
	}
}

// An address goes from one service to another while the first is broken: the new config has it, and the first stays on the others.
func TestAddressOfStaleServiceMoves(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	orders, _, _ := peer(t, named("orders"))
	moving, stays := unused(t), unused(t)
	config := func(usersAt, ordersAt, more string) string {
		return fmt.Sprintf(`
services:
  Users: {idl: users.thrift, timeout: 5s, listen: [%s], upstream: {endpoints: [%q]}%s}
  Orders: {idl: orders.thrift, timeout: 5s, listen: [%s], upstream: {endpoints: [%q]}}
`, usersAt, users, more, ordersAt, orders)
	}
	r := start(t, config(`"`+moving+`", "`+stays+`"`, "127.0.0.1:0", ""))
	c := dial(t, moving)
	c.expect("ping", "users")
	r.reload(config(`"`+stays+`"`, `"`+moving+`"`, ", tmieout: 1s"), "Users")
	c.expect("ping", "orders")
	dial(t, stays).expect("ping", "users")
}

// Two services on port 0 have a port each, which they keep.
func TestPortZeroTwice(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	orders, _, _ := peer(t, named("orders"))
	config := fmt.Sprintf(`
services:
  Users: {idl: users.thrift, timeout: 5s, listen: 127.0.0.1:0, upstream: {endpoints: [%q]}}
  Orders: {idl: orders.thrift, timeout: 5s, listen: 127.0.0.1:0, upstream: {endpoints: [%q]}}
`, users, orders)
	r := start(t, config)
	before := r.Addresses()
	dial(t, r.at("Users")).expect("ping", "users")
	dial(t, r.at("Orders")).expect("ping", "orders")
	r.reload(config)
	if after := r.Addresses(); len(before) != 2 || !slices.Equal(before, after) {
		t.Errorf("addresses %v, then %v", before, after)
	}
}

// Once the gateway is ready, a reload that adds a dead service does not make it unready; a required one does.
func TestReadyOnceReady(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	dead := unused(t)
	config := fmt.Sprintf("listen: 127.0.0.1:0\nservices:\n  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}\n", users)
	r := start(t, config)
	eventually(t, "readiness", func() bool { ok, _ := r.Ready(""); return ok })
	more := config + fmt.Sprintf("  Orders: {idl: orders.thrift, timeout: 5s, upstream: {endpoints: [%q]}", dead)
	r.reload(more + "}\n")
	if ok, why := r.Ready(""); !ok || len(why) != 1 || !strings.Contains(why[0], "Orders") {
		t.Errorf("ready %v, %v", ok, why)
	}
	if ok, _ := r.Ready("Orders"); ok {
		t.Error("Orders says that it is ready, and no endpoint ever answered")
	}
	r.reload(more + ", required: true}\n")
	if ok, why := r.Ready(""); ok || len(why) != 1 {
		t.Errorf("with a required service that is dead: ready %v, %v", ok, why)
	}
}

// Calls at work and calls that wait for a slot are answered when a reload replaces their upstream, each once; the new one takes what
// comes behind.
func TestUpstreamReplacedUnderLoad(t *testing.T) {
	release := make(chan struct{})
	answer := named("users")
	users, p, _ := peer(t, func(m transport.Message) fakepeer.Answer {
		<-release
		return answer(m)
	})
	config := func(limit string) string {
		return fmt.Sprintf("listen: 127.0.0.1:0\nmax_message_bytes: %s\nservices: {Users: {idl: users.thrift, timeout: 20s, upstream: {endpoints: [%q]}}}\n", limit, users)
	}
	r := start(t, config("1MiB"))
	eventually(t, "readiness", func() bool { ok, _ := r.Ready(""); return ok })
	var calls sync.WaitGroup
	for range 4 {
		c := dial(t, r.Addresses()[0])
		calls.Go(func() { c.expect("getUser", "users") })
	}
	eventually(t, "one call at work and three that wait", func() bool { return p.Working.Load() == 1 && r.Snapshot().Totals.Queue == 3 })
	r.reload(config("2MiB"))
	close(release)
	calls.Wait()
	if n := p.Calls.Load(); n != 4 {
		t.Errorf("the peer saw %d calls, want 4", n)
	}
	dial(t, r.Addresses()[0]).expect("getUser", "users")
}

// No call fails while the config changes all the time: routes, upstreams and policies.
func TestCallsDuringReloads(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := func(i int) string {
		return fmt.Sprintf(`
listen: 127.0.0.1:0
max_message_bytes: %dMiB
upstreams: {reports: {endpoints: [%q], server: threaded}}
services: {Users: {idl: users.thrift, timeout: %ds, upstream: {endpoints: [%q], server: threaded}, methods: {report: {%s}}}}
`, 1+i%3, users, 5+i, users, []string{"", "upstream: reports"}[i%2])
	}
	r := start(t, config(0))
	eventually(t, "readiness", func() bool { ok, _ := r.Ready(""); return ok })
	done := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		c := dial(t, r.Addresses()[0])
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					c.expect("report", "users")
				}
			}
		})
	}
	for i := range 12 {
		r.reload(config(i))
	}
	close(done)
	callers.Wait()
}

// Snapshot, Ready, Addresses and a scrape do not wait for a reload that hangs: here in a config that is a pipe without a writer.
func TestSightDuringReload(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", users)
	r := start(t, config)
	release := r.hang("thriftloom.yaml", config)
	reloaded := make(chan error, 1)
	go func() {
		_, err := r.Reload(t.Context())
		reloaded <- err
	}()
	seen := make(chan error, 1)
	go func() {
		r.Snapshot()
		r.Ready("")
		r.Addresses()
		_, err := r.Registry().Gather()
		seen <- err
	}()
	select {
	case err := <-seen:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a reload keeps others from looking")
	}
	select {
	case err := <-reloaded:
		t.Errorf("the reload did not hang: %v", err)
	default:
	}
	release()
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
}

// A gateway that drains changes no more.
func TestNoReloadWhileDraining(t *testing.T) {
	slow, p, _ := peer(t, func(transport.Message) fakepeer.Answer { return fakepeer.Answer{After: 300 * time.Millisecond} })
	r := start(t, fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", slow))
	c := dial(t, r.Addresses()[0])
	var call sync.WaitGroup
	call.Go(func() { c.expect("getUser", "void") })
	eventually(t, "a call at work", func() bool { return p.Working.Load() == 1 })
	r.Drain()
	eventually(t, "the drain", func() bool { return r.Snapshot().Draining })
	if _, err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "draining") {
		t.Errorf("reload while draining: %v", err)
	}
	call.Wait()
}

// A gateway that cannot bind says which address, and leaves nothing open.
func TestStartOnPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := unused(t)
	text := fmt.Sprintf("listen: [%q, %q]\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [\"127.0.0.1:6000\"]}}}\n", free, taken.Addr())
	r := &running{t: t, dir: t.TempDir()}
	r.write("users.thrift", usersIDL)
	l := gateway.LoadBytes(r.dir+"/thriftloom.yaml", []byte(text), nil)
	if err := gateway.New(l.Config, gateway.Options{}).Start(); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("start: %v", err)
	}
	again, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatalf("the other address stays open: %v", err)
	}
	again.Close()
}

// Slots, the kind of server and the list of endpoints change in place: an endpoint that stays keeps its connection and its counts, a new one
// gets calls, and one that has gone gets none.
func TestEndpointsByReload(t *testing.T) {
	stays, p, _ := peer(t, named("stays"))
	other, _, _ := peer(t, named("other"))
	config := func(more string, endpoints ...string) string {
		return fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%s], %s}}}\n", strings.Join(endpoints, ", "), more)
	}
	r := start(t, config("server: threaded", stays))
	eventually(t, "readiness", func() bool { ok, _ := r.Ready(""); return ok })
	c := dial(t, r.Addresses()[0])
	c.expect("ping", "stays")
	connections := p.Connections.Load()
	for i, more := range []string{"slots: 2", "server: gunicorn-gevent", "server: threaded"} {
		r.reload(config(more, stays))
		c.expect("ping", "stays")
		if e := r.Snapshot().Clusters[0].Endpoints[0]; e.Calls != int64(2+i) {
			t.Errorf("%s: %d calls are counted, want %d", more, e.Calls, 2+i)
		}
	}
	r.reload(config("server: threaded", stays, other))
	eventually(t, "a call to the new endpoint", func() bool { return c.call("ping") == "other" })
	if n := p.Connections.Load(); n != connections {
		t.Errorf("%d connections, and %d before", n, connections)
	}
	r.reload(config("server: threaded", other))
	for range 8 {
		c.expect("ping", "other")
	}
}

// The times of a drain are those of the config that is in force when it begins.
func TestDrainByReload(t *testing.T) {
	release := make(chan struct{})
	hangs, p, _ := peer(t, func(m transport.Message) fakepeer.Answer {
		if m.Head.Name == "getUser" {
			<-release
		}
		return fakepeer.Answer{}
	})
	defer close(release)
	config := func(drain string) string {
		return fmt.Sprintf("listen: 127.0.0.1:0\ndrain: {timeout: %s}\nservices: {Users: {idl: users.thrift, timeout: 1m, upstream: {endpoints: [%q]}}}\n", drain, hangs)
	}
	r := start(t, config("10m"))
	c := dial(t, r.Addresses()[0])
	var call sync.WaitGroup
	call.Go(func() {
		if got := c.call("getUser"); got == "void" {
			t.Error("a call that hangs was answered")
		}
	})
	eventually(t, "a call at work", func() bool { return p.Working.Load() == 1 })
	r.reload(config("1ms"))
	r.end()
	err := <-r.done
	r.done <- err
	if !errors.Is(err, gateway.ErrCutShort) {
		t.Errorf("Run: %v, want that calls were cut short", err)
	}
	call.Wait()
}

// Reloads that replace upstreams, listeners and services leave nothing behind: no goroutine, no connection.
func TestReloadsLeaveNothing(t *testing.T) {
	users, p, _ := peer(t, named("users"))
	config := func(i int) string {
		return fmt.Sprintf("listen: 127.0.0.1:0\nmax_message_bytes: %dMiB\nservices:\n", 1+i%2) + one("Users", users) +
			fmt.Sprintf("  More%d: {idl: users.thrift, service: Users, timeout: 1s, listen: 127.0.0.1:0, upstream: {endpoints: [%q]}}\n", i%3, users)
	}
	r := start(t, config(0))
	shared := slices.IndexFunc(r.Snapshot().Listeners, func(l status.Listener) bool { return len(l.Services) == 2 })
	c := dial(t, r.Snapshot().Listeners[shared].Address)
	quiet := func() bool { // what is replaced has ended, and no connection is free any more
		return p.Open.Load() == 0 && len(r.Addresses()) == 2
	}
	c.expect("Users:ping", "users")
	eventually(t, "quiet", quiet)
	before := runtime.NumGoroutine()
	for i := range 30 {
		r.reload(config(i))
		c.expect("Users:ping", "users")
	}
	r.reload(config(0))
	eventually(t, "quiet, with no goroutine more than before", func() bool { return quiet() && runtime.NumGoroutine() <= before })
}
