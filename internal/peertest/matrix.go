package peertest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Program is a program of test/peers that serves and calls Kinds over many wires, each TRANSPORT-PROTOCOL[-multiplexed].
type Program struct {
	command []string
	env     []string
}

// Programs returns the programs by the peer's name: thriftpy2, thriftpy, apache-python, apache-cpp, apache-go and node. It builds what is
// to be built, and skips or fails as Require does where one cannot be had.
func Programs(t testing.TB) map[string]Program {
	t.Helper()
	Require(t)
	require(t, missingApache())
	code := generated(t)
	matrix := func(python, library string, flags ...string) Program {
		return Program{command: append([]string{python, "-W", "ignore", File("matrix.py"), "--library", library}, flags...)}
	}
	return map[string]Program{
		"thriftpy2":     matrix(ThriftPy2.Python, ThriftPy2.Name),
		"thriftpy":      matrix(ThriftPy.Python, ThriftPy.Name),
		"apache-python": matrix("/usr/bin/python3", "apache", "--generated", filepath.Join(code, "gen-py")),
		"apache-cpp":    {command: []string{cppProgram(t)}},
		"apache-go":     {command: []string{goProgram(t)}},
		"node": {
			command: []string{"node", File("node/main.js"), filepath.Join(code, "gen-js")},
			env:     []string{"NODE_PATH=" + nodeModules(), "NODE_NO_WARNINGS=1"},
		},
	}
}

func nodeModules() string { return filepath.Join(cacheDir(), "thriftloom/node/node_modules") }

// missingApache says what of Apache's peers is not installed, nil where all are.
func missingApache() error {
	var all []error
	for _, name := range []string{"thrift", "g++", "node", "go"} {
		if _, err := exec.LookPath(name); err != nil {
			all = append(all, err)
		}
	}
	for _, path := range []string{"/usr/include/thrift/Thrift.h", nodeModules() + "/thrift/package.json"} {
		if _, err := os.Stat(path); err != nil {
			all = append(all, err)
		}
	}
	if err := exec.Command("/usr/bin/python3", "-c", "import thrift.Thrift").Run(); err != nil {
		all = append(all, errors.New("/usr/bin/python3 cannot import thrift"))
	}
	return errors.Join(all...)
}

// Serve serves each wire at a port of its own until the test ends, and returns the addresses once it listens.
func (p Program) Serve(t testing.TB, wires []string) (addresses map[string]string) {
	t.Helper()
	addresses = make(map[string]string)
	args := append(p.command[1:len(p.command):len(p.command)], "serve")
	for _, w := range wires {
		addresses[w] = FreePort(t)
		_, port, err := net.SplitHostPort(addresses[w])
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, w+"="+port)
	}
	process := StartWith(t, func(c *exec.Cmd) { c.Env = append(c.Env, p.env...) }, p.command[0], args...)
	Eventually(t, "the server is ready: "+process.Output(), func() bool { return strings.Contains(process.Output(), "ready\n") })
	return addresses
}

// Result is what became of one case over one wire.
type Result struct {
	Wire, Case string
	Why        string // "" where it passed
	None       bool   // the peer has no means for the case; Why says so
}

// Call runs all cases over all wires, given with their addresses, and returns what became of each.
func (p Program) Call(t testing.TB, addresses map[string]string) (all []Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := append(p.command[1:len(p.command):len(p.command)], "call")
	for w, address := range addresses {
		args = append(args, w+"="+address)
	}
	cmd := exec.CommandContext(ctx, p.command[0], args...)
	cmd.Env = append(os.Environ(), p.env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s%s", strings.Join(p.command, " "), err, out, stderr.String())
	}
	for line := range strings.Lines(string(out)) {
		head, why, _ := strings.Cut(strings.TrimSpace(line), ": ")
		words := strings.Fields(head)
		if len(words) != 3 || words[0] != "ok" && words[0] != "FAIL" && words[0] != "none" {
			t.Errorf("%s says %q", p.command[0], line)
			continue
		}
		all = append(all, Result{Wire: words[1], Case: words[2], Why: why, None: words[0] == "none"})
	}
	return all
}
