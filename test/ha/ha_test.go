//go:build linux

// Package ha runs examples/ha, two gateways at one address, with real ThriftPy2 servers and plain ThriftPy clients that reconnect, and shows what
// docs/guides/high-availability.md says of each failure.
package ha

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if path, _ := program(); path != "" {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		os.Exit(code)
	}))
}

// program builds thriftloom once and returns its path.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "thriftloom-ha")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "thriftloom")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/thriftloom/thriftloom/cmd/thriftloom").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// example is a file of examples/ha.
func example(name string) string { return filepath.Join(peertest.Root(), "examples/ha", name) }

// pair is the example, with ports and a folder of its own.
type pair struct {
	*testing.T
	front    string // the one address
	admin    [2]string
	env      []string
	gateways [2]*peertest.Process
	clients  int // that were started
}

// newPair starts two servers and two gateways.
func newPair(t *testing.T) *pair {
	t.Helper()
	peertest.Require(t)
	p := &pair{T: t, front: peertest.FreePort(t), admin: [2]string{peertest.FreePort(t), peertest.FreePort(t)}}
	p.env = []string{
		"PORT=" + port(p.front), "ADMIN_A=" + port(p.admin[0]), "ADMIN_B=" + port(p.admin[1]),
		"STATE=" + filepath.Dir(strings.TrimPrefix(peertest.Socket(t), "unix:")),
	}
	for i := range 2 {
		address := peertest.FreePort(t)
		server := peertest.Start(t, peertest.ThriftPy2.Python, filepath.Join(peertest.Root(), "examples/users/server.py"), port(address))
		peertest.Await(t, address, transport.Buffered, server)
		p.env = append(p.env, fmt.Sprintf("SERVER_%d=%s", i+1, port(address)))
	}
	for i := range p.gateways {
		p.gateways[i] = p.start(i)
		p.await(p.gateways[i])
	}
	return p
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// start starts gateway i.
func (p *pair) start(i int) *peertest.Process {
	p.Helper()
	path, err := program()
	if err != nil {
		p.Fatal(err)
	}
	file := example([]string{"gateway-a.yaml", "gateway-b.yaml"}[i])
	return peertest.StartWith(p.T, func(c *exec.Cmd) { c.Env = append(c.Env, p.env...) }, path, "up", "-c", file)
}

// await returns once a gateway serves.
func (p *pair) await(g *peertest.Process) {
	p.Helper()
	peertest.Eventually(p, "the gateway is ready", func() bool { return strings.Contains(g.Output(), "ready: "+p.front) })
}

// connections is how many callers' connections gateway i has.
func (p *pair) connections(i int) (n int) {
	for _, l := range peertest.Snapshot(p.admin[i]).Listeners {
		n += l.Connections
	}
	return n
}

// tally is what client.py says.
type tally struct {
	Calls, Opened, Failed int
	Last                  []string
}

// client is client.py at work.
type client struct {
	*peertest.Process
	t *testing.T
}

// connections is how many a client has: by chance all of them are at one gateway once in 2^23 runs.
const connections = 24

// call starts a client and returns when it has connections to both gateways.
func (p *pair) call(flags ...string) *client {
	p.Helper()
	args := append([]string{example("client.py"), "--connections", fmt.Sprint(connections)}, flags...)
	c := &client{peertest.Start(p.T, peertest.ThriftPy2.Python, append(args, port(p.front))...), p.T}
	p.clients++
	peertest.Eventually(p, "the client has its connections", func() bool {
		return c.tally().Opened >= connections && p.connections(0)+p.connections(1) == p.clients*connections
	})
	if p.connections(0) == 0 || p.connections(1) == 0 {
		p.Fatalf("one gateway has no connection: %d and %d", p.connections(0), p.connections(1))
	}
	c.more(100)
	return c
}

// tally is what the client has said last.
func (c *client) tally() (last tally) {
	for line := range strings.Lines(c.Output()) {
		var next tally
		if json.Unmarshal([]byte(line), &next) == nil {
			last = next
		}
	}
	return last
}

// more returns when so many more calls have ended.
func (c *client) more(calls int) {
	c.t.Helper()
	until := c.tally().Calls + calls
	peertest.Eventually(c.t, fmt.Sprintf("%d more calls", calls), func() bool { return c.tally().Calls >= until })
}

// reopened returns when the client has opened so many connections anew, and then had no failure for 300 calls; and how many calls failed.
func (c *client) reopened(n int) tally {
	c.t.Helper()
	peertest.Eventually(c.t, fmt.Sprintf("%d new connections", n), func() bool { return c.tally().Opened >= connections+n })
	c.more(100) // of connections that were opened twice
	before := c.tally()
	c.more(300)
	after := c.tally()
	if after.Failed != before.Failed {
		c.t.Errorf("%d calls fail though every connection is a new one: %v", after.Failed-before.Failed, after.Last)
	}
	return after
}

// A gateway is killed under load. One call fails on each connection that it had, and no other; the client's next connections are at the
// other gateway. It is started again, and takes part at once.
func TestKilled(t *testing.T) {
	p := newPair(t)
	c := p.call()
	had := p.connections(0)
	p.gateways[0].Signal(t, syscall.SIGKILL)
	p.gateways[0].Wait(t, time.Minute)
	got := c.reopened(had)
	// A new connection may come to the one that dies while the kernel is at closing what it had.
	if got.Failed < 1 || got.Failed > 2*had || got.Opened != connections+got.Failed {
		t.Errorf("%d calls failed and %d connections were opened; it had %d: %v", got.Failed, got.Opened, had, got.Last)
	}
	if p.connections(1) != connections {
		t.Errorf("the other gateway has %d connections", p.connections(1))
	}
	t.Logf("it had %d of %d connections, and %d calls failed: %v", had, connections, got.Failed, got.Last)

	p.await(p.start(0))
	p.call()
	c.more(100)
	if again := c.tally(); again.Failed != got.Failed {
		t.Errorf("%d calls failed when it was started again: %v", again.Failed-got.Failed, again.Last)
	}
}

// A gateway is told to end (SIGTERM). What it works at is answered; its connections close between two calls, so that the next call on each fails
// or, where the client looks first, none does. New connections are at the other one from the first moment.
func TestDrained(t *testing.T) {
	p := newPair(t)
	c := p.call()
	had := p.connections(0)
	p.gateways[0].Signal(t, syscall.SIGTERM)
	if code := p.gateways[0].Wait(t, time.Minute); code != 0 {
		t.Errorf("it exited with %d: something was cut:\n%s", code, p.gateways[0].Output())
	}
	got := c.reopened(had)
	if got.Failed > 2*had || got.Opened != connections+got.Failed || p.connections(1) != connections {
		t.Errorf("%d calls failed and %d connections were opened; it had %d: %v", got.Failed, got.Opened, had, got.Last)
	}
	t.Logf("it had %d of %d connections, and %d calls failed: %v", had, connections, got.Failed, got.Last)
}

// A gateway is replaced (`up` once more). No client notices: no call fails, no connection is opened. The other one is not touched.
func TestReplaced(t *testing.T) {
	p := newPair(t)
	c := p.call()
	had := p.connections(0)
	next := p.start(0)
	p.await(next)
	if code := p.gateways[0].Wait(t, time.Minute); code != 0 {
		t.Errorf("the one that was replaced exited with %d:\n%s", code, p.gateways[0].Output())
	}
	c.more(300)
	if got := c.tally(); got.Failed != 0 || got.Opened != connections {
		t.Errorf("%d calls failed and %d connections were opened: %v", got.Failed, got.Opened, got.Last)
	}
	if n := p.connections(0); n != had {
		t.Errorf("the next one has %d connections, and there were %d", n, had)
	}
}

// A gateway stands still (SIGSTOP; a host that is gone looks alike to those who are connected). Calls there end by the client's own timeout,
// and so may a new connection's, since the kernel goes on giving it its part: the other connections are served meanwhile. It goes on, and all are.
func TestStandsStill(t *testing.T) {
	p := newPair(t)
	c := p.call("--timeout", "1000")
	p.gateways[0].Signal(t, syscall.SIGSTOP)
	peertest.Eventually(t, "calls time out", func() bool { return c.tally().Failed > 0 })
	for _, how := range c.tally().Last {
		if !strings.Contains(how, "timed out") {
			t.Errorf("a call failed with %s", how)
		}
	}
	done := c.tally()
	peertest.Eventually(t, "others are answered meanwhile", func() bool {
		now := c.tally()
		return now.Calls-now.Failed > done.Calls-done.Failed+100
	})
	p.gateways[0].Signal(t, syscall.SIGCONT)
	quiet := c.tally().Failed
	peertest.Eventually(t, "300 calls without a failure", func() bool {
		before := c.tally()
		c.more(300)
		quiet = c.tally().Failed - before.Failed
		return quiet == 0
	})
}

// Both are down: connections are refused at once, by the machine. One is started, and serves.
func TestBothDown(t *testing.T) {
	p := newPair(t)
	c := p.call()
	for _, g := range p.gateways {
		g.Signal(t, syscall.SIGKILL)
	}
	peertest.Eventually(t, "connections are refused", func() bool {
		last := c.tally().Last
		return len(last) == 10 && strings.Contains(strings.Join(last[9:], ""), "Could not connect")
	})
	p.await(p.start(1))
	peertest.Eventually(t, "all connections are at the one that serves", func() bool { return p.connections(1) == connections })
	before := c.tally()
	c.more(300)
	if got := c.tally(); got.Failed > before.Failed+connections { // what was said last may be half a second old
		t.Errorf("%d calls failed: %v", got.Failed-before.Failed, got.Last)
	}
}

// A second gateway without reuse_port is told that the address is in use; the pair goes on.
func TestNotShared(t *testing.T) {
	p := newPair(t)
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := fmt.Sprintf("listen: %q\nstate: %q\nservices: {Users: {idl: %q, timeout: 1s, upstream: {endpoints: [\"127.0.0.1:1\"]}}}\n",
		p.front, dir, filepath.Join(peertest.Root(), "examples/users/users.thrift"))
	file := filepath.Join(dir, "thriftloom.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	third := peertest.Start(t, path, "up", "-c", file)
	if code := third.Wait(t, time.Minute); code != 1 || !strings.Contains(third.Output(), "address already in use") {
		t.Errorf("it exited with %d:\n%s", code, third.Output())
	}
	c := p.call()
	if got := c.tally(); got.Failed != 0 {
		t.Errorf("%d calls failed: %v", got.Failed, got.Last)
	}
}
