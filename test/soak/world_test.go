package soak

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

const (
	replicaCount = 3
	slots        = 4
	quietTime    = 10 * time.Second // in the first of which connections are given up
	quietSamples = 200              // to answer them makes garbage, so that what the collector leaves is seen
)

// world is the program with its servers: replicas of ThriftPy2 that it runs, and two of ThriftPy 0.3.9 that it does not.
type world struct {
	*testing.T
	up       *peertest.Process
	config   string
	admin    string
	services map[string]string // address by label
	old      []string          // addresses of the servers that it does not run
	servers  []*peertest.Process

	faults   []Fault
	policies int      // reloads so far
	wrong    []string // every violation
}

// labels are the services. Of Again and OldAgain every method may be called twice.
var labels = []string{"Again", "Once", "OldAgain", "OldOnce"}

func idempotent(label string) bool { return strings.HasSuffix(label, "Again") }

func start(t *testing.T) *world {
	dir, err := os.MkdirTemp("", "soak") // short: unix sockets' paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{T: t, config: filepath.Join(dir, "thriftloom.yaml"), admin: peertest.FreePort(t), services: map[string]string{}}
	t.Cleanup(func() { // the first to be registered is the last to run: behind all that the processes wrote
		for _, v := range w.wrong {
			t.Error(v)
		}
	})
	for _, label := range labels {
		w.services[label] = peertest.FreePort(t)
	}
	for range 2 {
		w.old = append(w.old, peertest.FreePort(t))
		w.servers = append(w.servers, nil)
	}
	for i := range w.old {
		w.serveOld(i)
	}
	w.writeConfig()
	binary := filepath.Join(dir, "thriftloom")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/thriftloom/thriftloom/cmd/thriftloom").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	w.up = peertest.Start(t, binary, "up", "-c", w.config)
	peertest.Eventually(t, "the program is well", func() bool { return w.ill() == "" })
	return w
}

// serveOld starts the i-th of the servers that the program does not run.
func (w *world) serveOld(i int) {
	w.Helper()
	l := peertest.ThriftPy
	w.servers[i] = peertest.Start(w, l.Python, peertest.File("server.py"), "--library", l.Name, w.old[i])
	peertest.Await(w, w.old[i], transport.Buffered, w.servers[i])
}

// writeConfig writes the config, each time with other policies: a reload takes them over.
func (w *world) writeConfig() {
	w.policies++
	l := peertest.ThriftPy2
	var b strings.Builder
	fmt.Fprintf(&b, "admin: %q\ndefaults: {timeout: %ds, queue: {max_wait: 20s, max_calls: %d}}\nupstreams:\n", w.admin, 20+w.policies%2, 1000+w.policies%2)
	fmt.Fprintf(&b, "  new: {run: {command: [%q, %q, --library, %s, \"{socket}\"], replicas: %d}, server: threaded, slots: %d}\n",
		l.Python, peertest.File("server.py"), l.Name, replicaCount, slots)
	fmt.Fprintf(&b, "  old: {endpoints: [%q, %q], server: threaded, slots: %d}\nservices:\n", w.old[0], w.old[1], slots)
	for _, label := range labels {
		upstream, methods := "new", ""
		if strings.HasPrefix(label, "Old") {
			upstream = "old"
		}
		if idempotent(label) {
			methods = ", methods: {echoString: {idempotent: true}, sleep: {idempotent: true}, big: {idempotent: true}, refuse: {idempotent: true}}"
		}
		fmt.Fprintf(&b, "  %s: {service: Kinds, idl: %q, listen: %q, upstream: %s%s}\n", label, peertest.File("kinds.thrift"), w.services[label], upstream, methods)
	}
	if err := os.WriteFile(w.config, []byte(b.String()), 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *world) snapshot() status.Snapshot { return peertest.Snapshot(w.admin) }

// metrics returns the metrics without labels, by name.
func (w *world) metrics() map[string]float64 {
	r, err := peertest.HTTP.Get("http://" + w.admin + "/metrics")
	if err != nil {
		return nil
	}
	defer r.Body.Close()
	all := map[string]float64{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			all[name] = v
		}
	}
	return all
}

// ill says what is not as it is to be when nothing is broken; "" if all is.
func (w *world) ill() string {
	s := w.snapshot()
	ready, endpoints := 0, 0
	for _, r := range s.Replicas {
		if r.State == "ready" {
			ready++
		}
	}
	for _, c := range s.Clusters {
		for _, e := range c.Endpoints {
			if e.State != "up" {
				return fmt.Sprintf("endpoint %s is %s", e.Name, e.State)
			}
			endpoints++
		}
	}
	if ready != replicaCount || endpoints != replicaCount+len(w.old) {
		return fmt.Sprintf("%d replicas are ready, %d endpoints are there", ready, endpoints)
	}
	return ""
}

// complain notes a violation. All are told at the very end.
func (w *world) complain(format string, args ...any) {
	w.wrong = append(w.wrong, time.Now().Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// quiet returns the least that the program holds in some seconds in which nobody calls it.
func (w *world) quiet() Sample {
	var all []Sample
	for range quietSamples {
		time.Sleep(quietTime / quietSamples)
		m := w.metrics()
		if m == nil {
			w.complain("/metrics does not answer")
			continue
		}
		all = append(all, Sample{int(m["go_goroutines"]), int(m["process_open_fds"]), m["process_resident_memory_bytes"]})
	}
	return Least(all)
}

// end ends the program and reports how.
func (w *world) end() {
	w.up.Signal(w, syscall.SIGTERM)
	if code := w.up.Wait(w, time.Minute); code != 0 {
		w.complain("the program ended with %d", code)
	}
	if left := w.up.Left(); len(left) > 0 {
		w.complain("processes %v are left behind", left)
	}
}
