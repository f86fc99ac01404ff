package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// gunicorns is the kinds whose master replaces its workers.
func gunicorns() (all []served) {
	for _, k := range everyKind {
		if strings.HasPrefix(k.kind.Name, "gunicorn") {
			all = append(all, k)
		}
	}
	return all
}

// pressure is callers that call without a pause to speak of, over the gateway, until they are told to stop.
type pressure struct {
	*testing.T
	g    *peertest.Gateway
	stop atomic.Bool
	all  sync.WaitGroup

	calls, errors atomic.Int64
	mu            sync.Mutex
	pids          []int // the processes that have answered, in the order of their first answers
}

// under starts six callers of a gunicorn at address. Its methods may not be called twice; but those of an asyncio server have to be
// declared so: it takes a call off the socket before it looks at it, and closes without a word. One process has all of its connections end
// at the same moment, so that a call may meet several ends in a row.
func under(t *testing.T, k served, address string) *pressure {
	t.Helper()
	listen, methods := peertest.FreePort(t), ""
	if k.server == "gunicorn-async" {
		methods = ", retry: {attempts: 8}, methods: {pid: {idempotent: true}}"
	}
	l := &pressure{T: t, g: peertest.StartGateway(t, config(listen, fmt.Sprintf(
		"upstream: {endpoints: [%q], slots: %d, server: %s}%s", address, k.slots, k.server, methods)))}
	l.g.AwaitReady(t, "")
	for range 6 {
		c := dial(t, listen, 1)
		l.all.Go(func() {
			for !l.stop.Load() {
				l.call(c)
				time.Sleep(time.Millisecond)
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *pressure) call(c *kinds) {
	pid, err := c.Pid(context.Background())
	l.calls.Add(1)
	if err != nil {
		if l.errors.Add(1) <= 3 {
			l.Errorf("call %d: %v", l.calls.Load(), err)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.pids, int(pid)) {
		l.pids = append(l.pids, int(pid))
	}
}

// answering returns the processes that have answered so far.
func (l *pressure) answering() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pids)
}

// end stops the callers, and says what they have met.
func (l *pressure) end() {
	if l.stop.Swap(true) {
		return
	}
	l.all.Wait()
	e := l.g.Snapshot().Clusters[0].Endpoints[0]
	l.Logf("%d calls, %d errors; %d processes answered; %d attempts failed, the last by %q",
		l.calls.Load(), l.errors.Load(), len(l.answering()), e.Failures, e.LastErrorCode)
}

// While callers call without a pause, gunicorn replaces all its workers at a SIGHUP, and once more: none of the callers sees an error, and
// each worker leaves by itself, since the gateway gives its connection up.
func TestGunicornReloads(t *testing.T) {
	peertest.Require(t)
	for _, k := range gunicorns() {
		for _, address := range []string{peertest.FreePort(t), peertest.Socket(t)} {
			network := "tcp"
			if strings.HasPrefix(address, "unix:") {
				network = "unix"
			}
			t.Run(k.name+" "+network, func(t *testing.T) {
				t.Parallel()
				s := k.kind.Serve(t, address, k.flags...)
				l := under(t, k, address)
				for range 2 {
					before := len(l.answering())
					peertest.Eventually(t, "a worker answers", func() bool { return l.calls.Load() > 100 && len(l.answering()) > 0 })
					old := l.answering()
					s.Signal(t, syscall.SIGHUP)
					peertest.Eventually(t, "the workers have gone", func() bool {
						return !slices.ContainsFunc(old, func(pid int) bool { return syscall.Kill(pid, 0) == nil })
					})
					peertest.Eventually(t, "new ones answer", func() bool { return len(l.answering()) > max(before, len(old)) })
				}
				l.end()
				if strings.Contains(s.Output(), "WORKER TIMEOUT") {
					t.Error("a worker was killed")
				}
			})
		}
	}
}

// While callers call without a pause, each worker leaves after some dozens of calls, and none of the callers sees an error.
func TestGunicornMaxRequests(t *testing.T) {
	peertest.Require(t)
	for _, k := range gunicorns() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			address := peertest.FreePort(t)
			k.kind.Serve(t, address, append(k.flags, "--max-requests", "60", "--max-requests-jitter", "20")...)
			l := under(t, k, address)
			if strings.HasPrefix(k.name, "gunicorn_thrift") { // its workers do not count
				peertest.Eventually(t, "600 calls", func() bool { return l.calls.Load() > 600 })
				if n := len(l.answering()); n > 2 {
					t.Errorf("%d processes answered: gunicorn_thrift heeds max_requests, and docs/guides/servers.md says that it does not", n)
				}
				return
			}
			peertest.Eventually(t, "six workers have served their calls", func() bool { return len(l.answering()) > 6 })
		})
	}
}
