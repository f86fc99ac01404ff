//go:build unix

package gateway_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// told are what a reload tells, without the folder.
func (r *running) told(lines []string) []string {
	var all []string
	for _, l := range lines {
		all = append(all, strings.TrimPrefix(l, r.dir+string(filepath.Separator)))
	}
	return all
}

// A reload takes an IDL over that breaks the wire, and tells in its answer what it breaks, where, and for which service; with the same IDL it
// tells nothing the next time; and a service that stays as it was breaks nothing.
func TestReloadTellsBrokenWire(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := "listen: 127.0.0.1:0\nservices:\n" + one("Users", users)
	r := start(t, config)
	reload := func(idl string, stale []string, want ...string) {
		t.Helper()
		r.write("users.thrift", idl)
		result, err := r.Reload(t.Context())
		if err != nil || !slices.Equal(result.Stale, stale) || !slices.Equal(r.told(result.Warnings), want) {
			t.Errorf("%+v, %v; want %q", result, err, want)
		}
	}
	changed := "service Users {\n  string getUser(1: string id, 2: required bool all),\n  i32 report(), string ping() }"
	breaks := []string{
		"users.thrift:2:28: services.Users.idl: argument 1 id of getUser was i64 and is string",
		"users.thrift:2:49: services.Users.idl: argument 2 all of getUser is new and required: who does not know it sends messages without it",
		"users.thrift:3:7: services.Users.idl: report returned string and returns i32",
	}
	reload(changed, nil, breaks...)
	reload(changed, nil)
	reload("service Users { i64 ping() }", []string{"Users"}) // it would lose methods, so that nothing of it is taken over
	var many strings.Builder
	for i := range 50 {
		fmt.Fprintf(&many, "void m%d(1: i32 a), ", i)
	}
	more := func(s string) string { return changed[:len(changed)-1] + ", " + s + "}" }
	reload(more(many.String()), nil)
	r.write("users.thrift", more(strings.ReplaceAll(many.String(), "i32", "i64")))
	result, err := r.Reload(t.Context())
	if err != nil || len(result.Warnings) != 21 || !strings.Contains(result.Warnings[20], "and 30 changes more that break") {
		t.Errorf("%+v, %v", result, err)
	}
}

// A warning of check is told by the reload that brings it, and not again.
func TestReloadTellsNewWarnings(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := "listen: 127.0.0.1:0\nservices:\n" + one("Users", users)
	r := start(t, config)
	r.write("thriftloom.yaml", "# a line more\n"+config+one("More", users))
	for _, want := range []int{1, 0} {
		result, err := r.Reload(t.Context())
		if err != nil || len(result.Warnings) != want || want > 0 && !strings.Contains(result.Warnings[0], `the bare names "getUser", "ping", "report" fit Users and More`) {
			t.Errorf("%+v, %v; want %d warnings", result, err, want)
		}
	}
}

// What only a start takes over is told by each reload for as long as it is not as the config says, and stays as it was.
func TestReloadTellsWhatTakesRestart(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := func(top, listen string) string {
		return fmt.Sprintf("listen: {address: %q%s}\n%s\nservices:\n", "127.0.0.1:0", listen, top) + one("Users", users)
	}
	r := start(t, config("admin: 127.0.0.1:9091", ""))
	for range 2 {
		r.write("thriftloom.yaml", config("admin: 127.0.0.1:9092\nhealth: 127.0.0.1:9093\nstate: other\nmax_message_bytes: 1MiB", ", max_connections: 5"))
		result, err := r.Reload(t.Context())
		const text = "takes a restart: until then it stays as it was"
		want := []string{
			"thriftloom.yaml:3:9: health: " + text, "thriftloom.yaml:2:8: admin: " + text, "thriftloom.yaml:4:8: state: " + text,
			"thriftloom.yaml:1:9: listen.max_connections: " + text, "thriftloom.yaml:5:20: max_message_bytes: " + text,
		}
		if err != nil || !slices.Equal(r.told(result.Warnings), want) {
			t.Errorf("%q, %v; want %q", r.told(result.Warnings), err, want)
		}
	}
	r.write("thriftloom.yaml", config("admin: 127.0.0.1:9091", ""))
	if result, err := r.Reload(t.Context()); err != nil || len(result.Warnings) > 0 {
		t.Errorf("%+v, %v", result, err)
	}
}

// So is whether an address is shared, which is settled when it is opened.
func TestReloadTellsReusePort(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	address := peertest.FreePort(t)
	config := func(listen string) string { return "listen: " + listen + "\nservices:\n" + one("Users", users) }
	r := start(t, config(fmt.Sprintf("%q", address)))
	r.write("thriftloom.yaml", config(fmt.Sprintf("{address: %q, reuse_port: true}", address)))
	result, err := r.Reload(t.Context())
	want := []string{"thriftloom.yaml:1:9: listen.reuse_port: takes a restart: until then it stays as it was"}
	if err != nil || !slices.Equal(r.told(result.Warnings), want) {
		t.Errorf("%q, %v; want %q", r.told(result.Warnings), err, want)
	}
}

// What is watched is what the newest attempt has read, and what the last whole one had: a broken IDL and what it includes stay in sight.
func TestWatched(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := "listen: 127.0.0.1:0\nservices:\n" + one("Users", users)
	r := prepare(t)
	r.write("shared.thrift", "typedef i64 Id")
	r.write("users.thrift", "include 'shared.thrift' service Users { string ping() }")
	r.write("thriftloom.yaml", config)
	r.begin()
	expect := func(want ...string) {
		t.Helper()
		files, patterns := r.Watched()
		files = r.told(files)
		slices.Sort(files)
		if !slices.Equal(files, want) || !slices.Contains(r.told(patterns), "*.thrift") || !slices.Contains(r.told(patterns), "users.policy.yaml") {
			t.Errorf("%q and %q, want %q", files, r.told(patterns), want)
		}
	}
	whole := []string{"shared.thrift", "thriftloom.yaml", "users.thrift"}
	expect(whole...)
	r.write("users.thrift", "include 'more.thrift' service Users {")
	r.reload(config, "Users")
	expect(whole...)
	r.write("thriftloom.yaml", "services: [")
	if _, err := r.Reload(t.Context()); err == nil {
		t.Error("a file that is no YAML was taken over")
	}
	expect(whole...)
	r.write("more.thrift", "typedef i6 Id")
	r.write("users.thrift", "include 'more.thrift' service Users { string ping() }")
	r.reload(config, "Users")
	expect("more.thrift", "shared.thrift", "thriftloom.yaml", "users.thrift")
	r.write("more.thrift", "typedef i64 Id")
	r.reload(config)
	expect("more.thrift", "thriftloom.yaml", "users.thrift")
}

// A config that was taken over is handed out, and one that was not is not.
func TestReloaded(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	var levels []string
	r := prepare(t)
	r.opts.Reloaded = func(c *gateway.Config) { levels = append(levels, c.Logs.Level) }
	config := "listen: 127.0.0.1:0\nservices:\n" + one("Users", users)
	r.write("thriftloom.yaml", config)
	r.begin()
	r.reload(config + "logs: {level: warn}\n")
	r.write("thriftloom.yaml", config+"logs: {level: loud}\n")
	if _, err := r.Reload(t.Context()); err == nil {
		t.Error("a broken config was taken over")
	}
	if !slices.Equal(levels, []string{"warn"}) {
		t.Errorf("levels %q", levels)
	}
}
