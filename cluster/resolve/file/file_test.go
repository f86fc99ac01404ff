package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/cluster/resolve/resolvetest"
	"github.com/thriftloom/thriftloom/internal/filewatch"
	"github.com/thriftloom/thriftloom/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns the resolver of a new file, which reacts soon.
func open(t *testing.T, text string) (r *Resolver, path string) {
	path = filepath.Join(t.TempDir(), "endpoints.yaml")
	write(t, path, text)
	r = New(path, nil)
	r.pace = filewatch.Config{Quiet: 10 * time.Millisecond, Look: 200 * time.Millisecond}
	return r, path
}

// write replaces the file in one step.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

const one = "endpoints: [\"127.0.0.1:6001\"]\n"

// A file passes the kit; what breaks it is a mistake in it.
func TestFile(t *testing.T) {
	resolvetest.Run(t, func(t *testing.T) resolvetest.Source {
		r, path := open(t, one)
		return resolvetest.Source{
			Resolver: r,
			Set: func(all []rpc.Endpoint) {
				text := "endpoints:\n"
				for _, e := range all {
					text += fmt.Sprintf("  - {address: %q, zone: %q", e.Address, e.Zone)
					for name, value := range e.Labels.Map() {
						text += fmt.Sprintf(", labels: {%s: %s}", name, value)
					}
					if e.Slots > 0 {
						text += fmt.Sprintf(", slots: %d", e.Slots)
					}
					if e.Drained {
						text += ", weight: 0"
					} else if e.Weight > 0 {
						text += fmt.Sprintf(", weight: %d", e.Weight)
					}
					text += "}\n"
				}
				if len(all) == 0 {
					text = "endpoints: []\n"
				}
				write(t, path, text)
			},
			Break: func() { write(t, path, "endpoints: [\"127.0.0.1\"\n") },
			Mend:  func() { write(t, path, one) },
		}
	})
}

// A file that is removed is a failure, not an empty answer; one that comes is taken, and so is one whose folder is replaced.
func TestFileComesAndGoes(t *testing.T) {
	r, path := open(t, one)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	h := resolvetest.Listen(t, r)
	h.Fails()
	write(t, path, one)
	first := rpc.Endpoint{Address: "127.0.0.1:6001", Name: "127.0.0.1:6001"}
	h.Names(first)
	if err := os.Rename(path, path+".gone"); err != nil {
		t.Fatal(err)
	}
	h.Fails()
	if err := os.Rename(path+".gone", path); err != nil {
		t.Fatal(err)
	}
	h.Names(first)
	if err := os.WriteFile(path, []byte("endpoints: [\"127.0.0.9:6001\"]"), 0o600); err != nil { // in place
		t.Fatal(err)
	}
	h.Names(rpc.Endpoint{Address: "127.0.0.9:6001", Name: "127.0.0.9:6001"})
}

// Every mistake of a file is told with its place, and nothing of the file is taken; what is half written is one of them.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "e.yaml:1:1: endpoints: is missing: a list of endpoints, which may be empty: []"},
		{"half", "endpo", "e.yaml:1:1: yaml: the document has to be a block of keys, and is a text"},
		{"null", "endpoints:\n", "e.yaml:1:11: endpoints: is missing: a list of endpoints, which may be empty: []"},
		{"unknown", "endpoints: [{address: \"a:1\", wait: 2}]", `e.yaml:1:30: endpoints[0].wait: unknown key`},
		{"several", "endpoints:\n  - a\n  - {address: \"a:1\", slots: 0}\n  - {}\n  - {address: \"a:1\", weight: 1001}",
			`e.yaml:2:5: endpoints[0]: address "a": want host:port or unix:/path; e.yaml:3:29: endpoints[1].slots: 0 is less than 1; ` +
				`e.yaml:4:5: endpoints[2]: address "": want host:port or unix:/path; e.yaml:5:30: endpoints[3].weight: 1001 is more than 1000`},
		{"a list", "- \"a:1\"", "e.yaml:1:1: yaml: the document has to be a block of keys, and is a list"},
	} {
		all, err := parse("e.yaml", []byte(c.text))
		if err == nil || err.Error() != c.want || all != nil {
			t.Errorf("%s: %v, %v, want %s", c.name, all, err, c.want)
		}
	}
	_, err := parse("e.yaml", []byte("endpoints: ["+strings.Repeat("a, ", 20)+"]"))
	if err == nil || !strings.HasSuffix(err.Error(), "; and 15 more") {
		t.Errorf("many mistakes: %v", err)
	}
}

// JSON is YAML; a path of a unix socket is relative to the file; weight 0 takes no new call.
func TestRead(t *testing.T) {
	_, path := open(t, `{"endpoints": ["unix:run/a.sock", {"address": "10.0.0.1:6000", "weight": 0, "slots": 2, "zone": "b", "labels": {"version": 2, "size": "big"}}]}`)
	got, err := Read(path)
	want := fmt.Sprint([]rpc.Endpoint{
		{Address: "unix:" + filepath.Dir(path) + "/run/a.sock", Name: "unix:" + filepath.Dir(path) + "/run/a.sock"},
		{Address: "10.0.0.1:6000", Name: "10.0.0.1:6000", Slots: 2, Drained: true, Zone: "b", Labels: "size=big,version=2"},
	})
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
}
