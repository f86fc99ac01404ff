//go:build unix

package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// fleet is a set of real processes.
type fleet struct {
	t      *testing.T
	set    *Set
	state  string
	ready  chan []rpc.Endpoint
	output *buffer
	end    context.CancelFunc
	done   chan error
}

func launch(t *testing.T, cfg Config, change func(*Options)) *fleet {
	t.Helper()
	f := &fleet{t: t, state: short(t), ready: make(chan []rpc.Endpoint, 100), output: &buffer{}, done: make(chan error, 1)}
	opts := Options{
		Name: "users", State: f.state, Probe: greets, Output: f.output,
		OnEndpoints: func(list []rpc.Endpoint) { f.ready <- list },
		Log:         slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if change != nil {
		change(&opts)
	}
	var err error
	if f.set, err = New(cfg, opts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.end = cancel
	go func() { f.done <- f.set.Run(ctx) }()
	t.Cleanup(f.stop)
	return f
}

// stop ends the set, and fails the test where a process is left.
func (f *fleet) stop() {
	f.end()
	select {
	case err, open := <-f.done:
		if open && err != nil {
			f.t.Errorf("Run returned %v", err)
		}
		if open {
			close(f.done)
		}
	case <-time.After(time.Minute):
		f.t.Fatal("Run does not return")
	}
}

// until waits for a set of endpoints with these names.
func (f *fleet) until(names ...string) []rpc.Endpoint {
	f.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case list := <-f.ready:
			var got []string
			for _, e := range list {
				got = append(got, e.Name)
			}
			if slices.Equal(got, names) {
				return list
			}
		case <-late:
			f.t.Fatalf("no endpoints %v; the replicas: %+v", names, f.set.Snapshot())
		}
	}
}

// connect returns a connection to a child, and its process id.
func (f *fleet) connect(address string) (end *bufio.Reader, pid string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	c, r, pid, err := dial(ctx, address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	return r, pid
}

// ended waits until the child at the other end has ended.
func ended(t *testing.T, end *bufio.Reader) {
	t.Helper()
	if _, err := end.ReadByte(); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
		t.Errorf("the process still lives: %v", err)
	}
}

// buffer is a bytes.Buffer for many goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

