package gateway_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// tier starts a gateway of Users at a port of its own. rest is more of the service, with the addresses in it.
func tier(t *testing.T, rest string, addresses ...any) *running {
	t.Helper()
	return start(t, fmt.Sprintf("listen: 127.0.0.1:0\nservices:\n  Users: {idl: users.thrift, timeout: 5s, "+rest+"}\n", addresses...))
}

// Through two tiers of gateways over THeader the second knows who called the first: by its certificate, whatever it calls itself besides; else as it
// calls itself; else it knows nothing of it. Callers are counted by that name in both, and the servers are told it too.
func TestCallerIsKnownInEachTier(t *testing.T) {
	over := transport.Wire{Kind: transport.Header, Protocol: wire.Binary}
	told := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := servePeer(t, l, &fakepeer.Peer{Kind: transport.Header, Script: func(m transport.Message) fakepeer.Answer {
		told <- rpc.Identity(m.Headers)
		return fakepeer.Answer{}
	}})
	ca := testcert.NewCA(t, "acme")
	authority := ca.Write(t, t.TempDir(), "ca")
	cert, key := ca.Sign(t, []string{"gateway.test"}).Write(t, t.TempDir(), "gateway")
	second := tier(t, "upstream: {endpoints: [%q], transport: header}", address)
	first := start(t, fmt.Sprintf(`
listen: ["127.0.0.2:0", {address: "127.0.0.1:0", tls: {cert_file: %q, key_file: %q, client_ca_file: %q}}]
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q], transport: header}}
`, cert, key, authority, second.Addresses()[0]))
	secure := &tls.Config{RootCAs: ca.Pool(), ServerName: "gateway.test", Certificates: []tls.Certificate{ca.Sign(t, []string{"spiffe://acme/web"}).TLS(t)}}
	for _, tt := range []struct {
		name, calls string
		plain       bool
		headers     []transport.KV
		want        string
	}{
		{"a name", "shop", true, []transport.KV{{Key: "identity", Value: "shop"}, {Key: "id_version", Value: "1"}}, "shop"},
		{"another one on the same connection", "till", true, []transport.KV{{Key: "identity", Value: "till"}}, "till"},
		{"a certificate", "spiffe://acme/web", false, nil, "spiffe://acme/web"},
		{"a certificate, and another name", "spiffe://acme/web", false, []transport.KV{{Key: "identity", Value: "mallory"}}, "spiffe://acme/web"},
		{"a version that is not known", "", true, []transport.KV{{Key: "identity", Value: "shop"}, {Key: "id_version", Value: "2"}}, ""},
		{"none", "", true, nil, ""},
	} {
		var c *caller
		if tt.plain {
			c = dial(t, first.Addresses()[1]) // they are sorted
		} else {
			c = mustDialTLS(t, first.Addresses()[0], secure)
		}
		before := second.metric("thriftloom_caller_calls_total", tt.calls)
		request := transport.Message{Wire: over, Head: wire.Head{Name: "ping", Seq: 7, Type: wire.Call}, Headers: tt.headers, Body: []byte{0}}
		if _, err := c.Write(transport.Append(nil, request)); err != nil {
			t.Fatal(err)
		}
		if m, err := fakepeer.NewReader(c, over).Next(); err != nil || m.Head.Type != wire.Reply {
			t.Fatalf("%s: answer %+v, %v", tt.name, m.Head, err)
		}
		if got := <-told; got != tt.want {
			t.Errorf("%s: the server is told %q, want %q", tt.name, got, tt.want)
		}
		if tt.calls != "" {
			eventually(t, tt.name+": counted in the second tier", func() bool { return second.metric("thriftloom_caller_calls_total", tt.calls) == before+1 })
		}
	}
	if n := first.metric("thriftloom_caller_calls_total", "mallory") + second.metric("thriftloom_caller_calls_total", "mallory"); n != 0 {
		t.Errorf("%v calls are counted for a name that the caller with a certificate gave itself", n)
	}
}

// A gateway of the second tier that has lost its servers answers at once, and so would draw the calls of the first. It says over THeader that no
// server has seen them: the first tier makes them at the other one, whatever the method, and gives it none for a while.
func TestTierWithoutAServer(t *testing.T) {
	var calls atomic.Int64
	alive, _, _ := peer(t, func(transport.Message) fakepeer.Answer { calls.Add(1); return fakepeer.Answer{} })
	dead, _, stop := peer(t, named("dead"))
	stop()
	without := tier(t, "upstream: {endpoints: [%q]}", dead).Addresses()[0]
	with := tier(t, "upstream: {endpoints: [%q]}", alive).Addresses()[0]
	first := tier(t, "upstream: {endpoints: [%q, %q], transport: header}", with, without)
	eventually(t, "readiness", func() bool { ok, _ := first.Ready("Users"); return ok })
	c := dial(t, first.Addresses()[0])
	const n = 200
	for range n {
		if got := c.call("ping"); got != "void" {
			t.Fatalf("answer %q", got)
		}
	}
	if got := calls.Load(); got != n {
		t.Errorf("the server had %d calls of %d", got, n)
	}
	for _, e := range first.Snapshot().Clusters[0].Endpoints {
		if e.Name == without && (e.State != "ejected" || e.Failures == 0 || e.Failures > n/10) {
			t.Errorf("the gateway without a server: %+v", e)
		}
	}
	if v := first.metric("rpc_client_call_duration_seconds", "not_served"); v == 0 {
		t.Error("no metric tells of it")
	}
}

// A second tier that is alone and has no server is asked as often as retry says, and its words are passed on.
func TestOnlyTierWithoutAServer(t *testing.T) {
	dead, _, stop := peer(t, named("dead"))
	stop()
	second := tier(t, "upstream: {endpoints: [%q]}", dead)
	first := tier(t, "retry: {attempts: 2}, upstream: {endpoints: [%q], transport: header}", second.Addresses()[0])
	if got := dial(t, first.Addresses()[0]).call("ping"); !strings.HasPrefix(got, "6 UNAVAILABLE: upstream Users: ") {
		t.Errorf("answer %q", got)
	}
	if v := first.metric("rpc_client_call_duration_seconds", "not_served"); v != 2 {
		t.Errorf("%v attempts, want 2", v)
	}
}
