package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// loadFolder writes files and loads the config among them, which has no mistakes.
func loadFolder(t *testing.T, files map[string]string) *Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := Load(filepath.Join(dir, "thriftloom.yaml"), nil)
	for _, m := range l.Mistakes {
		t.Error(m)
	}
	if t.Failed() {
		t.FailNow()
	}
	return l.Config
}

// A policy may stand in seven places. Of those that are given the most specific wins, and of the three places of one scope the config's
// section before the overlay before the annotation: whatever weaker ones say.
func TestStrongestPlaceWins(t *testing.T) {
	const places = 7
	for given := range 1 << places {
		set := func(place int, format string) string {
			if given&(1<<place) == 0 {
				return ""
			}
			return fmt.Sprintf(format, place+1)
		}
		want := 60 * time.Second // what an empty config says
		for place := range places {
			if given&(1<<place) != 0 {
				want = time.Duration(place+1) * time.Second
			}
		}
		cfg := loadFolder(t, map[string]string{
			"users.thrift":      "service Users { void get() " + set(4, `(timeout = "%ds")`) + " } " + set(1, `(timeout = "%ds")`),
			"users.policy.yaml": set(2, "timeout: %ds\n") + set(5, "methods: {get: {timeout: %ds}}\n"),
			"thriftloom.yaml": "listen: 127.0.0.1:0\n" + set(0, "defaults: {timeout: %ds}\n") +
				"services:\n  Users:\n    idl: users.thrift\n    annotations: all\n    upstream: {endpoints: [\"127.0.0.1:1\"]}\n" +
				set(3, "    timeout: %ds\n") + set(6, "    methods: {get: {timeout: %ds}}\n"),
		})
		if got := cfg.Resolved.services[0].methods[0].policies.Deadline.Timeout; got != want {
			t.Errorf("places %07b: timeout %v, want %v", given, got, want)
		}
	}
}

// Places are laid over one another key by key, and an overlay holds for every service of its IDL, of whose methods each takes its own.
func TestOverlayIsOfAllServices(t *testing.T) {
	cfg := loadFolder(t, map[string]string{
		"all.thrift": "service Users { void get(), void put() } service Orders extends Users { void more() }",
		"all.policy.yaml": `
timeout: 2s
retry: {attempts: 3}
unknown_methods: refuse
methods: {get: {idempotent: true}, more: {timeout: 9s, upstream: shared}}
`,
		"thriftloom.yaml": `
listen: 127.0.0.1:0
upstreams: {shared: {endpoints: ["127.0.0.1:1"]}}
services:
  Users: {idl: all.thrift, unknown_methods: forward, upstream: shared, methods: {get: {timeout: 1s}}}
  Orders: {idl: all.thrift, upstream: {endpoints: ["127.0.0.1:2"]}, methods: {get: {idempotent: false}}}
`,
	})
	for _, c := range []struct {
		service, method int
		timeout         time.Duration
		idempotent      bool
		upstream        string
	}{
		{0, 0, 1 * time.Second, true, "upstreams.shared"},
		{0, 1, 2 * time.Second, false, "upstreams.shared"},
		{1, 0, 9 * time.Second, false, "upstreams.shared"}, // more
		{1, 1, 2 * time.Second, false, "services.Orders"},  // get
	} {
		s := cfg.Resolved.services[c.service]
		m := s.methods[c.method]
		if m.policies.Deadline.Timeout != c.timeout || m.policies.Retry.Attempts != 3 || m.idempotent != c.idempotent || m.upstream != c.upstream {
			t.Errorf("%s.%s: %+v, want %+v", s.label, s.schema.Methods[c.method].Name, m, c)
		}
	}
	if cfg.Resolved.services[0].forward != true || cfg.Resolved.services[1].forward != false {
		t.Error("unknown_methods of the overlay does not hold where the section says nothing, or is stronger than the section")
	}
}

// Without annotations: all only idempotent is taken from the IDL; with it every policy, those of inherited methods in other files too, and
// what is somebody else's is left alone. The overlay may say so as well.
func TestAnnotations(t *testing.T) {
	files := map[string]string{
		"base.thrift":  `service Base { void ping() (idempotent, timeout = "3s") }`,
		"users.thrift": `include "base.thrift" service Users extends base.Base { void get() (idempotent = "true", retry.attempts = "4", api.get = "/users", cpp.x = "1") } (timeout = "7s", owner = "me")`,
		"thriftloom.yaml": `
listen: 127.0.0.1:0
services:
  None: {idl: users.thrift, service: Users, timeout: 5s, upstream: {endpoints: ["127.0.0.1:1"]}}
  All: {idl: users.thrift, service: Users, annotations: all, upstream: {endpoints: ["127.0.0.1:1"]}}
`,
	}
	check := func(cfg *Config, service, method int, timeout time.Duration, attempts int, idempotent bool) {
		t.Helper()
		s := cfg.Resolved.services[service]
		m := s.methods[method]
		if m.policies.Deadline.Timeout != timeout || m.policies.Retry.Attempts != attempts || m.idempotent != idempotent {
			t.Errorf("%s.%s: %+v", s.label, s.schema.Methods[method].Name, m)
		}
	}
	attempts := newDefaults().Policies.Retry.Attempts
	cfg := loadFolder(t, files)
	check(cfg, 0, 0, 5*time.Second, attempts, true)
	check(cfg, 0, 1, 5*time.Second, attempts, false)
	check(cfg, 1, 0, 7*time.Second, 4, true)
	check(cfg, 1, 1, 3*time.Second, attempts, true)
	files["users.policy.yaml"] = "annotations: all\n"
	cfg = loadFolder(t, files)
	check(cfg, 0, 0, 5*time.Second, 4, true)
	check(cfg, 0, 1, 3*time.Second, attempts, true)
}
