package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

// served is a kind of server as a test starts it, and as the config names it.
type served struct {
	name   string
	kind   peertest.Kind
	server string // the key `server`, and what else of `upstream` there is to say
	slots  int
	flags  []string
	loop   bool // one process works on many calls at once
}

// everyKind is each kind of Python server. Those that serve one connection at a time have as many slots as workers.
var everyKind = []served{
	{name: "threaded", kind: peertest.Threaded, server: "threaded", slots: 3},
	{name: "simple", kind: peertest.Simple, server: "simple", slots: 1},
	{name: "multiplexed", kind: peertest.Multiplexed, server: "threaded, multiplexed: true", slots: 3},
	{name: "aio", kind: peertest.Aio, server: "aio", slots: 3, loop: true},
	{name: "tornado", kind: peertest.Tornado, server: "tornado", slots: 3, loop: true},
	{name: "gunicorn_thrift sync", kind: peertest.GunicornThriftSync, server: "gunicorn-sync", slots: 2, flags: []string{"--workers", "2"}},
	{name: "gunicorn_thrift gevent", kind: peertest.GunicornThriftGevent, server: "gunicorn-gevent", slots: 3, loop: true},
	{name: "gunicorn sync", kind: peertest.GunicornSync, server: "gunicorn-sync", slots: 2, flags: []string{"--workers", "2"}},
	{name: "gunicorn async", kind: peertest.GunicornAsync, server: "gunicorn-async", slots: 3, loop: true},
}

// gaps are the pauses between two calls of a caller: from below to beyond every limit that a kind of server has.
var gaps = []time.Duration{
	500 * time.Millisecond, 1000 * time.Millisecond, 1500 * time.Millisecond, 2000 * time.Millisecond, 2500 * time.Millisecond,
	3000 * time.Millisecond, 3500 * time.Millisecond, 4000 * time.Millisecond, 4500 * time.Millisecond, 5000 * time.Millisecond,
}

// front is the whole program before one server of each kind.
type front struct {
	servers []*peertest.Server // by kind
	up      *peertest.Process
	admin   string
	file    strings.Builder
	dir     string
}

// newFront starts the servers. The services are to be added, then the program started.
func newFront(t *testing.T, kinds []served) *front {
	t.Helper()
	f := &front{admin: peertest.FreePort(t), servers: make([]*peertest.Server, len(kinds))}
	f.dir = filepath.Dir(strings.TrimPrefix(peertest.Socket(t), "unix:"))
	fmt.Fprintf(&f.file, "admin: %q\ndefaults: {timeout: 20s, queue: {max_wait: 20s}}\nservices:\n", f.admin)
	for i, k := range kinds {
		f.servers[i] = k.kind.Start(t, peertest.FreePort(t), k.flags...)
	}
	for _, s := range f.servers {
		s.Await(t)
	}
	return f
}

// service adds a service with an upstream of its own to a server, and returns where it listens.
func (f *front) service(label string, k served, s *peertest.Server, slots int) string {
	listen := filepath.Join(f.dir, label)
	fmt.Fprintf(&f.file, "  %s: {service: Kinds, idl: %s, listen: %q, upstream: {endpoints: [%q], slots: %d, server: %s}}\n",
		label, peertest.File("kinds.thrift"), "unix:"+listen, s.Address, slots, k.server)
	return "unix:" + listen
}

// start runs the program until the test ends.
func (f *front) start(t *testing.T) {
	t.Helper()
	path := filepath.Join(f.dir, "thriftloom.yaml")
	writeFile(t, path, f.file.String())
	f.up = peertest.Start(t, program(t), "up", "-c", path)
	peertest.Eventually(t, "the program is ready", func() bool {
		return exec.Command("curl", "-fs", "http://"+f.admin+"/readyz").Run() == nil
	})
}

