package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/wire"
)

// On SIGTERM under load the program answers every call that it has taken, those that wait for a slot too, cuts no answer in two, exits
// with 0 and leaves no process behind.
func TestTerminateUnderLoad(t *testing.T) {
	peertest.Require(t)
	front, admin := peertest.FreePort(t), peertest.FreePort(t)
	path := filepath.Join(filepath.Dir(strings.TrimPrefix(peertest.Socket(t), "unix:")), "thriftloom.yaml")
	writeFile(t, path, fmt.Sprintf("admin: %q\n", admin)+config(front, fmt.Sprintf("upstream: {run: %s, server: threaded}", run(peertest.ThriftPy2, 2))))
	up := peertest.Start(t, program(t), "up", "-c", path)
	peertest.Eventually(t, "two replicas are ready", func() bool {
		s := peertest.Snapshot(admin)
		return len(s.Replicas) == 2 && s.Replicas[0].State == "ready" && s.Replicas[1].State == "ready"
	})
	if len(up.Left()) != 2 {
		t.Fatalf("processes %v, want two replicas", up.Left())
	}

	var all sync.WaitGroup
	var answered atomic.Int64
	for range 8 { // callers that go on until they are told to stop
		c := rawDial(t, front)
		all.Go(func() {
			for seq := int32(0); ; seq++ {
				if _, err := c.Write(message("echoString", wire.Call, seq, "word")); err != nil {
					return
				}
				m, partly, err := c.read()
				if partly {
					t.Errorf("an answer was cut: %v", err)
				}
				if err != nil {
					return
				}
				if m.Head.Type != wire.Reply || m.Head.Seq != seq {
					t.Errorf("answer %+v to call %d: %s", m.Head, seq, text(m))
				}
				answered.Add(1)
			}
		})
	}
	peertest.Eventually(t, "200 calls are answered", func() bool { return answered.Load() > 200 })
	const slow = 24 // in flight when the signal comes: eight at work, the others waiting
	var late []*rawConn
	for seq := range int32(slow) {
		c := rawDial(t, front)
		c.send(number("sleep", seq, 400))
		late = append(late, c)
	}
	peertest.Eventually(t, "the calls are taken", func() bool { return sleepingCalls(peertest.Snapshot(admin)) == slow })
	up.Signal(t, syscall.SIGTERM)
	for seq, c := range late {
		c.answer(int32(seq), wire.Reply)
		if _, partly, err := c.read(); err == nil || partly || isTimeout(err) {
			t.Errorf("caller %d: the connection is not closed after its answer: %v", seq, err)
		}
	}
	all.Wait()
	if code := up.Wait(t, 15*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left := up.Left(); len(left) > 0 {
		t.Errorf("processes %v are left behind", left)
	}
	t.Logf("%d short calls and %d of 400 ms were answered", answered.Load(), slow)
}

// sleepingCalls is how many calls of sleep are in flight.
func sleepingCalls(s status.Snapshot) int {
	for _, service := range s.Services {
		for _, m := range service.Methods {
			if m.Name == "sleep" {
				return m.InFlight
			}
		}
	}
	return 0
}

// The demo, where there is no terminal, prints plain lines and a summary, exits with 0 and leaves no process behind.
func TestDemoWithoutTerminal(t *testing.T) {
	demo := peertest.Start(t, program(t), "demo", "--duration", "3s")
	if code := demo.Wait(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	out := demo.Output()
	for _, want := range []string{"replicas 3/3 ready", ` calls in 3(\.\d+)?s: `, "latency "} { // a busy machine ends a little late
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %q in the output", want)
		}
	}
	if strings.ContainsAny(out, "\x1b\r") {
		t.Error("control characters in the output")
	}
	if left := demo.Left(); len(left) > 0 {
		t.Errorf("processes %v are left behind", left)
	}
}
