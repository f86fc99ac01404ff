package gateway_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// shown is a method of the first service, as the snapshot has it.
func (r *running) shown(method string) status.Method {
	r.t.Helper()
	for _, m := range r.Snapshot().Services[0].Methods {
		if m.Name == method {
			return m
		}
	}
	r.t.Fatalf("no method %s in the snapshot", method)
	return status.Method{}
}

// Callers get the main upstream's answers at once, while the mirror keeps its own to itself; of what is copied, nothing is in callers'
// numbers. The report says in which field the two differ. Methods that are not idempotent are copied with consent alone.
func TestMirror(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	open := make(chan struct{})
	shadow, copied, _ := peer(t, func(m transport.Message) fakepeer.Answer {
		<-open
		if m.Head.Name == "ping" {
			return named("users")(m)
		}
		return named("shadow")(m)
	})
	config := func(mirror string) string {
		return fmt.Sprintf(`
listen: 127.0.0.1:0
upstreams: {shadow: {endpoints: [%q], slots: 8}}
services:
  Users:
    idl: users.thrift
    timeout: 15s
    upstream: {endpoints: [%q]}
    mirror: {to: shadow%s}
    methods: {getUser: {idempotent: true}, ping: {idempotent: true}}
`, shadow, users, mirror)
	}
	r := start(t, config(", diff: true"))
	c := dial(t, r.Addresses()[0])
	c.expect("getUser", "users")
	c.expect("ping", "users")
	c.expect("report", "users")
	close(open)
	eventually(t, "both copies are compared", func() bool { return r.shown("getUser").Mirror.Differ == 1 && r.shown("ping").Mirror.Same == 1 })
	got := r.shown("getUser").Mirror
	if got.To != "shadow" || len(got.Paths) != 1 || got.Paths[0] != (status.MirrorPath{Path: "success", Calls: 1}) {
		t.Errorf("the report is %+v", got)
	}
	if r.shown("report").Mirror != nil || copied.Calls.Load() != 2 {
		t.Errorf("%d calls were copied, want 2", copied.Calls.Load())
	}
	if n := r.metric("rpc_client_call_duration_seconds", "shadow"); n != 0 {
		t.Errorf("%v copies are among the attempts of callers", n)
	}
	if n := r.metric("thriftloom_mirror_total", "Users/getUser", "differ"); n != 1 {
		t.Errorf("the metric has %v", n)
	}
	if total := r.Snapshot().Totals; total.Calls != 3 || total.Errors != 0 {
		t.Errorf("%+v", total)
	}

	r.reload(config(", all: true"))
	c.expect("report", "users")
	eventually(t, "the copy of report is counted", func() bool { return r.shown("report").Mirror.Answered == 1 })
	if got := r.shown("getUser").Mirror; got.Differ != 1 {
		t.Errorf("after a reload the report is %+v", got)
	}
}

