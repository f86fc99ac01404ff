package gateway_test

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// Callers are let in by their certificate, method by method, whatever upstream a method is moved to. A refused call reaches no server, is
// counted, and is answered; a refused oneway is not answered, and the connection stays in step. Methods that nobody has are no more
// visible than others.
func TestAllow(t *testing.T) {
	ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
	var asked atomic.Int64
	count := func(name string) func(transport.Message) fakepeer.Answer {
		answer := named(name)
		return func(m transport.Message) fakepeer.Answer { asked.Add(1); return answer(m) }
	}
	users, _, _ := peer(t, count("users"))
	reports, _, _ := peer(t, count("reports"))
	cert, key := ca.Sign(t, []string{"gateway.test"}).Write(t, dir, "gateway")
	r := prepare(t)
	r.write("users.thrift", "service Users { string getUser(1: i64 id), string report(), string ping(), oneway void track() }")
	r.write("thriftloom.yaml", fmt.Sprintf(`
listen: {address: "127.0.0.1:0", tls: {cert_file: %q, key_file: %q, client_ca_file: %q}}
upstreams: {reports: {endpoints: [%q]}}
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: [%q]}
    unknown_methods: refuse
    allow: [spiffe://acme/web]
    methods:
      report: {upstream: reports, allow: [spiffe://acme/jobs/*]}
      ping: {allow: ["*"]}
`, cert, key, ca.Write(t, dir, "ca"), reports, users))
	r.begin()
	as := func(name string) *caller {
		pair := ca.Sign(t, []string{name}).TLS(t)
		return mustDialTLS(t, r.Addresses()[0], &tls.Config{RootCAs: ca.Pool(), ServerName: "gateway.test", Certificates: []tls.Certificate{pair}})
	}
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })

	web := as("spiffe://acme/web")
	web.expect("getUser", "users")
	web.expect("ping", "users")
	web.expect("report", "6 PERMISSION_DENIED: Users: this caller may not call report; call …")
	web.expect("nope", "1 UNKNOWN_METHOD: Users: no method \"nope\"; call …")

	jobs := as("spiffe://acme/jobs/nightly")
	jobs.expect("report", "reports")
	jobs.expect("ping", "users")
	jobs.expect("getUser", "6 PERMISSION_DENIED: …")
	jobs.expect("nope", "6 PERMISSION_DENIED: Users: this caller may not call a method that its IDL does not have; call …")
	if _, err := jobs.Write(append(binary.AppendHead(nil, wire.Head{Name: "track", Seq: 77, Type: wire.Call}), 0)); err != nil {
		t.Fatal(err)
	}
	jobs.expect("ping", "users") // its answer is the next that comes
	if n := asked.Load(); n != 5 {
		t.Errorf("the servers were asked %d times, want 5", n)
	}

	denied := func(method ...string) float64 {
		return r.metric("rpc_server_call_duration_seconds", append(method, "PERMISSION_DENIED")...)
	}
	for _, method := range []string{"Users/_OTHER", "Users/getUser", "Users/report", "Users/track"} {
		eventually(t, "each denied call counted", func() bool { return denied(method) == 1 }) // of the oneway nobody has seen the end yet
	}
	if n := denied(); n != 4 {
		t.Errorf("%v calls are counted as denied, want 4", n)
	}
	s := r.Snapshot().Services[0]
	if s.Stack[2].Name != "authz" || fmt.Sprint(s.Methods[0].Allow, s.Methods[1].Allow) != "[spiffe://acme/web] [spiffe://acme/jobs/*]" {
		t.Errorf("the snapshot has %+v and %+v", s.Stack[2], s.Methods[:2])
	}
}

// Who may call changes with a reload, for open connections too: a call goes by the list that is in force when it comes.
func TestAllowByReload(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	at := unused(t)
	config := func(allow string) string {
		return fmt.Sprintf("services: {Users: {idl: users.thrift, listen: %q, timeout: 5s, upstream: {endpoints: [%q]}, allow: [%s]}}", at, users, allow)
	}
	r := start(t, config("127.0.0.0/8"))
	c := dial(t, at)
	c.expect("getUser", "users")
	r.reload(config("10.0.0.0/8"))
	c.expect("getUser", "6 PERMISSION_DENIED: …")
	r.reload(config("10.0.0.0/8, 127.0.0.1"))
	c.expect("getUser", "users")
	r.write("thriftloom.yaml", config("10.0.0.1/8"))
	if result, err := r.Reload(t.Context()); err != nil || len(result.Stale) != 1 {
		t.Errorf("a broken list is taken over: %+v, %v", result, err)
	}
	c.expect("getUser", "users")
}
