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

// users returns the service Users of the snapshot, and one of its methods.
func (r *running) users(method string) (s status.Service, m status.Method) {
	r.t.Helper()
	for _, s = range r.Snapshot().Services {
		for _, m = range s.Methods {
			if s.Name == "Users" && m.Name == method {
				return s, m
			}
		}
	}
	r.t.Fatalf("no Users.%s in the snapshot", method)
	return s, m
}

// slowly answers after 30 ms, but getUser, whose handler fails.
func slowly(m transport.Message) fakepeer.Answer {
	a := named("users")(m)
	a.After = 30 * time.Millisecond
	if m.Head.Name == "getUser" {
		return fakepeer.Answer{Close: true}
	}
	return a
}

// What hedges and the breaker have learned and counted outlives a reload; it is in the snapshot and in the metrics, and the log says who is broken.
func TestLearnedOutlivesAReload(t *testing.T) {
	one, _, _ := peer(t, slowly)
	two, _, _ := peer(t, slowly)
	r := prepare(t)
	logs := &lockedLines{}
	r.opts.Log = slog.New(slog.NewTextHandler(logs, nil))
	config := `
listen: 127.0.0.1:0
services:
  Users:
    idl: users.thrift
    timeout: %s
    upstream: {endpoints: [%q, %q], server: threaded}
    balance: round_robin
    breaker: %s
    methods: {report: {idempotent: true, hedge: {delay: 1ms, percent: 15}}}
`
	r.write("thriftloom.yaml", fmt.Sprintf(config, "10s", one, two, "{failures: 3}"))
	r.begin()
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	c := dial(t, r.Addresses()[0])

	for i := 0; ; i++ {
		got := c.call("getUser")
		if strings.HasPrefix(got, "6 UNAVAILABLE: Users.getUser: this caller's calls of it end without a reply wherever they are made; the next one is let through in") {
			break
		}
		if i == 20 || !strings.HasPrefix(got, "6 HANDLER_FAILED") {
			t.Fatalf("call %d: %s", i, got)
		}
	}
	broken := func() status.Broken {
		t.Helper()
		s, _ := r.users("getUser")
		if s.Breaker == nil || len(s.Breaker.Open) != 1 || s.Breaker.Refused == 0 {
			t.Fatalf("breaker %+v", s.Breaker)
		}
		return s.Breaker.Open[0]
	}
	was := broken()
	if was.Method != "getUser" || was.Callers != 1 || len(was.Names) != 1 || was.Names[0] == "" || r.metric("thriftloom_breaker_open", "Users") != 1 || r.metric("thriftloom_breaker_refused_total", "Users") == 0 {
		t.Errorf("open is %+v", was)
	}
	if !strings.Contains(logs.all(), "they are refused for a while") {
		t.Errorf("the log says\n%s", logs.all())
	}

	eventually(t, "a hedge", func() bool {
		c.expect("report", "users")
		_, m := r.users("report")
		return m.Hedges.Sent > 0
	})
	r.reload(fmt.Sprintf(config, "11s", one, two, "{failures: 4}"))
	if now := broken(); !now.Since.Equal(was.Since) {
		t.Errorf("after the reload open is %+v, was %+v", now, was)
	}
	if _, m := r.users("report"); m.Hedges.Sent == 0 || r.metric("thriftloom_hedges_total", "Users/report") == 0 || m.Hedges.DelaySeconds != 0.001 {
		t.Errorf("after the reload: %+v", m.Hedges)
	}
	if _, m := r.users("ping"); m.Hedges != nil {
		t.Errorf("ping has no hedges: %+v", m.Hedges)
	}
	r.reload(fmt.Sprintf(config, "11s", one, two, "false"))
	c.expect("getUser", "6 HANDLER_FAILED: …")
	if s, _ := r.users("ping"); s.Breaker != nil {
		t.Errorf("it is turned off: %+v", s.Breaker)
	}
}

// The keys lie over each other from the defaults to the method, and a method that may not be called twice never is.
func TestWhereHedgesHold(t *testing.T) {
	r := start(t, `
listen: 127.0.0.1:0
defaults: {hedge: {delay: 2ms}}
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: ["127.0.0.1:1"]}
    methods: {getUser: {idempotent: true}, report: {idempotent: true, hedge: false}}
`)
	for method, want := range map[string]bool{"getUser": true, "report": false, "ping": false} {
		if _, m := r.users(method); (m.Hedges != nil) != want || want && m.Hedges.DelaySeconds != 0.002 {
			t.Errorf("%s: %+v", method, m.Hedges)
		}
	}
}
