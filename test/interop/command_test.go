package interop

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// command is the program, and how it is run.
type command struct{ path string }

// run runs `thriftloom call` and returns what it wrote, and its exit code.
func (c command) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.path, append([]string{"call", "-i", peertest.File("kinds.thrift"), "--timeout", "20s"}, args...)...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	var exit *exec.ExitError
	if failed := cmd.Run(); errors.As(failed, &exit) {
		code = exit.ExitCode()
	} else if failed != nil {
		t.Fatal(failed)
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(err.String()), code
}

// `thriftloom call` calls real servers in every transport and protocol that they have, and finds out by itself whether one speaks buffered
// or framed.
func TestCallEveryWire(t *testing.T) {
	programs := peertest.Programs(t)
	c := command{filepath.Join(t.TempDir(), "thriftloom")}
	if out, err := exec.Command("go", "build", "-o", c.path, "github.com/thriftloom/thriftloom/cmd/thriftloom").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, name := range []string{"thriftpy2", "apache-python", "apache-go"} {
		i := slices.IndexFunc(peers, func(p peer) bool { return p.name == name })
		var names []string
		ways := map[string]way{}
		for _, w := range peers[i].ways() {
			if peers[i].has(asServer, w) && w.transport != "headerzlib" { // which callers choose, not servers
				names, ways[w.String()] = append(names, w.String()), w
			}
		}
		for wire, address := range programs[name].Serve(t, names) {
			t.Run(name+"/"+wire, func(t *testing.T) {
				c.calls(t, ways[wire], address)
				if kind := ways[wire].transport; name != "apache-go" && (kind == "buffered" || kind == "framed") {
					// Apache's Go server is not asked: a panic in a connection's goroutine, here at a message in the other transport, ends
					// its process (TSimpleServer.innerAccept, simple_server.go: nothing recovers).
					c.finds(t, ways[wire], address)
				}
			})
		}
	}
}

// calls makes calls of each kind over one wire.
func (c command) calls(t *testing.T, w way, address string) {
	flags := []string{"--transport", w.transport, "--protocol", w.protocol}
	if w.transport == "http" {
		address = "http://" + address + "/kinds"
		flags = flags[2:]
	}
	if w.multiplexed {
		flags = append(flags, "--multiplexed")
	}
	shape := `{"name":"é","origin":{"x":1,"y":-2},"corners":[{"x":3,"y":4}],"color":"BLUE","marks":{"a":{"x":5,"y":6}},"closed":true}`
	bases := `{"flag":true,"tiny":-128,"small":-300,"medium":70000,"large":9007199254740993,"real":0.1,"text":"x","raw":"/wA="}`
	for _, tt := range []struct {
		name, method, args, stdout, stderr string
		code                               int
	}{
		{"void", "Kinds.ping", `{}`, "null", "", 0},
		{"struct", "Kinds/echoShape", `{"value":` + shape + `}`, shape, "", 0},
		{"bases", "Kinds.echoBases", `{"value":` + bases + `}`, bases, "", 0},
		{"exception", "Kinds.refuse", `{"reason":"no","code":7}`, "", `{"exception": "Refused", "value": {"reason":"no","code":7}}`, 3},
		{"oneway", "Kinds.remember", `{"word":"called","millis":0}`, "", "", 0},
	} {
		stdout, stderr, code := c.run(t, append(flags, address, tt.method, tt.args)...)
		if stdout != tt.stdout || stderr != tt.stderr || code != tt.code {
			t.Errorf("%s: exit %d, %q, %q; want exit %d, %q, %q", tt.name, code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}

// finds makes a call without saying which transport.
func (c command) finds(t *testing.T, w way, address string) {
	flags := []string{"--transport", "auto", "--protocol", w.protocol}
	if w.multiplexed {
		flags = append(flags, "--multiplexed")
	}
	if stdout, stderr, code := c.run(t, append(flags, address, "Kinds.echoI32", `{"value":42}`)...); stdout != "42" || code != 0 {
		t.Errorf("auto: exit %d, %q, %q", code, stdout, stderr)
	}
}
