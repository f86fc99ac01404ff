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

// A limit refuses the calls beyond it, by its name and without a value; it is counted, and told once. The method's rule is stronger than the
// service's. A reload leaves what the rules have counted, and one that takes them away lets all pass.
func TestLimits(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	r := prepare(t)
	logs := &lockedLines{}
	r.opts.Log = slog.New(slog.NewTextHandler(logs, nil))
	config := `
listen: "127.0.0.1:0"
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: [%q]}
    priority: {class: batch, header: x-priority}
    %s
    methods: {ping: {limit: [], priority: critical}, getUser: {limit: {rate: 1/h, argument: id}, max_in_flight: 3}}
`
	r.write("thriftloom.yaml", fmt.Sprintf(config, users, "limit: {rate: 2/h, burst: 2}"))
	r.begin()
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	c := dial(t, r.Addresses()[0])
	const refused = "6 RESOURCE_EXHAUSTED: Users: more than 2/h; call …"
	c.expect("report", "users")
	c.expect("report", "users")
	for range 3 {
		c.expect("report", refused)
		c.expect("ping", "users")
		c.expect("getUser", "users") // its calls have no argument
	}
	if n := r.metric("thriftloom_limited_total", "Users/report"); n != 3 {
		t.Errorf("%v calls are counted", n)
	}
	if n := strings.Count(logs.all(), "a limit refuses calls"); n != 1 {
		t.Errorf("the log says it %d times:\n%s", n, logs.all())
	}
	want := map[string]string{"report": "batch 0 [2/h, 2 at once, by service]", "ping": "critical 0 []", "getUser": "batch 3 [1/h, 1 at once, by argument id]"}
	for _, m := range r.Snapshot().Services[0].Methods {
		if got := fmt.Sprintf("%s %d %v", m.Priority, m.MaxInFlight, m.Limits); got != want[m.Name] {
			t.Errorf("%s: %s, want %s", m.Name, got, want[m.Name])
		}
	}
	for _, step := range []struct{ limit, want string }{{"limit: {rate: 2/h, burst: 2} # as before", refused}, {"", "users"}} {
		r.write("thriftloom.yaml", fmt.Sprintf(config, users, step.limit))
		if _, err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.expect("report", step.want)
	}
}

// An upstream that is asked for more than it answers says so: in the log, the snapshot and the metrics, by priority.
func TestOverloadIsTold(t *testing.T) {
	slow, _, _ := peer(t, func(transport.Message) fakepeer.Answer { return fakepeer.Answer{After: 5 * time.Millisecond} })
	r := prepare(t)
	logs := &lockedLines{}
	r.opts.Log = slog.New(slog.NewTextHandler(logs, nil))
	r.write("thriftloom.yaml", fmt.Sprintf(`
listen: "127.0.0.1:0"
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: [%q], slots: 1}
    priority: background
    queue: {max_calls: 16, target: 1ms, interval: 10ms}
`, slow))
	r.begin()
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	stop := make(chan struct{})
	done := make(chan struct{})
	for range 40 {
		c := dial(t, r.Addresses()[0])
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
					c.call("report")
				}
			}
		}()
	}
	cluster := func() status.Cluster { return r.Snapshot().Clusters[0] }
	eventually(t, "overload", func() bool { return cluster().Overloaded })
	eventually(t, "the log says so", func() bool { return strings.Contains(logs.all(), "an upstream is overloaded: ") })
	close(stop)
	for range 40 {
		<-done
	}
	if s := cluster().Shed[3]; s.Priority != "background" || s.Full == 0 {
		t.Errorf("shed: %+v", cluster().Shed)
	}
	if n := r.metric("thriftloom_shed_total", "background"); n == 0 {
		t.Error("thriftloom_shed_total counts nothing")
	}
}