// Behind every kind of server a caller may pause for as long as it likes, whoever else is at work: ThriftPy2, the original ThriftPy and Go
// call after each of ten gaps between 0.5 s and 5 s, over connections to the server that nobody else uses, and none meets an error.
// It is the gateway that ends those connections, before the server does.
func TestEveryGapBehindEveryKind(t *testing.T) {
	peertest.Require(t)
	const lasts = 5600 * time.Millisecond
	f := newFront(t, everyKind)
	type caller struct {
		address string
		gap     time.Duration
	}
	alone := map[string][]caller{}
	var busy []string
	for i, k := range everyKind {
		for _, who := range []string{"go", "thriftpy2", "thriftpy"} {
			for n, gap := range gaps {
				alone[who] = append(alone[who], caller{f.service(fmt.Sprintf("k%d-%s-%d", i, who, n), k, f.servers[i], 1), gap})
			}
		}
		busy = append(busy, f.service(fmt.Sprintf("k%d-busy", i), k, f.servers[i], k.slots))
	}
	f.start(t)

	var all sync.WaitGroup
	var answered atomic.Int64
	failed := failures{kinds: make([][]string, len(everyKind))}
	for _, l := range peertest.Libraries {
		all.Go(func() {
			args := []string{peertest.File("gaps.py"), "--library", l.Name, "--seconds", fmt.Sprint(lasts.Seconds())}
			for _, c := range alone[l.Name] {
				args = append(args, fmt.Sprintf("%s=%g", c.address, c.gap.Seconds()))
			}
			out, err := exec.Command(l.Python, args...).CombinedOutput()
			var n int64
			text, calls, _ := strings.Cut(string(out), "calls ")
			if _, scan := fmt.Sscan(calls, &n); err != nil || scan != nil {
				t.Errorf("%s: %v\n%s", l.Name, err, out)
			}
			for line := range strings.Lines(text) {
				failed.add(t, l.Name+": "+strings.TrimSpace(line))
			}
			answered.Add(n)
		})
	}
	end := time.Now().Add(lasts)
	call := func(k *kinds, want string, pause time.Duration) {
		if got, err := k.EchoString(context.Background(), want); err != nil || got != want {
			failed.add(t, fmt.Sprintf("go: %s: %q, %v", want, got, err))
		}
		answered.Add(1)
		time.Sleep(pause)
	}
	for _, c := range alone["go"] {
		k := dial(t, c.address, 1)
		all.Go(func() {
			for n := 0; n < 2 || time.Now().Before(end); n++ {
				call(k, fmt.Sprintf("%s after %v", c.address, c.gap), c.gap)
			}
		})
	}
	for _, address := range busy {
		k := dial(t, address, 2)
		for range 2 {
			all.Go(func() {
				for time.Now().Before(end) {
					call(k, address, 25*time.Millisecond)
				}
			})
		}
	}
	all.Wait()
	t.Logf("%d calls", answered.Load())
	time.Sleep(3 * time.Second) // the last connections are to be ended too, by one side or the other
	for i, k := range everyKind {
		t.Run(k.name, func(t *testing.T) {
			for _, what := range failed.kinds[i] {
				t.Error(what)
			}
			judge(t, f.servers[i].Seen(t).Connections)
		})
	}
}

// failures is what failed, by kind.
type failures struct {
	mu    sync.Mutex
	kinds [][]string
}

// add notes what failed, which has the address of the service in it.
func (f *failures) add(t *testing.T, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var kind int
	if _, err := fmt.Sscanf(what[strings.Index(what, "/k")+1:], "k%d-", &kind); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	f.kinds[kind] = append(f.kinds[kind], what)
}

// judge looks at what a server has seen of connections.
func judge(t *testing.T, seen []peertest.Connection) {
	var longest time.Duration
	byServer, open := 0, 0
	for _, c := range seen {
		longest = max(longest, c.Closed-c.Open)
		switch c.By {
		case "server":
			byServer++
		case "":
			open++
		}
	}
	t.Logf("%d connections, the longest %.2fs; %d ended by the server, %d open", len(seen), longest.Seconds(), byServer, open)
	if 10*byServer > len(seen) || open > 0 { // a machine that is busy elsewhere may be late for one
		t.Errorf("of %d connections the server ended %d, and %d are open", len(seen), byServer, open)
	}
}

// Callers that know nothing of the server's kind get every answer that ThriftPy's own threaded server gives them: every case of client.py,
// oneways, exceptions and handlers that fail among them.
func TestEveryCaseBehindEveryKind(t *testing.T) {
	peertest.Require(t)
	for _, k := range everyKind {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := k.kind.Serve(t, peertest.FreePort(t), append(k.flags, "--record", filepath.Join(t.TempDir(), "record"))...)
			listen := peertest.FreePort(t)
			g := peertest.StartGateway(t, config(listen, fmt.Sprintf(
				"unknown_methods: refuse, upstream: {endpoints: [%q], slots: %d, server: %s}", s.Address, k.slots, k.server)))
			g.AwaitReady(t, "")
			peertest.ThriftPy2.Call(t, transport.Buffered, peertest.CrashException, listen)
			peertest.Eventually(t, "no slot is taken any more", func() bool { return g.Snapshot().Clusters[0].Endpoints[0].InFlight == 0 })
		})
	}
}
