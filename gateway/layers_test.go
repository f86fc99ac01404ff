package gateway

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const layersIDL = "service Users { string ping() (idempotent = \"true\"), string getUser(), string report() (idempotent = \"true\") }\n"

// loadDir loads the config out of a folder with a users.thrift, and fails on mistakes.
func loadDir(t *testing.T, dir, text string, env map[string]string) *Config {
	t.Helper()
	for name, text := range map[string]string{"thriftloom.yaml": text, "users.thrift": layersIDL} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := Load(filepath.Join(dir, "thriftloom.yaml"), func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	for _, m := range l.Mistakes {
		t.Error(m)
	}
	if t.Failed() {
		t.FailNow()
	}
	return l.Config
}

// layered is what a method comes to.
type layered struct {
	Timeout    time.Duration
	Attempts   int
	Idempotent bool
	Upstream   string
}

func (m methodPlan) layered() layered {
	return layered{m.policies.Deadline.Timeout, m.policies.Retry.Attempts, m.idempotent, m.upstream}
}

// A method has what stands nearest to it: its own block, then the service's, then `defaults`, then the built-in, key by key. The IDL's
// annotation holds where the file says nothing.
func TestLayers(t *testing.T) {
	const own = "services.Users"
	const listen = "listen: 127.0.0.1:0\nupstreams: {reports: {endpoints: [\"127.0.0.1:6001\"]}}\n"
	builtIn := layered{time.Minute, 3, false, own}
	for _, tt := range []struct {
		name, defaults, service, methods string
		ping, getUser, other             layered
	}{
		{
			name: "nothing is said",
			ping: layered{time.Minute, 3, true, own}, getUser: builtIn, other: builtIn,
		}, {
			name: "defaults", defaults: "timeout: 5s, retry: {attempts: 2}",
			ping: layered{5 * time.Second, 2, true, own}, getUser: layered{5 * time.Second, 2, false, own}, other: layered{5 * time.Second, 2, false, own},
		}, {
			name: "the service over defaults, key by key", defaults: "timeout: 5s, retry: {attempts: 2}", service: "timeout: 3s, ",
			ping: layered{3 * time.Second, 2, true, own}, getUser: layered{3 * time.Second, 2, false, own}, other: layered{3 * time.Second, 2, false, own},
		}, {
			name: "the method over both, key by key", defaults: "timeout: 5s", service: "retry: {attempts: 4}, ",
			methods: "getUser: {timeout: 1s}, ping: {retry: {attempts: 1}}",
			ping:    layered{5 * time.Second, 1, true, own}, getUser: layered{time.Second, 4, false, own}, other: layered{5 * time.Second, 4, false, own},
		}, {
			name: "the file over the annotation", methods: "ping: {idempotent: false}, getUser: {idempotent: true}",
			ping: builtIn, getUser: layered{time.Minute, 3, true, own}, other: builtIn,
		}, {
			name: "a method moved elsewhere", methods: "getUser: {upstream: reports}",
			ping: layered{time.Minute, 3, true, own}, getUser: layered{time.Minute, 3, false, "upstreams.reports"}, other: builtIn,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := loadDir(t, t.TempDir(), listen+"defaults: {"+tt.defaults+"}\nservices:\n  Users: {idl: users.thrift, "+tt.service+
				"upstream: {endpoints: [\"127.0.0.1:6000\"]}, methods: {"+tt.methods+"}}\n", nil)
			p := cfg.Resolved.services[0]
			for i, want := range []layered{tt.ping, tt.getUser} {
				if diff := cmp.Diff(want, p.methods[i].layered()); diff != "" {
					t.Errorf("%s: %s", p.schema.Methods[i].Name, diff)
				}
			}
			if diff := cmp.Diff(tt.other, p.other.layered()); diff != "" {
				t.Errorf("a method that the IDL does not have: %s", diff)
			}
		})
	}
}

