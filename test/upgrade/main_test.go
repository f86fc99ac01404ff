//go:build linux

// Package upgrade shows what docs/guides/upgrade.md promises: the program is replaced while real ThriftPy clients, which know nothing of
// gateways, go on over the connections that they have.
package upgrade

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

var (
	replacements = flag.Int("replacements", 10, "how often the gateway is replaced under load")
	restarts     = flag.Int("restarts", 20, "how often its workers are restarted under load")
)

// TestMain makes this program a process that takes over and dies, where the environment says so.
func TestMain(m *testing.M) {
	if door := os.Getenv("DYING_TAKER"); door != "" {
		takeAndDie(door)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built.Load() {
			path, _ := program()
			_ = os.RemoveAll(filepath.Dir(path))
		}
		os.Exit(code)
	}))
}

var built atomic.Bool

// program builds thriftloom once and returns its path.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "thriftloom-upgrade")
	if err != nil {
		return "", err
	}
	built.Store(true)
	path := filepath.Join(dir, "thriftloom")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/thriftloom/thriftloom/cmd/thriftloom").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// host is one state folder with the programs that run on it, one after the other.
type host struct {
	*testing.T
	path         string // of the config
	state        string // the line of the config that names the state folder
	front, admin string
	up           *peertest.Process // the one that serves
	ups          []*peertest.Process
}

// newHost starts the first program; end ends the last one. config is the rest of the file behind front, admin and state.
func newHost(t *testing.T, config func(h *host) string) *host {
	t.Helper()
	peertest.Require(t)
	dir := filepath.Dir(strings.TrimPrefix(peertest.Socket(t), "unix:"))
	h := &host{T: t, path: filepath.Join(dir, "thriftloom.yaml"), state: "state: state", front: peertest.FreePort(t), admin: peertest.FreePort(t)}
	h.write(config(h))
	h.up = h.start()
	h.await(h.up)
	return h
}

