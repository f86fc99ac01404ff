//go:build unix

package redis

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// A server that is stopped and continued: the loss is told though the connection is whole, calls end with their contexts, as many as there
// are, and it goes on from there, with changes told again.
func TestSilentServer(t *testing.T) {
	r := peertest.StartRedis(t)
	var e events
	s, other := open(t, at(r.Address), e.hooks()), open(t, at(r.Address), cache.Events{})
	load(t, s, key, "x")

	stopped := time.Now()
	r.Process().Signal(t, syscall.SIGSTOP)
	e.awaitLoss(t, stopped)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	var all sync.WaitGroup
	for range 4 * maxFlights {
		all.Go(func() {
			if _, err := s.Get(ctx, key, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	cancel()
	if len(s.link.flights) > maxFlights {
		t.Errorf("%d under way", len(s.link.flights))
	}
	r.Process().Signal(t, syscall.SIGCONT)
	works(t, s)
	if got := get(t, s, key).Value; string(got) != "x" {
		t.Fatalf("%q", got)
	}
	if err := other.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	peertest.Eventually(t, "the change is told", func() bool { return e.has(key) })
}

// A connection from which nothing comes for the timeout is given up: what waits for it ends.
func TestGivenUp(t *testing.T) {
	r := peertest.StartRedis(t)
	c := at(r.Address)
	c.Timeout = 200 * time.Millisecond
	s := open(t, c, cache.Events{})
	works(t, s)
	r.Process().Signal(t, syscall.SIGSTOP)
	defer r.Process().Signal(t, syscall.SIGCONT)
	if _, err := s.Get(t.Context(), key, nil); err == nil {
		t.Error("no error")
	}
}

// The lease that a caller has asked for who has gone since is ended once the server gives it.
func TestLeaseOfNobody(t *testing.T) {
	r := peertest.StartRedis(t)
	s, other := open(t, at(r.Address), cache.Events{}), open(t, at(r.Address), cache.Events{})
	works(t, s)
	works(t, other)
	r.Process().Signal(t, syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if l, err := s.Acquire(ctx, key, nil, time.Hour); err == nil {
		t.Fatalf("%+v", l)
	}
	r.Process().Signal(t, syscall.SIGCONT)
	peertest.Eventually(t, "another has the lease", func() bool {
		l, err := other.Acquire(t.Context(), key, nil, time.Hour)
		return err == nil && l.Token != 0
	})
}
