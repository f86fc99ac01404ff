// Package peertest finds the real peers that tests talk to, ThriftPy2 and the original ThriftPy 0.3.9, and runs the programs of
// test/peers with them, as each kind of server that there is.
package peertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Version is the ThriftPy2 that test/peers/setup.sh installs.
const Version = "0.7.1"

// Library is one ThriftPy with the Python that has it.
type Library struct {
	Name   string // as the programs of test/peers name it: thriftpy2 or thriftpy
	Python string // the interpreter's path
}

// The two peers.
var (
	ThriftPy2 = Library{Name: "thriftpy2", Python: python("venv")}
	ThriftPy  = Library{Name: "thriftpy", Python: "/usr/bin/python3"}
	Libraries = []Library{ThriftPy2, ThriftPy}
)

// python is that of a virtual environment of setup.sh.
func python(name string) string { return filepath.Join(cacheDir(), "thriftloom", name, "bin/python") }

func cacheDir() string {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".cache")
}

// missing says what of the peers is not installed, nil where all are.
var missing = sync.OnceValue(func() error {
	var all []error
	for _, p := range []struct{ python, modules string }{
		{ThriftPy2.Python, "thriftpy2.rpc, gunicorn"},
		{ThriftPy.Python, "thriftpy.rpc"},
		{GunicornThriftSync.Python, "gunicorn_thrift, gevent"},
		{Tornado.Python, "thriftpy2.tornado"},
	} {
		if out, err := exec.Command(p.python, "-W", "ignore", "-c", "import "+p.modules).CombinedOutput(); err != nil {
			all = append(all, fmt.Errorf("%s cannot import %s: %w %s", p.python, p.modules, err, lastLine(out)))
		}
	}
	return errors.Join(all...)
})

// Require skips the test where a peer is not installed. With THRIFTLOOM_REQUIRE_PEERS=1 it fails instead, so that CI cannot pass by
// skipping.
func Require(t testing.TB) {
	t.Helper()
	require(t, missing())
}

// RequireProgram is Require for one program of the system, and returns its path.
func RequireProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	require(t, err)
	return path
}

func require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("THRIFTLOOM_REQUIRE_PEERS") == "1":
		t.Fatalf("test/peers/setup.sh installs the peers: %v", err)
	default:
		t.Skipf("test/peers/setup.sh installs the peers: %v", err)
	}
}

// Root returns the folder of the module.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			panic("peertest: no go.mod above " + dir)
		}
		dir = up
	}
}

// File returns the path of a file of test/peers.
func File(name string) string { return filepath.Join(Root(), "test/peers", name) }
