package authz_test

import (
	"context"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/layer/authz"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// Who is on the list gets in: by address, by what its certificate says, or over a unix socket; by nothing that it says of itself.
func TestWhoGetsIn(t *testing.T) {
	const far = "203.0.113.9:5"
	for _, tt := range []struct {
		list   string // entries; "-" is none at all, "" an empty one
		caller rpc.Caller
		in     bool
	}{
		{"-", rpc.Caller{Address: far}, true},
		{"", rpc.Caller{Address: far}, false},
		{"*", rpc.Caller{Address: far}, true},

		{"10.0.0.0/8", rpc.Caller{Address: "10.255.0.1:5"}, true},
		{"10.0.0.0/8", rpc.Caller{Address: "11.0.0.1:5"}, false},
		{"10.0.0.0/8", rpc.Caller{Address: "[::ffff:10.0.0.1]:5"}, true}, // of a listener for both
		{"10.0.0.7", rpc.Caller{Address: "10.0.0.7:5"}, true},
		{"10.0.0.7", rpc.Caller{Address: "10.0.0.70:5"}, false},
		{"2001:db8::/32 10.0.0.0/8", rpc.Caller{Address: "[2001:db8::1]:5"}, true},
		{"fe80::/10", rpc.Caller{Address: "[fe80::1%eth0]:5"}, true},
		{"0.0.0.0/0", rpc.Caller{Address: "[2001:db8::1]:5"}, false},
		{"0.0.0.0/0", rpc.Caller{Address: ""}, false},

		{"unix", rpc.Caller{Address: ""}, true},
		{"unix", rpc.Caller{Address: "@"}, true},
		{"unix", rpc.Caller{Address: "/run/web.sock"}, true},
		{"unix", rpc.Caller{Address: far}, false},

		{"spiffe://acme/web", rpc.Caller{Address: far, Identities: []string{"spiffe://acme/web"}}, true},
		{"spiffe://acme/web", rpc.Caller{Address: far, Identities: []string{"spiffe://acme/web2"}}, false},
		{"spiffe://acme/web", rpc.Caller{Address: far, Identities: []string{"spiffe://acme/web/1"}}, false},
		{"spiffe://acme/web", rpc.Caller{Address: far, Name: "spiffe://acme/web"}, false}, // a header said so
		{"spiffe://acme/web/*", rpc.Caller{Address: far, Identities: []string{"spiffe://acme/web/1"}}, true},
		{"spiffe://acme/web/*", rpc.Caller{Address: far, Identities: []string{"spiffe://acme/web"}}, false},
		{"spiffe://acme/web/*", rpc.Caller{Address: far, Identities: []string{"spiffe://acme/web/"}}, false},
		{"spiffe://acme/web/*", rpc.Caller{Address: far, Identities: []string{"spiffe://acme/webber/1"}}, false},
		{"spiffe://acme/*", rpc.Caller{Address: far, Identities: []string{"spiffe://acme.evil/web"}}, false},
		{"web.acme.test", rpc.Caller{Address: far, Identities: []string{"spiffe://acme/web", "web.acme.test"}}, true},
		{"web.acme.test", rpc.Caller{Address: far, Identities: []string{"WEB.acme.test"}}, false},
		{"user:alice", rpc.Caller{Address: far, Identities: []string{"web.acme.test", "user:alice"}}, true},
		{"user:alice", rpc.Caller{Address: far, Identities: []string{"alice", "user:alice2"}}, false},
		{"orders 10.0.0.0/8", rpc.Caller{Address: far, Identities: []string{"web", "orders"}}, true},
	} {
		var list []string
		if tt.list != "-" {
			list = strings.Fields(tt.list)
		}
		if list == nil && tt.list == "" {
			list = []string{}
		}
		for _, entry := range list {
			if err := authz.Check(entry); err != nil {
				t.Errorf("%s: %v", entry, err)
			}
		}
		h := authz.Layer(rpc.PerMethod[[]string]{Other: list}).Wrap(rpc.HandlerFunc(answer))
		_, err := h.Handle(t.Context(), &rpc.Call{Service: "Users", Caller: tt.caller})
		if (err == nil) != tt.in {
			t.Errorf("%q, %+v: %v", tt.list, tt.caller, err)
		}
	}
}

func answer(context.Context, *rpc.Call) (*rpc.Reply, error) { return &rpc.Reply{}, nil }

// The list is the method's; a method that the IDL does not have has the service's. A refusal says so, names no caller, and is not tried
// again.
func TestListOfTheMethod(t *testing.T) {
	svc := schema.MustParse("service Users { void get(), void wipe() }").Service("Users")
	reached := 0
	h := authz.Layer(rpc.PerMethod[[]string]{Methods: [][]string{nil, {"spiffe://acme/admin"}}, Other: []string{"10.0.0.0/8"}}).Wrap(
		rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { reached++; return &rpc.Reply{}, nil }))
	for _, tt := range []struct {
		method *schema.Method
		want   string
	}{
		{svc.Method("get"), ""},
		{svc.Method("wipe"), "PERMISSION_DENIED: Users: this caller may not call wipe; call 0000000000000007"},
		{nil, "PERMISSION_DENIED: Users: this caller may not call a method that its IDL does not have; call 0000000000000007"},
	} {
		_, err := h.Handle(t.Context(), &rpc.Call{ID: 7, Service: "Users", Name: "secret-name", Method: tt.method, Caller: rpc.Caller{Address: "192.0.2.1:4711"}})
		e := rpc.AsError(err, "")
		if (e == nil) != (tt.want == "") {
			t.Fatalf("%v, want %q", err, tt.want)
		}
		if e != nil && (e.Public(7).Message != tt.want || e.Retryable(true)) {
			t.Errorf("%q, retryable %v; want %q", e.Public(7).Message, e.Retryable(true), tt.want)
		}
	}
	if reached != 1 {
		t.Errorf("%d calls went on", reached)
	}
}

// What cannot be meant is told; nobody gets in by it.
func TestCheck(t *testing.T) {
	for entry, want := range map[string]string{
		"":                     "is empty",
		"user:":                "names no user",
		" web":                 "has space around it",
		"we\nb":                "what cannot be printed",
		"10.0.0.1/8":           "has bits behind its 8: 10.0.0.0/8 is meant?",
		"10.0.0.300":           "is no address",
		"10.0.0.0/33":          "is no address",
		"10.0.0/8":             "is no address",
		"web:8080":             "is no address",
		"fe80::1%eth0":         "no zone",
		"*.acme.test":          "a * stands alone",
		"spiffe://acme/w*":     "a * stands at the end alone",
		"spiffe://acme/*/web":  "a * stands at the end alone",
		"spiffe:///web":        "is no URI with a host",
		"spiffe://acme/web?x":  "is no SPIFFE id",
		"spiffe://root@acme/x": "is no SPIFFE id",
	} {
		if err := authz.Check(entry); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", entry, err, want)
		}
		if entry == "" {
			continue
		}
		h := authz.Layer(rpc.PerMethod[[]string]{Other: []string{entry}}).Wrap(rpc.HandlerFunc(answer))
		if _, err := h.Handle(t.Context(), &rpc.Call{Caller: rpc.Caller{Address: "10.0.0.1:1", Identities: []string{entry}}}); err == nil {
			t.Errorf("%q lets somebody in", entry)
		}
	}
}