// A mirror that is down costs callers nothing, nor the service its readiness; and a gateway ends without waiting for copies.
func TestMirrorThatIsDownOrHangs(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	open := make(chan struct{})
	hangs, asked, _ := peer(t, func(m transport.Message) fakepeer.Answer { <-open; return named("late")(m) })
	t.Cleanup(func() { close(open) })
	r := start(t, fmt.Sprintf(`
listen: 127.0.0.1:0
upstreams: {down: {endpoints: [%q]}, hangs: {endpoints: [%q], slots: 8}}
services:
  Users:
    idl: users.thrift
    timeout: 10m
    upstream: {endpoints: [%q]}
    methods: {getUser: {idempotent: true, mirror: {to: down, diff: true}}, ping: {idempotent: true, mirror: {to: hangs, max_in_flight: 2}}}
`, unused(t), hangs, users))
	eventually(t, "readiness", func() bool { ok, _ := r.Ready(""); return ok })
	if ok, why := r.Ready("Users"); !ok {
		t.Error(why)
	}
	c := dial(t, r.Addresses()[0])
	for range 5 {
		c.expect("getUser", "users")
		c.expect("ping", "users")
	}
	eventually(t, "the copies are counted", func() bool {
		return r.shown("getUser").Mirror.MirrorFailed == 5 && r.shown("ping").Mirror.Dropped == 3 && asked.Calls.Load() == 2
	})
	c.Close()
	r.end()
	select {
	case err := <-r.done:
		r.done <- err
		if err != nil {
			t.Error(err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("the gateway waits for copies")
	}
}

// A canary gets its share, which a reload changes; attempts at it have its name, and each call is counted where it went. One that fails ends
// by itself: callers get answers again, the log and the snapshot say so, and a change of its block begins it anew.
func TestCanary(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	next, asked, _ := peer(t, func(m transport.Message) fakepeer.Answer {
		if m.Head.Name == "report" {
			return fakepeer.Answer{Close: true}
		}
		return named("next")(m)
	})
	config := func(canary string) string {
		return fmt.Sprintf(`
listen: 127.0.0.1:0
upstreams: {next: {endpoints: [%q]}}
services: {Users: {idl: users.thrift, timeout: 5s, retry: {attempts: 1}, upstream: {endpoints: [%q]}, canary: %s}}
`, next, users, canary)
	}
	r := prepare(t)
	logs := &lockedLines{}
	r.opts.Log = slog.New(slog.NewTextHandler(logs, nil))
	r.write("thriftloom.yaml", config("{to: next, percent: 0}"))
	r.begin()
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	c := dial(t, r.Addresses()[0])
	c.expect("getUser", "users")
	r.reload(config("{to: next, percent: 100}"))
	c.expect("getUser", "next")
	c.expect("getUser", "next")
	r.reload(config("off"))
	c.expect("getUser", "users")
	r.reload(config("{to: next, percent: 100, match: {caller: [127.0.0.1]}}"))
	if got := r.shown("getUser").Canary; got == nil || got.To != "next" || got.Calls != 2 || got.Ended {
		t.Errorf("the snapshot has %+v", got)
	}
	eventually(t, "the attempts are counted", func() bool { return r.metric("rpc_client_call_duration_seconds", "next", "Users/getUser") == 2 })
	if n := r.metric("thriftloom_canary_calls_total", "Users/getUser", "canary"); n != 2 {
		t.Errorf("the metric has %v", n)
	}

	r.reload(config("{to: next, match: {caller: [127.0.0.1]}, abort_above: 20}"))
	failed := 0
	for range 60 {
		if got := c.call("report"); got != "users" {
			failed++
		}
	}
	if failed != 20 {
		t.Errorf("%d calls failed before the canary ended, want 20", failed)
	}
	c.expect("getUser", "users")
	if !r.shown("getUser").Canary.Ended || r.metric("thriftloom_canary_ended", "Users", "next") != 1 || strings.Count(logs.all(), "the canary has ended") != 1 {
		t.Errorf("the end is not told: %+v\n%s", r.shown("getUser").Canary, logs.all())
	}
	r.reload(config("{to: next, match: {caller: [127.0.0.1]}, abort_above: 20}"))
	before := asked.Calls.Load()
	c.expect("getUser", "users")
	r.reload(config("{to: next, match: {caller: [127.0.0.1]}, abort_above: 30}"))
	c.expect("getUser", "next")
	if n := asked.Calls.Load() - before; n != 1 {
		t.Errorf("the canary was asked %d times, want once", n)
	}
	if r.metric("thriftloom_canary_ended", "Users", "next") != 0 {
		t.Error("the metric says that it has ended still")
	}
}

// Faults reach callers as real ones do, in the call's own words, and no server; log, snapshot and metric say that they are on. A reload turns
// them off, and a list of callers keeps them from the others.
func TestFaults(t *testing.T) {
	users, asked, _ := peer(t, named("users"))
	r := prepare(t)
	logs := &lockedLines{}
	r.opts.Log = slog.New(slog.NewTextHandler(logs, nil))
	r.write("users.thrift", `exception NotFound { 1: string message }
service Users { string getUser(1: i64 id) throws (1: NotFound e), string report(), string ping(), string slow(), string crash() }`)
	config := func(faults, getUser string) string {
		return fmt.Sprintf(`
listen: 127.0.0.1:0
services:
  Users:
    idl: users.thrift
    timeout: 5s
    on_crash: close
    upstream: {endpoints: [%q]}
    faults: %s
    methods:
      getUser: {idempotent: true, faults: %s}
      ping: {faults: off}
      slow: {timeout: 50ms, faults: {delay: 10m, abort: {percent: 0}}}
      crash: {faults: {abort: HANDLER_FAILED}}
`, users, faults, getUser)
	}
	r.write("thriftloom.yaml", config("{abort: UNAVAILABLE}", "{abort: {percent: 0}, exception: {type: NotFound, value: {message: nobody}}}"))
	r.begin()
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	c := dial(t, r.Addresses()[0])
	c.expect("ping", "users")
	c.expect("report", "6 UNAVAILABLE: Users.report: it fails on purpose (faults); call …")
	c.expect("slow", "6 DEADLINE_EXCEEDED: Users.slow: it was delayed on purpose (faults); call …")
	c.expect("getUser", "void") // field 1 of the result, no success
	c.expect("crash", "closed")
	if n := asked.Calls.Load(); n != 1 {
		t.Errorf("the servers were asked %d times, want once", n)
	}
	for fault, method := range map[string]string{"abort": "Users/report", "delay": "Users/slow", "exception": "Users/getUser"} {
		if n := r.metric("thriftloom_faults_injected_total", method, fault); n != 1 {
			t.Errorf("%s of %s: %v are counted", fault, method, n)
		}
	}
	if n := r.metric("rpc_server_call_duration_seconds", "Users/getUser", "OK", "NotFound"); n != 1 {
		t.Errorf("the exception is counted %v times", n)
	}
	if f := r.shown("getUser").Faults; f == nil || *f != (status.Faults{Excepted: 1}) || r.shown("ping").Faults != nil {
		t.Errorf("the snapshot has %+v", f)
	}
	if n := strings.Count(logs.all(), "faults are on"); n != 1 {
		t.Errorf("the log says it %d times:\n%s", n, logs.all())
	}
	c = dial(t, r.Addresses()[0])
	r.reload(config("{abort: UNAVAILABLE, only: {caller: [somebody]}}", "off"))
	c.expect("report", "users")
	r.reload(config("{abort: UNAVAILABLE, only: {caller: [somebody, 127.0.0.1]}}", "off"))
	c.expect("report", "6 UNAVAILABLE: …")
	c.expect("getUser", "users")
	r.reload(config("off", "off"))
	c.expect("report", "users")
}
