//go:build unix

package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// remove takes a file away.
func (r *running) remove(name string) {
	r.t.Helper()
	if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// one is the section of a service of users.thrift, at one address.
func one(label, address string) string {
	return fmt.Sprintf("  %s: {idl: users.thrift, service: Users, timeout: 5s, upstream: {endpoints: [%q]}}\n", label, address)
}

// startIncluding runs a gateway whose services but Main stand in files of their own: A in a.yaml, B in b.yaml. Each answers by its label.
func startIncluding(t *testing.T) (r *running, main string, peers map[string]string) {
	t.Helper()
	peers = map[string]string{}
	for _, name := range []string{"Main", "A", "B", "other"} {
		peers[name], _, _ = peer(t, named(name))
	}
	main = "listen: 127.0.0.1:0\ninclude: [a.yaml, b*.yaml]\nservices:\n" + one("Main", peers["Main"])
	r = prepare(t)
	r.write("a.yaml", "services:\n"+one("A", peers["A"]))
	r.write("b.yaml", "services:\n"+one("B", peers["B"]))
	r.write("thriftloom.yaml", main)
	r.begin()
	return r, main, peers
}

// An included file that is broken in any way makes only its own services stale, those that it does not show any more among them; the
// others change, and it is taken over again when it is whole.
func TestIncludedFileBreaks(t *testing.T) {
	for name, breakIt := range map[string]func(*running){
		"no YAML":         func(r *running) { r.write("a.yaml", "services: [") },
		"not a block":     func(r *running) { r.write("a.yaml", "[1]\n") },
		"foreign key":     func(r *running) { r.write("a.yaml", "listen: 127.0.0.1:1\n") },
		"nested include":  func(r *running) { r.write("a.yaml", "include: [b.yaml]\n") },
		"name of another": func(r *running) { r.write("a.yaml", "services:\n"+one("Main", unused(r.t))) },
		"gone":            func(r *running) { r.remove("a.yaml") },
		"a folder": func(r *running) {
			r.remove("a.yaml")
			if err := os.Mkdir(filepath.Join(r.dir, "a.yaml"), 0o700); err != nil {
				r.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, main, peers := startIncluding(t)
			c := dial(t, r.Addresses()[0])
			c.expect("A:ping", "A")
			breakIt(r)
			r.write("b.yaml", "services:\n"+one("B", peers["other"]))
			r.reload(strings.Replace(main, peers["Main"], peers["other"], 1), "A")
			for call, want := range map[string]string{"A:ping": "A", "B:ping": "other", "Main:ping": "other"} {
				c.expect(call, want)
			}
			_ = os.Remove(filepath.Join(r.dir, "a.yaml"))
			r.write("a.yaml", "services:\n"+one("A", peers["other"]))
			r.reload(main)
			for call, want := range map[string]string{"A:ping": "other", "B:ping": "other", "Main:ping": "Main"} {
				c.expect(call, want)
			}
		})
	}
}

// A service that moves from a file which is broken now to one that is whole is taken over from there.
func TestServiceMovesOutOfBrokenFile(t *testing.T) {
	r, main, peers := startIncluding(t)
	c := dial(t, r.Addresses()[0])
	r.write("a.yaml", "services: [")
	r.write("b.yaml", "services:\n"+one("A", peers["other"])+one("B", peers["B"]))
	r.reload(main)
	c.expect("A:ping", "other")
	c.expect("B:ping", "B")
}

// A file that a pattern begins to match brings its services, and takes them along when it goes.
func TestIncludedFilesComeAndGo(t *testing.T) {
	r, main, peers := startIncluding(t)
	c := dial(t, r.Addresses()[0])
	r.write("b2.yaml", "services:\n"+one("More", peers["other"]))
	r.reload(main)
	c.expect("More:ping", "other")
	if labels := r.Snapshot().Listeners[0].Services; !slices.Equal(labels, []string{"Main", "A", "B", "More"}) {
		t.Errorf("services %v", labels)
	}
	r.remove("b2.yaml")
	r.reload(main)
	c.expect("More:ping", `1 UNKNOWN_METHOD: gateway: no service is named "More" here…`)
	c.expect("B:ping", "B")
}

// A shared upstream that is broken makes stale those services that use it, by a method too, and keeps its last good version for them; a
// service that is new with it is left out; the others change.
func TestBrokenSharedUpstream(t *testing.T) {
	shared, _, _ := peer(t, named("shared"))
	users, _, _ := peer(t, named("users"))
	other, _, _ := peer(t, named("other"))
	config := func(upstream, own, more string) string {
		return fmt.Sprintf("listen: 127.0.0.1:0\nupstreams: {shared: {%s}, spare: {endpoints: [%q]}}\nservices:\n", upstream, other) +
			"  Whole: {idl: users.thrift, service: Users, timeout: 5s, upstream: shared}\n" +
			fmt.Sprintf("  Part: {idl: users.thrift, service: Users, timeout: 5s, upstream: {endpoints: [%q]}, methods: {report: {upstream: shared}}}\n", own) +
			one("Own", own) + more
	}
	good := fmt.Sprintf("endpoints: [%q]", shared)
	r := start(t, config(good, users, ""))
	c := dial(t, r.Addresses()[0])
	c.expect("Whole:ping", "shared")
	for _, broken := range []string{"", "endpoints: []", good + ", slots: many", good + ", run: {}"} {
		r.reload(config(broken, other, "  New: {idl: users.thrift, service: Users, timeout: 5s, upstream: shared}\n"), "Whole", "Part", "New")
		for call, want := range map[string]string{
			"Whole:ping": "shared", "Part:report": "shared", "Part:ping": "users", "Own:ping": "other",
			"New:ping": `1 UNKNOWN_METHOD: gateway: no service is named "New" here…`,
		} {
			c.expect(call, want)
		}
	}
	r.reload(config(good, other, ""))
	c.expect("Part:ping", "other")
}

// Nothing is stale by a broken upstream that nobody uses, and the mistake is told all the same.
func TestBrokenUpstreamOfNobody(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	r := start(t, "listen: 127.0.0.1:0\nservices:\n"+one("Users", users))
	r.write("thriftloom.yaml", "listen: 127.0.0.1:0\nupstreams: {spare: {}}\nservices:\n"+one("Users", users)+one("More", users))
	result, err := r.Reload(t.Context())
	if err != nil || len(result.Stale) > 0 || len(result.Mistakes) != 1 || !strings.Contains(result.Mistakes[0], "upstreams.spare: no source") {
		t.Fatalf("%+v, %v", result, err)
	}
	dial(t, r.Addresses()[0]).expect("More:ping", "users")
}

// An overlay is taken over by a reload; one that is broken makes stale the services of its IDL and no others.
func TestOverlayByReload(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	config := func(timeout string) string {
		return "listen: 127.0.0.1:0\ndefaults: {timeout: " + timeout + "}\nservices:\n" +
			fmt.Sprintf("  Users: {idl: users.thrift, upstream: {endpoints: [%q]}}\n", users) +
			fmt.Sprintf("  Orders: {idl: orders.thrift, upstream: {endpoints: [%q]}}\n", users)
	}
	r := start(t, config("5s"))
	expect := func(users, orders float64) {
		t.Helper()
		s := r.Snapshot().Services
		slices.SortFunc(s, func(a, b status.Service) int { return strings.Compare(b.Name, a.Name) })
		if u, o := s[0].Methods[0].TimeoutSeconds, s[1].Methods[0].TimeoutSeconds; u != users || o != orders {
			t.Errorf("timeouts %v of Users and %v of Orders, want %v and %v", u, o, users, orders)
		}
	}
	expect(5, 5)
	r.write("users.policy.yaml", "timeout: 2s\n")
	r.reload(config("5s"))
	expect(2, 5)
	for _, broken := range []string{"timeout: 2\n", "timeout: [\n", "methods: {gone: {}}\n", "idl: other.thrift\n"} {
		r.write("users.policy.yaml", broken)
		r.reload(config("6s"), "Users")
		expect(2, 6)
	}
	r.remove("users.policy.yaml")
	r.reload(config("6s"))
	expect(6, 6)
}