// Replicas serve at sockets in the state folder, are killed and come back at the same place, and end with the set. What they write is in
// their log files and in the output, and no socket is left.
func TestReplicasLive(t *testing.T) {
	cfg := command(2, "serve", "{socket}")
	cfg.Env["MOOD"] = "fine {replica}"
	f := launch(t, cfg, nil)
	list := f.until("users-1", "users-2")
	if want := "unix:" + filepath.Join(f.state, "run", "users-2.sock"); list[1].Address != want {
		t.Errorf("users-2 serves at %s, want %s", list[1].Address, want)
	}
	before, pid := f.connect(list[1].Address)
	if r := f.set.Snapshot().Replicas[1]; fmt.Sprint(r.PID) != pid || r.State != Ready || r.Address != list[1].Address {
		t.Errorf("process %s is seen as %+v", pid, r)
	}
	_ = syscall.Kill(f.set.Snapshot().Replicas[1].PID, syscall.SIGKILL)
	ended(t, before)
	f.until("users-1")
	again := f.until("users-1", "users-2")
	after, newPID := f.connect(again[1].Address)
	if r := f.set.Snapshot().Replicas[1]; r.Restarts != 1 || r.LastExit != "signal: killed" || newPID == pid || again[1] != list[1] {
		t.Errorf("after %s came %s, seen as %+v", pid, newPID, r)
	}
	f.stop()
	ended(t, after)
	f.until()
	line := "serving unix, mood fine 2\n"
	if got := read(t, filepath.Join(f.state, "log", "users-2.log")); got != line+line {
		t.Errorf("the log file has %q", got)
	}
	if got := f.output.String(); strings.Count(got, "users-2 | "+line) != 2 {
		t.Errorf("the output is %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(f.state, "run", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Replicas may serve at loopback ports instead, each at its own, and keep it when they are started again.
func TestReplicasAtPorts(t *testing.T) {
	f := launch(t, command(2, "serve", "127.0.0.1:{port}"), nil)
	list := f.until("users-1", "users-2")
	if list[0].Address == list[1].Address || !strings.HasPrefix(list[0].Address, "127.0.0.1:") {
		t.Errorf("they serve at %v", list)
	}
	_ = syscall.Kill(f.set.Snapshot().Replicas[0].PID, syscall.SIGKILL)
	f.until("users-2")
	if again := f.until("users-1", "users-2"); again[0] != list[0] {
		t.Errorf("started again at %v, before at %v", again[0], list[0])
	}
}

// A process that ignores SIGTERM is killed, and so is one that a replica has started itself.
func TestNoProcessIsLeftBehind(t *testing.T) {
	other := filepath.Join(short(t), "other.sock")
	cfg := command(1, "parent", "{socket}", other)
	cfg.StopTimeout = 100 * time.Millisecond
	f := launch(t, cfg, func(o *Options) {
		o.Probe = func(ctx context.Context, address string) error {
			return errors.Join(greets(ctx, address), greets(ctx, "unix:"+other))
		}
	})
	list := f.until("users-1")
	leader, _ := f.connect(list[0].Address)
	own, _ := f.connect("unix:" + other)
	f.stop()
	ended(t, leader)
	ended(t, own)
}

// What a replica that dies has started itself is killed before it is started again.
func TestOrphansEndWithTheirReplica(t *testing.T) {
	other := filepath.Join(short(t), "other.sock")
	f := launch(t, command(1, "parent", "{socket}", other), func(o *Options) {
		o.Probe = func(ctx context.Context, address string) error {
			return errors.Join(greets(ctx, address), greets(ctx, "unix:"+other))
		}
	})
	f.until("users-1")
	own, _ := f.connect("unix:" + other)
	_ = syscall.Kill(f.set.Snapshot().Replicas[0].PID, syscall.SIGKILL)
	f.until()
	ended(t, own)
}

// A command that will not run shows how it ended and what it wrote last; a command that is not there shows that.
func TestReplicaThatWillNotStart(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		exit string
		says []string
	}{
		{command(1, "broken", "{socket}"), "exit status 3", []string{"Traceback (most recent call last):", "ImportError: no module named users"}},
		{Config{Command: []string{"no-such-command", "{socket}"}, Replicas: 1}, `start: exec: "no-such-command": executable file not found in $PATH`, nil},
	} {
		backoff := make(chan struct{}, 10)
		f := launch(t, c.cfg, func(o *Options) {
			o.Log = slog.New(slog.NewTextHandler(&signalWriter{"a replica ended", backoff}, nil))
		})
		<-backoff
		r := f.set.Snapshot().Replicas[0]
		if r.LastExit != c.exit || !slices.Equal(r.Output[:len(c.says)], c.says) || r.State == Ready {
			t.Errorf("seen as %+v", r)
		}
		f.stop()
	}
}

// signalWriter sends when a text is written.
type signalWriter struct {
	text string
	seen chan struct{}
}

func (w *signalWriter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		select {
		case w.seen <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// Two sets with one name and one state folder, as while a changed command replaces the old one, do not disturb each other.
func TestSetsOfOneName(t *testing.T) {
	old := launch(t, command(1, "serve", "{socket}"), nil)
	before := old.until("users-1")
	end, _ := old.connect(before[0].Address)
	fresh := launch(t, command(1, "serve", "{socket}"), func(o *Options) { o.State = old.state })
	after := fresh.until("users-1")
	if before[0].Address == after[0].Address {
		t.Errorf("both serve at %s", after[0].Address)
	}
	_, _ = old.connect(before[0].Address) // it still serves
	old.stop()
	ended(t, end)
	_, _ = fresh.connect(after[0].Address)
}

// As root, replicas run as another user, who can serve in the folder that is made for it and has a home.
func TestReplicasOfAnotherUser(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and a user named nobody")
	}
	script := `echo "user $(id -un), home $HOME" && : > "{socket}" && exec sleep 1000`
	f := launch(t, Config{Command: []string{"/bin/sh", "-c", script}, User: "nobody", Replicas: 1}, func(o *Options) {
		o.Probe = func(_ context.Context, address string) error {
			_, err := os.Stat(strings.TrimPrefix(address, "unix:"))
			return err
		}
	})
	f.until("users-1")
	f.stop()
	if got, want := f.output.String(), "users-1 | user nobody, home "+nobody.HomeDir+"\n"; got != want {
		t.Errorf("it wrote %q, want %q", got, want)
	}
}
