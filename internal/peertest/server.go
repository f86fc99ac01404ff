package peertest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// patience bounds the wait for a server's first answer: Python starts in 0.2 s on a machine that has nothing else to do.
const patience = 30 * time.Second

// Serve runs server.py over TCP until the test ends and returns its address once it answers.
func (l Library) Serve(t testing.TB, kind transport.Kind) string {
	t.Helper()
	return l.ServeAt(t, kind, FreePort(t))
}

// ServeAt is Serve at an address: "host:port" or "unix:/path".
func (l Library) ServeAt(t testing.TB, kind transport.Kind, address string) string {
	t.Helper()
	p := Start(t, l.Python, File("server.py"), "--library", l.Name, "--transport", kind.String(), address)
	Await(t, address, kind, p)
	return address
}

// Process is a program that runs in a process group of its own until the test ends.
type Process struct {
	PID  int
	cmd  *exec.Cmd
	mark string // in the environment of the process and of all that it starts
	out  output
	done chan struct{}
}

var started atomic.Int64

// Start starts a program. What it wrote is logged where the test fails; what is left of its group is killed when the test ends, and so is
// what it started in other groups.
func Start(t testing.TB, program string, args ...string) *Process {
	t.Helper()
	return StartWith(t, func(*exec.Cmd) {}, program, args...)
}

// StartWith is Start where more of the command is to be set: its environment is added to, and has the test's already.
func StartWith(t testing.TB, set func(*exec.Cmd), program string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(program, args...), mark: fmt.Sprintf("PEERTEST=%d.%d", os.Getpid(), started.Add(1)), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), p.mark)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	ownGroup(p.cmd)
	p.cmd.WaitDelay = time.Second // a child that escaped may hold the pipe
	set(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.PID = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		kill(-p.PID)
		<-p.done
		for _, pid := range p.Left() {
			kill(pid)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", filepath.Base(program), p.Output())
		}
	})
	return p
}

// Signal sends the process, not its group, a signal.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Wait returns the exit code once the process has ended, -1 where a signal ended it.
func (p *Process) Wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatalf("process %d still runs after %v", p.PID, limit)
		return -1
	}
}

// Kill kills the process and what is left of its group, and returns when it has ended.
func (p *Process) Kill() {
	kill(-p.PID)
	<-p.done
}

// Output returns what the process has written so far, both streams together.
func (p *Process) Output() string { return p.out.String() }

// Left returns the processes that this one has started, or they, and that still run. It knows them by their environment.
func (p *Process) Left() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		env, err := os.ReadFile(f)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && pid != p.PID && bytes.Contains(append(env, 0), []byte(p.mark+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// output is a buffer for what a process writes while others read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// FreePort returns an address of the loopback interface at which nobody listens. It is below the ports that systems take for connections
// that go out, of which a test has thousands: one of those would be taken again before the server that it is for has it.
func FreePort(t testing.TB) string {
	t.Helper()
	const first, end = 10_000, 32_000
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(end-first))
		if _, given := ports.LoadOrStore(address, true); given {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// ports are those that FreePort has given.
var ports sync.Map

// FreeUDP is FreePort for UDP.
func FreeUDP(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().String()
}

// Socket returns the address of a unix socket that is not there yet, in a folder whose path is short enough for one.
func Socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return "unix:" + filepath.Join(dir, "s")
}

// Await returns when the server at address answers. p is the process that serves there; nil: none that is known.
func Await(t testing.TB, address string, kind transport.Kind, p *Process) {
	t.Helper()
	await(t, address, kind, "", p)
}

// await is Await with the method that is called, "" for one that no service has.
func await(t testing.TB, address string, kind transport.Kind, method string, p *Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	engine, ended := netio.NewPortable(), make(chan struct{})
	go func() {
		defer close(ended)
		_ = engine.Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	var died <-chan struct{}
	if p != nil {
		died = p.done
	}
	cfg := client.Config{Wire: transport.Wire{Kind: kind, Protocol: wire.Binary}}
	for {
		once, cancel := context.WithTimeout(ctx, time.Second)
		err := client.Probe(once, engine, address, cfg, method)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-died:
			t.Fatalf("the server of %s ended: %s", address, p.Output())
		case <-ctx.Done():
			t.Fatalf("the server of %s does not answer: %v", address, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return fmt.Sprintf("(%s)", lines[len(lines)-1])
}
