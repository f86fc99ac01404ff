package gateway_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// A call that lacks a required argument passes by default; where required_fields says so it is counted and told, or refused before a
// server gets it. The method's word is stronger than the service's, and a reload changes it.
func TestRequiredFields(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	r := prepare(t)
	logs := &lockedLines{}
	r.opts.Log = slog.New(slog.NewTextHandler(logs, nil))
	r.write("users.thrift", "service Users { string getUser(1: required i64 id), string report(1: required i64 id), string ping(1: required i64 id) }")
	config := `
listen: "127.0.0.1:0"
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: [%q]}
    required_fields: %s
    methods: {ping: {required_fields: off}, report: {required_fields: warn}}
`
	r.write("thriftloom.yaml", fmt.Sprintf(config, users, "refuse"))
	r.begin()
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	c := dial(t, r.Addresses()[0])
	c.expect("ping", "users")
	c.expect("report", "users")
	c.expect("getUser", "7 PROTOCOL_ERROR: Users: required field getUser_args.id is missing; call …")
	c.expect("report", "users")
	for method, want := range map[string]float64{"Users/ping": 0, "Users/report": 2, "Users/getUser": 1} {
		if n := r.metric("thriftloom_required_missing_total", method); n != want {
			t.Errorf("%s: %v calls are counted, want %v", method, n, want)
		}
	}
	if n := strings.Count(logs.all(), "field=report_args.id"); n != 1 {
		t.Errorf("the log says it %d times:\n%s", n, logs.all())
	}
	r.write("thriftloom.yaml", fmt.Sprintf(config, users, "off"))
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.expect("getUser", "users")
}

// lockedLines keeps what is logged.
type lockedLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(line)
}

func (l *lockedLines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
