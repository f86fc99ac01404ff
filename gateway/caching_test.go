package gateway_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// A method with a cache block is answered from memory; a purge, a reload of its IDL and a method that invalidates make its replies void, a
// reload of anything else does not. The snapshot and the metrics tell of it.
func TestCache(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	r := prepare(t)
	config := `
listen: "127.0.0.1:0"
services:
  Users:
    idl: users.thrift
    timeout: %s
    upstream: {endpoints: [%q]}
    methods:
      report: {cache: {ttl: 1m}}
      ping: {cache: {invalidates: [report]}}
`
	r.write("thriftloom.yaml", fmt.Sprintf(config, "5s", users))
	r.begin()
	eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
	c := dial(t, r.Addresses()[0])
	counts := func() string {
		t.Helper()
		for _, m := range r.Snapshot().Services[0].Methods {
			if m.Name == "report" {
				return fmt.Sprintf("%d hits, %d misses, %d kept", m.Cache.Calls["hit"], m.Cache.Calls["miss"], m.Cache.Entries)
			}
		}
		return ""
	}
	wants := func(want string) {
		t.Helper()
		c.expect("report", "users")
		if got := counts(); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	wants("0 hits, 1 misses, 1 kept")
	wants("1 hits, 1 misses, 1 kept")
	r.write("thriftloom.yaml", fmt.Sprintf(config, "6s", users))
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants("2 hits, 1 misses, 1 kept")
	c.expect("ping", "users")
	wants("2 hits, 2 misses, 1 kept")
	for _, p := range []status.Purge{{}, {Service: "Users"}, {Service: "Users", Method: "report"}, {Service: "Users", Method: "report", Arguments: []byte("{}")}} {
		wants(next(counts(), 1, 0))
		if _, err := r.PurgeCache(t.Context(), p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
		wants(next(counts(), 0, 1))
	}
	for _, tt := range []struct {
		purge status.Purge
		want  error
	}{
		{status.Purge{Service: "Nobody"}, status.ErrUnknownService}, {status.Purge{Method: "report"}, status.ErrUnknownService},
		{status.Purge{Service: "Users", Method: "nothing"}, status.ErrUnknownMethod}, {status.Purge{Service: "Users", Method: "ping"}, status.ErrNotCached},
	} {
		if _, err := r.PurgeCache(t.Context(), tt.purge); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt.purge, err)
		}
	}
	reply, ok, err := r.CachedReply(t.Context(), status.CachedCall{Service: "Users", Method: "report"})
	if err != nil || !ok || reply.Where != "near" || reply.FreshSeconds < 50 {
		t.Errorf("%+v, %v, %v", reply, ok, err)
	}
}

// next is the counts after so many hits and misses more.
func next(counts string, hits, misses int) string {
	var h, m, kept int
	if _, err := fmt.Sscanf(counts, "%d hits, %d misses, %d kept", &h, &m, &kept); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d hits, %d misses, 1 kept", h+hits, m+misses)
}