func (h *host) write(config string) {
	h.Helper()
	text := fmt.Sprintf("admin: %q\n%s\n%s", h.admin, h.state, config)
	if err := os.WriteFile(h.path, []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
}

// start starts the program and does not wait for it.
func (h *host) start(flags ...string) *peertest.Process {
	h.Helper()
	path, err := program()
	if err != nil {
		h.Fatal(err)
	}
	p := peertest.Start(h.T, path, append([]string{"up", "-c", h.path}, flags...)...)
	h.ups = append(h.ups, p)
	return p
}

// await returns once the program serves.
func (h *host) await(p *peertest.Process) {
	h.Helper()
	peertest.Eventually(h, "the program is ready", func() bool { return strings.Contains(p.Output(), "ready: "+h.front) })
}

// replace starts the program anew and returns when the one before it has ended, and nothing of it is left.
func (h *host) replace(keep ...int) {
	h.Helper()
	before := h.up
	h.up = h.start()
	h.await(h.up)
	if code := before.Wait(h, time.Minute); code != 0 {
		h.Errorf("the program that was replaced has exited with %d:\n%s", code, before.Output())
	}
	h.nothingLeft(before, keep...)
}

// nothingLeft checks that no process of a program is left but those that are to be kept.
func (h *host) nothingLeft(p *peertest.Process, keep ...int) {
	h.Helper()
	kept := map[int]bool{}
	for _, pid := range keep {
		kept[pid] = true
	}
	for _, pid := range p.Left() {
		if !kept[pid] && !h.isUp(pid) {
			h.Errorf("process %d of the program that has ended is left behind", pid)
		}
	}
}

// isUp reports whether a process is one of the programs that the test has started: one that was started by another is not left behind.
func (h *host) isUp(pid int) bool {
	for _, p := range h.ups {
		if p.PID == pid {
			return true
		}
	}
	return false
}

// end ends the program that serves, and checks that it ends well.
func (h *host) end() {
	if h.Failed() {
		return // the processes are killed
	}
	h.up.Signal(h, syscall.SIGTERM)
	if code := h.up.Wait(h, time.Minute); code != 0 {
		h.Errorf("exit code %d", code)
	}
	for _, p := range h.ups {
		h.nothingLeft(p)
	}
}

func (h *host) snapshot() status.Snapshot { return peertest.Snapshot(h.admin) }

// taken is how many slots are: by calls, and by oneways whose handlers run.
func (h *host) taken() (n int) {
	for _, c := range h.snapshot().Clusters {
		for _, e := range c.Endpoints {
			n += e.InFlight
		}
	}
	return n
}

// ready asks whether the program is ready, and returns why not.
func (h *host) ready() error {
	r, err := peertest.HTTP.Get("http://" + h.admin + "/readyz")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	return nil
}

// pids are the replicas that are ready.
func (h *host) pids() (pids []int) {
	for _, r := range h.snapshot().Replicas {
		if r.State == "ready" {
			pids = append(pids, r.PID)
		}
	}
	return pids
}

// awaitReplicas returns so many ready replicas, none of which is one of old.
func (h *host) awaitReplicas(n int, old ...int) (pids []int) {
	h.Helper()
	peertest.Eventually(h, fmt.Sprintf("%d replicas are ready", n), func() bool {
		pids = h.pids()
		for _, pid := range pids {
			for _, o := range old {
				if pid == o {
					return false
				}
			}
		}
		return len(pids) == n
	})
	return pids
}

// callers is a caller.py.
type callers struct {
	*peertest.Process
	t           *testing.T
	connections int
}

// tally is what callers say of themselves.
type tally struct {
	Calls, Opened, Again, Oneways int
	Failed                        []string
}

func (h *host) call(l peertest.Library, transport string, rate, connections int, flags ...string) *callers {
	h.Helper()
	args := []string{filepath.Join(peertest.Root(), "test/upgrade/caller.py"), "--library", l.Name, "--transport", transport,
		"--rate", fmt.Sprint(rate), "--connections", fmt.Sprint(connections)}
	p := peertest.Start(h.T, l.Python, append(append(args, flags...), h.front)...)
	c := &callers{Process: p, t: h.T, connections: connections}
	peertest.Eventually(h, "all callers are connected", func() bool { t := c.tally(); return t.Opened >= connections && t.Calls > 2*connections })
	return c
}

// tally returns the last line.
func (c *callers) tally() (t tally) {
	lines := strings.Split(strings.TrimSpace(c.Output()), "\n")
	_ = json.Unmarshal([]byte(lines[len(lines)-1]), &t) // half a line, or none yet
	return t
}

// more returns when so many calls more have been made.
func (c *callers) more(n int) {
	c.t.Helper()
	var from int
	peertest.Eventually(c.t, "the callers have begun", func() bool { from = c.tally().Calls; return from > 0 })
	peertest.Eventually(c.t, fmt.Sprintf("%d calls more", n), func() bool { return c.tally().Calls >= from+n })
}

// unharmed stops the callers and checks that no call has failed and no connection was lost; it returns what they did.
func (c *callers) unharmed() tally {
	c.t.Helper()
	c.Signal(c.t, syscall.SIGTERM)
	c.Wait(c.t, time.Minute)
	t := c.tally()
	for _, f := range t.Failed {
		c.t.Errorf("a call has failed: %s", f)
	}
	if t.Opened != c.connections || t.Calls == 0 {
		c.t.Errorf("%d calls over %d connections, of which %d were opened", t.Calls, c.connections, t.Opened)
	}
	return t
}

// workers is the `upstream:` block of ThriftPy2 servers. label is in their environment: another one is a reason to restart them.
func workers(replicas int, label, more string, flags ...string) string {
	l, command := peertest.ThriftPy2, ""
	for _, f := range flags {
		command += fmt.Sprintf("%q, ", f)
	}
	return fmt.Sprintf(`{run: {command: [%q, %q, --library, %s, %s"{socket}"], replicas: %d, env: {LABEL: %q}%s}, server: threaded}`,
		l.Python, peertest.File("server.py"), l.Name, command, replicas, label, more)
}

// kinds is a config with one service.
func (h *host) kinds(upstream string) string {
	return fmt.Sprintf("defaults: {timeout: 30s, queue: {max_wait: 20s}}\nservices:\n  Kinds: {idl: %s, listen: %q, upstream: %s}\n",
		peertest.File("kinds.thrift"), h.front, upstream)
}

// reload lets the program read its config anew.
func (h *host) reload() {
	h.Helper()
	r, err := peertest.HTTP.Post("http://"+h.admin+"/api/v1/reload", "", nil)
	if err != nil {
		h.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r.Body)
		h.Fatalf("reload: %s %s", r.Status, text)
	}
}
