package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// school is the program before a server that is stricter than its config says, with callers that each have a service of their own, which
// learns for itself.
type school struct {
	*testing.T
	*front
	server  *peertest.Server
	callers []*kinds
	learned func(status.Endpoint) bool
}

func newSchool(t *testing.T, server served, callers int, learned func(status.Endpoint) bool) *school {
	s := &school{T: t, front: newFront(t, []served{server}), learned: learned}
	s.server = s.servers[0]
	addresses := make([]string, callers)
	for n := range callers {
		addresses[n] = s.service(fmt.Sprintf("k%d", n), server, s.server, 1)
	}
	s.start(t)
	for _, a := range addresses {
		s.callers = append(s.callers, dial(t, a, 1))
	}
	return s
}

// each has all callers do something at once, and waits for them.
func (s *school) each(do func(n int, k *kinds)) {
	var all sync.WaitGroup
	for n, k := range s.callers {
		all.Go(func() { do(n, k) })
	}
	all.Wait()
}

// state returns how many of the services have learned, and how many attempts have failed.
func (s *school) state() (learned int, failures int64) {
	for _, c := range peertest.Snapshot(s.admin).Clusters {
		failures += c.Endpoints[0].Failures
		if s.learned(c.Endpoints[0]) {
			learned++
		}
	}
	return learned, failures
}

// teach has all callers do something, again and again until all services have learned.
func (s *school) teach(rounds int, do func(n int, k *kinds)) {
	s.Helper()
	learned := 0
	for range rounds {
		s.each(do)
		if learned, _ = s.state(); learned == len(s.callers) {
			return
		}
	}
	s.Fatalf("%d of %d services have learned", learned, len(s.callers))
}

// examine has all callers do something once more: no attempt fails, and it is the gateway that ends the connections.
func (s *school) examine(do func(n int, k *kinds)) {
	s.Helper()
	if told := strings.Count(s.up.Output(), "closes connections early"); told < len(s.callers) {
		s.Errorf("it is told %d times, by %d upstreams", told, len(s.callers))
	}
	_, before := s.state()
	taught := len(s.server.Seen(s).Connections)
	s.each(do)
	if _, after := s.state(); after != before {
		s.Errorf("%d attempts failed after the lesson", after-before)
	}
	time.Sleep(1500 * time.Millisecond) // the last connections are to be ended too
	byServer, later := 0, s.server.Seen(s).Connections[taught:]
	for _, c := range later {
		if c.By != "peer" {
			byServer++
		}
	}
	s.Logf("%d connections taught; %d came later, and the server ended %d of them", taught, len(later), byServer)
	if 10*byServer > len(later) || len(later) < len(s.callers) { // a machine that is busy elsewhere may be late for one
		s.Errorf("of %d connections the server ended %d", len(later), byServer)
	}
}

// A server that ends connections earlier than its kind says is learned from: the gateway says so, and from then on it is the gateway that
// ends them, and no call meets an end.
func TestEarlyClosesAreLearned(t *testing.T) {
	peertest.Require(t)
	t.Run("idle", func(t *testing.T) { // after 1 s, where 3 s was said; calls at gaps around the limit
		t.Parallel()
		early := served{kind: peertest.Threaded, server: "threaded", flags: []string{"--client-timeout", "1000"}}
		s := newSchool(t, early, 12, func(e status.Endpoint) bool { return e.LearnedIdleSeconds > 0.5 && e.LearnedIdleSeconds < 1 })
		echo := func(k *kinds, want string) {
			if got, err := k.EchoString(context.Background(), want); err != nil || got != want {
				t.Errorf("%s: %q, %v", want, got, err)
			}
		}
		s.teach(8, func(n int, k *kinds) {
			echo(k, fmt.Sprintf("caller %d", n))
			time.Sleep(1500 * time.Millisecond)
		})
		s.examine(func(n int, k *kinds) {
			for turn := range 5 {
				gap := 700*time.Millisecond + time.Duration(5*n+turn)*10*time.Millisecond // to 1.3 s
				time.Sleep(gap)
				echo(k, fmt.Sprintf("caller %d after %v", n, gap))
			}
		})
	})
	t.Run("age", func(t *testing.T) { // make_aio_server ends connections 3 s after they were made, calls and all; nothing of that was said
		t.Parallel()
		aged := served{kind: peertest.Aio, server: "threaded"}
		s := newSchool(t, aged, 6, func(e status.Endpoint) bool { return e.LearnedAgeSeconds > 0.5 && e.LearnedAgeSeconds < 1.5 })
		s.teach(10, func(_ int, k *kinds) { // never idle for long; here and there one is cut
			for range 10 {
				_ = k.Ping(context.Background())
				time.Sleep(310 * time.Millisecond)
			}
		})
		s.examine(func(n int, k *kinds) {
			for range 12 {
				if _, err := k.Sleep(context.Background(), 500); err != nil {
					t.Errorf("caller %d: %v", n, err)
				}
			}
		})
	})
}
