//go:build linux

package faults

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// What may happen to a server's process, with real ThriftPy2 servers. Calls at work on one that dies fail, those that may be made twice do
// not; no other call fails, no slot is lost, and the server comes back.
func TestProcess(t *testing.T) {
	t.Run("SIGKILL", func(t *testing.T) { killed(t, syscall.SIGKILL) })
	t.Run("SIGTERM", func(t *testing.T) { killed(t, syscall.SIGTERM) })
	t.Run("SIGSTOP and CONT", stopped)
	t.Run("OOM kill", outOfMemory)
	t.Run("fork bomb limit", forkBomb)
	t.Run("GIL stall", func(t *testing.T) { stalled(t, "gil", 600) })
	t.Run("GC pause", func(t *testing.T) { stalled(t, "gc", 1500) })
	t.Run("exit in handler", exitInHandler)
	t.Run("thread exhaustion", noThreads)
	t.Run("restart on same port", restartOnSamePort)
	t.Run("port taken by other service", portTaken)
}

// killed sends a signal that ends a replica at work, from outside.
func killed(t *testing.T, s syscall.Signal) {
	f := replicas(t, 2)
	once := f.start(f.once, 10_000)
	victim, pid := once.at, f.pidOf(once.at)
	again := f.start(f.again, 1000)
	for tries := 0; again.at != victim && tries < 10; tries++ { // until one is at the victim too
		again = f.start(f.again, 1000)
	}
	if again.at != victim {
		t.Fatal("the victim got no second call")
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
	if got := once.soon(f); got != "HANDLER_FAILED" {
		t.Errorf("the call that may not be made twice: %s", got)
	}
	if got := again.soon(f); got != "OK" {
		t.Errorf("the call that may: %s", got)
	}
	if got := f.many(slots, 5); len(got) != 1 || got["OK"] != 2*slots { // the other one serves meanwhile
		t.Errorf("calls ended with %v", got)
	}
	f.restarted(victim, 1)
	if f.pidOf(victim) == pid {
		t.Error("it is the same process")
	}
	f.works()
}

// A server that stands still keeps the calls that it has, at most its slots; the others are served elsewhere, and when it goes on no call
// has failed.
func stopped(t *testing.T) {
	f := replicas(t, 2)
	held := f.start(f.once, 100)
	pid := f.pidOf(held.at)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	results := make(chan map[string]int, 1)
	go func() { results <- f.many(20, 5) }()
	peertest.Eventually(t, "all calls but those at the one that stands still are answered", func() bool {
		busy, idle := 0, false
		for _, e := range f.endpoints() {
			if e.Name == held.at {
				busy = e.InFlight
			} else {
				idle = e.InFlight == 0 && e.Calls >= 40-slots
			}
		}
		return idle && busy <= slots
	})
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := <-results; len(got) != 1 || got["OK"] != 40 {
		t.Errorf("calls ended with %v", got)
	}
	if got := held.soon(f); got != "OK" {
		t.Errorf("the call that it had: %s", got)
	}
	f.works()
}

// Memory at its end is an exception in the handler (a limit on the process) or the death of the process (the kernel's killer, played here
// by a SIGKILL to itself in mid-call: a real one needs a memory cgroup of its own).
func outOfMemory(t *testing.T) {
	t.Run("limit of the process", func(t *testing.T) {
		f := replicas(t, 1)
		pid := f.gateway.Snapshot().Replicas[0].PID
		if got := f.misbehave("memory", 1024); got != "HANDLER_FAILED" {
			t.Errorf("the call: %s", got)
		}
		f.works()
		if f.gateway.Snapshot().Replicas[0].PID != pid {
			t.Error("the process was replaced, and it had not ended")
		}
	})
	t.Run("killed", func(t *testing.T) {
		f := replicas(t, 2)
		if got := f.misbehave("oom_killer", 0); got != "HANDLER_FAILED" {
			t.Errorf("the call: %s", got)
		}
		f.ended("signal: killed")
		f.awaitReplicas(2)
		f.works()
	})
}

// ended waits until some replica has ended so.
func (f *fleet) ended(how string) {
	f.Helper()
	peertest.Eventually(f, "a replica ended with "+how, func() bool {
		for _, r := range f.gateway.Snapshot().Replicas {
			if strings.Contains(r.LastExit, how) {
				return true
			}
		}
		return false
	})
}

// A handler that starts processes without end is stopped by the limit; the server, the gateway and the other calls live.
func forkBomb(t *testing.T) {
	f := replicas(t, 2)
	if got := f.misbehave("forks", 20); got != "OK" {
		t.Errorf("the call: %s", got)
	}
	f.works()
	for _, r := range f.gateway.Snapshot().Replicas {
		if r.Restarts != 0 {
			t.Errorf("%s was restarted", r.Name)
		}
	}
}

// While a server's interpreter is stopped its calls wait, those of the other do not, and none fails.
func stalled(t *testing.T, how string, amount int32) {
	f := replicas(t, 2)
	done := make(chan string, 1)
	go func() { done <- f.misbehave(how, amount) }()
	peertest.Eventually(t, "one is stalled", func() bool {
		for _, e := range f.endpoints() {
			if e.InFlight == 1 {
				return true
			}
		}
		return false
	})
	if got := f.many(20, 5); len(got) != 1 || got["OK"] != 40 {
		t.Errorf("calls ended with %v", got)
	}
	if got := <-done; got != "OK" {
		t.Errorf("the call that stalls: %s", got)
	}
	f.works()
}

// A handler that ends its process fails its call, and the process is started again; one that ends its thread fails its call only.
func exitInHandler(t *testing.T) {
	f := replicas(t, 2)
	// ThriftPy2 keeps such a connection open until it accepts the next one.
	if got := f.call(f.brief, "misbehave", behaviour("leaving", 0)); got != "HANDLER_FAILED" && got != "DEADLINE_EXCEEDED" {
		t.Errorf("the call whose thread ends: %s", got)
	}
	f.works()
	for _, r := range f.gateway.Snapshot().Replicas {
		if r.Restarts != 0 {
			t.Errorf("%s was restarted", r.Name)
		}
	}
	if got := f.misbehave("exit", 3); got != "HANDLER_FAILED" {
		t.Errorf("the call whose process ends: %s", got)
	}
	f.ended("exit status 3")
	f.awaitReplicas(2)
	f.works()
}

// A server that can start no thread accepts connections and says nothing on them, until it accepts the next: calls there wait, go elsewhere
// or reach their deadline, and none gets anything else.
func noThreads(t *testing.T) {
	f := replicas(t, 2)
	done := make(chan string, 1)
	go func() { done <- f.misbehave("threads", 1000) }()
	peertest.Eventually(t, "one has no threads", func() bool {
		for _, e := range f.endpoints() {
			if e.InFlight == 1 {
				return true
			}
		}
		return false
	})
	time.Sleep(100 * time.Millisecond) // the limit is set by then; where it is not, the calls are served
	got := f.manyAt(20, 5, f.brief)
	for result := range got {
		if result != "OK" && result != "DEADLINE_EXCEEDED" {
			t.Errorf("calls ended with %v", got)
			break
		}
	}
	if got := <-done; got != "OK" {
		t.Errorf("the call that takes the threads: %s", got)
	}
	f.works()
}

// A server that is not the gateway's, killed and started again at its port, is found again; meanwhile calls are refused, typed.
func restartOnSamePort(t *testing.T) {
	address := peertest.FreePort(t)
	server := standalone(t, address)
	f := newFleet(t, fmt.Sprintf("endpoints: [%q]", address))
	call := f.start(f.once, 10_000)
	server.Signal(t, syscall.SIGKILL)
	if got := call.soon(f); got != "HANDLER_FAILED" {
		t.Errorf("the call at work: %s", got)
	}
	server.Wait(t, time.Minute) // one that dies may take a connection still, and reset it
	peertest.Eventually(t, "calls are refused", func() bool {
		got := f.call(f.once, "ping", []byte{0})
		if got != "UNAVAILABLE" {
			t.Errorf("with no server: %s", got)
		}
		return f.endpoints()[0].State == "down"
	})
	standalone(t, address)
	peertest.Eventually(t, "calls are answered again", func() bool { return f.call(f.again, "ping", []byte{0}) == "OK" })
	f.works()
}

// Another service at the port of one that has gone: what it says is no answer. Calls that may be made twice are answered elsewhere.
func portTaken(t *testing.T) {
	mine, other := peertest.FreePort(t), peertest.FreePort(t)
	server := standalone(t, mine)
	standalone(t, other)
	f := newFleet(t, fmt.Sprintf("endpoints: [%q, %q]", mine, other))
	server.Signal(t, syscall.SIGKILL)
	server.Wait(t, time.Minute)
	l, err := net.Listen("tcp", mine)
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_, _ = c.Read(make([]byte, 512)) // what is not read would make the close a reset, which may overtake the answer
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
			_ = c.Close()
		}
	}()
	met := 0
	for range 40 {
		switch got := f.call(f.once, "ping", []byte{0}); got {
		case "OK":
		case "UNAVAILABLE":
			met++
		default:
			t.Errorf("a call that may not be made twice: %s", got)
		}
		if got := f.call(f.again, "ping", []byte{0}); got != "OK" {
			t.Errorf("a call that may: %s", got)
		}
	}
	_ = l.Close()
	<-taken
	if met == 0 {
		t.Error("no call met the other service: the test has tried nothing")
	}
	standalone(t, mine)
	peertest.Eventually(t, "both serve", func() bool {
		f.call(f.again, "ping", []byte{0})
		return f.endpoints()[0].State == "up" && f.endpoints()[1].State == "up"
	})
	f.works()
}
