//go:build linux

package faults

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// What may happen to the program itself. Reloads, upgrades and certificates have tests of their own; the rows name them.
func TestLifecycle(t *testing.T) {
	t.Run("drain timeout", drainTimeout)
	t.Run("double signal", doubleSignal)
	t.Run("log disk full", logDiskFull)
}

// instance is the program, running, with ThriftPy2 servers of Faulty.
type instance struct {
	*peertest.Process
	front, health, state string
}

// launch starts the program over so many replicas. top is more of the config's top level; redirect is for the shell that starts it.
func launch(t *testing.T, replicas int, top, redirect string, prepare func(state string)) *instance {
	t.Helper()
	peertest.Require(t)
	dir := shortDir(t)
	p := &instance{front: peertest.FreePort(t), health: peertest.FreePort(t), state: filepath.Join(dir, "state")}
	if prepare != nil {
		prepare(p.state)
	}
	l, path := peertest.ThriftPy2, filepath.Join(dir, "thriftloom.yaml")
	write(t, path, fmt.Sprintf(`
%s
state: %q
health: %q
services:
  Faulty:
    idl: %q
    listen: %q
    timeout: 1m
    upstream: {run: {command: [%q, %q, --library, %s, "{socket}"], replicas: %d, stop_timeout: 1s}, server: threaded}
`, top, p.state, p.health, peertest.File("faulty.thrift"), p.front, l.Python, peertest.File("faulty_server.py"), l.Name, replicas))
	p.Process = peertest.Start(t, "/bin/sh", "-c", fmt.Sprintf("exec %q up -c %q %s", program(t), path, redirect))
	peertest.Eventually(t, "calls are answered", func() bool {
		c, err := net.Dial("tcp", p.front)
		if err != nil {
			return false
		}
		_ = c.Close()
		return connect(t, p.front).call("ping", []byte{0}) == "OK"
	})
	return p
}

// busy makes a call that takes half a minute, and returns what becomes of it.
func (p *instance) busy(t *testing.T) (result chan string) {
	t.Helper()
	c, result := connect(t, p.front), make(chan string, 1)
	go func() { result <- c.call("sleep", number(30_000)) }()
	peertest.Eventually(t, "the call is taken", func() bool {
		r, err := http.Get("http://" + p.health + "/metrics")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		http.DefaultClient.CloseIdleConnections()
		return err == nil && strings.Contains(string(text), `thriftloom_calls_in_flight{service="Faulty"} 1`)
	})
	return result
}

// gone checks how the program ended, and that nothing of it is left.
func (p *instance) gone(t *testing.T, code int, call chan string) {
	t.Helper()
	if got := p.Wait(t, 20*time.Second); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	if left := p.Left(); len(left) > 0 {
		t.Errorf("processes %v are left behind", left)
	}
	select {
	case got := <-call:
		if got == "OK" {
			t.Error("the call of half a minute was answered")
		}
	case <-time.After(10 * time.Second):
		t.Error("the caller still waits, and the program has ended")
	}
}

// A call that takes longer than the drain does not hold the program: it exits with 1 and leaves no process behind.
func drainTimeout(t *testing.T) {
	p := launch(t, 2, "drain: {timeout: 500ms}", "", nil)
	call := p.busy(t)
	p.Signal(t, syscall.SIGTERM)
	p.gone(t, 1, call)
}

// A second signal cuts the drain short: the program exits with 1 soon and leaves no process behind.
func doubleSignal(t *testing.T) {
	p := launch(t, 2, "drain: {timeout: 10m}", "", nil)
	call := p.busy(t)
	p.Signal(t, syscall.SIGTERM)
	p.Signal(t, syscall.SIGINT) // another one: two of a kind that come at once may be one
	p.gone(t, 1, call)
}

// With the disk full that holds the replicas' logs, their output is lost, which is told once, and no call is; so too where the program's
// own log cannot be written.
func logDiskFull(t *testing.T) {
	full := func(state string) { // every write to it fails with ENOSPC
		log := filepath.Join(state, "log")
		if err := os.MkdirAll(log, 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := os.Symlink("/dev/full", filepath.Join(log, fmt.Sprintf("Faulty-%d.log", i+1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	calls := func(t *testing.T, p *instance, enough func() bool) {
		t.Helper()
		for i, end := 0, time.Now().Add(30*time.Second); i < 30 || !enough() && time.Now().Before(end); i++ { // each writes a traceback
			if got := connect(t, p.front).call("misbehave", behaviour("nothing_known", 0)); got != "HANDLER_FAILED" {
				t.Errorf("call %d that raises: %s", i, got)
			}
			if got := connect(t, p.front).call("sleep", number(1)); got != "OK" {
				t.Errorf("call %d: %s", i, got)
			}
		}
		p.Signal(t, syscall.SIGTERM)
		if code := p.Wait(t, time.Minute); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if left := p.Left(); len(left) > 0 {
			t.Errorf("processes %v are left behind", left)
		}
	}
	t.Run("of the replicas", func(t *testing.T) {
		p := launch(t, 2, "", "", full)
		told := func() int { return strings.Count(p.Output(), "output cannot be kept") }
		calls(t, p, func() bool { return told() >= 2 })
		out := p.Output()
		if n := told(); n != 2 || !strings.Contains(out, "no space left on device") {
			t.Errorf("it was told %d times, want once for each replica", n)
		}
		if !strings.Contains(out, "AttributeError") {
			t.Error("the output does not show what the log files have lost")
		}
	})
	t.Run("of the program", func(t *testing.T) {
		calls(t, launch(t, 2, "", "2>/dev/full >/dev/full", full), func() bool { return true })
	})
}