// An absent key keeps what is beneath it; a written 0 is 0, or a mistake where 0 makes no sense.
func TestWrittenZero(t *testing.T) {
	cfg := loadDir(t, t.TempDir(), `
listen: 127.0.0.1:0
defaults: {queue: {max_calls: 8, max_wait: 2s}}
drain: {timeout: 0s}
services:
  Users: {idl: users.thrift, queue: {max_calls: 0}, upstream: {run: {command: [a, "{port}"], replicas: 0, stop_timeout: 0s}}}
  Others: {idl: users.thrift, service: Users, queue: {max_wait: 0s}, upstream: {endpoints: ["127.0.0.1:6000"]}}
`, nil)
	users, others := cfg.Resolved.upstreams[0], cfg.Resolved.upstreams[1]
	if q := users.cluster.Queue; q.MaxCalls != 0 || q.MaxWait != 2*time.Second {
		t.Errorf("queue of Users: %+v", q)
	}
	if q := others.cluster.Queue; q.MaxCalls != 8 || q.MaxWait != 0 {
		t.Errorf("queue of Others: %+v", q)
	}
	if users.run.Replicas != 0 || cfg.Drain.Timeout != 0 {
		t.Errorf("replicas %d, drain.timeout %v", users.run.Replicas, cfg.Drain.Timeout)
	}
	if users.run.StopTimeout >= 0 {
		t.Errorf("stop_timeout: 0s comes to %v, which the process package takes for its default", users.run.StopTimeout)
	}
	l := LoadBytes(filepath.Join(t.TempDir(), "thriftloom.yaml"), []byte("defaults: {timeout: 0s, retry: {attempts: 0}}\nmax_message_bytes: 0\n"), nil)
	for _, key := range []string{"defaults.timeout", "defaults.retry.attempts", "max_message_bytes"} {
		found := false
		for _, m := range l.Mistakes {
			found = found || m.Key == key
		}
		if !found {
			t.Errorf("%s: 0 is not told", key)
		}
	}
}

// A named upstream is one place with one set of slots, whoever leads there; an upstream of a service's own is another.
func TestSharedUpstream(t *testing.T) {
	cfg := loadDir(t, t.TempDir(), `
listen: 127.0.0.1:0
upstreams: {reports: {endpoints: ["127.0.0.1:6001"], server: threaded}}
services:
  Users: {idl: users.thrift, upstream: {endpoints: ["127.0.0.1:6000"], server: tornado}, methods: {report: {upstream: reports}}}
  Others: {idl: users.thrift, service: Users, upstream: reports}
`, nil)
	r := cfg.Resolved
	if len(r.upstreams) != 2 {
		t.Fatalf("%d upstreams, want 2", len(r.upstreams))
	}
	if moved, whole := r.services[0].methods[2].upstream, r.services[1].upstream; moved != whole || moved != r.upstreams[0].key {
		t.Errorf("the method leads to %s and the service to %s; the upstream is %s", moved, whole, r.upstreams[0].key)
	}
	for i, slots := range []int{4, 64} {
		if got := r.upstreams[i].cluster.Slots; got != slots {
			t.Errorf("%s has %d slots, want %d", r.upstreams[i].key, got, slots)
		}
	}
}

// Paths are relative to the file, whatever folder the gateway was started in; commands run in the file's folder unless `dir` says so.
func TestPaths(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "app"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	cfg := loadDir(t, dir, `
listen: "unix:run/all.sock"
services:
  Users: {idl: users.thrift, upstream: {run: {command: [a, "{socket}"]}}}
  Others: {idl: {path: users.thrift, include: [.]}, service: Users, upstream: {run: {command: [a, "{socket}"], dir: app}}}
  Third: {idl: users.thrift, service: Users, upstream: {endpoints: ["unix:third.sock"]}}
`, nil)
	r := cfg.Resolved
	for what, pair := range map[string][2]string{
		"listen":       {r.listeners[0].address, "unix:" + filepath.Join(dir, "run/all.sock")},
		"dir":          {r.upstreams[0].run.Dir, dir},
		"a given dir":  {r.upstreams[1].run.Dir, filepath.Join(dir, "app")},
		"endpoint":     {r.upstreams[2].endpoints[0].Address, "unix:" + filepath.Join(dir, "third.sock")},
		"the IDL":      {r.services[0].idl, filepath.Join(dir, "users.thrift")},
		"state":        {r.State, filepath.Join(dir, ".thriftloom")},
		"the one file": {r.Files[0], filepath.Join(dir, "thriftloom.yaml")},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %s, want %s", what, pair[0], pair[1])
		}
	}
}

// The state folder is what the file says, else the first of $STATE_DIRECTORY (systemd gives several, with colons between), else beside
// the file.
func TestStateFolder(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, key, variable, want string }{
		{"neither", "", "", filepath.Join(dir, ".thriftloom")},
		{"the variable", "", "/var/lib/thriftloom", "/var/lib/thriftloom"},
		{"several in it", "", "/var/lib/a:/var/lib/b", "/var/lib/a"},
		{"the key over the variable", "state: kept\n", "/var/lib/thriftloom", filepath.Join(dir, "kept")},
		{"an absolute key", "state: /srv/state\n", "", "/srv/state"},
		{"a variable in the key", "state: ${STATE_DIRECTORY}/own\n", "/var/lib/a", "/var/lib/a/own"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := loadDir(t, dir, tt.key+"listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, upstream: {endpoints: [\"127.0.0.1:6000\"]}}}\n",
				map[string]string{"STATE_DIRECTORY": tt.variable})
			if got := cfg.Resolved.State; got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
