// Package resolvetest is the kit that every resolver has to pass.
package resolvetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/rpc"
)

// Source is a source whose answers a test sets. What it cannot do is nil.
type Source struct {
	Resolver resolve.Resolver
	// Set makes it name these endpoints from now on; none is the empty list.
	Set func([]rpc.Endpoint)
	// Break makes it fail, until Mend.
	Break, Mend func()
	// Plain says that it has addresses and nothing else: no slots, weights and zones.
	Plain bool
}

// Run checks what a Resolver promises. open returns a source that names the endpoint 127.0.0.1:6001.
func Run(t *testing.T, open func(t *testing.T) Source) {
	first := []rpc.Endpoint{{Address: "127.0.0.1:6001", Name: "127.0.0.1:6001"}}
	t.Run("answers", func(t *testing.T) {
		s := open(t)
		h := Listen(t, s.Resolver)
		h.Names(first...)
		if s.Resolver.String() == "" {
			t.Error("it has no name")
		}
	})
	t.Run("runs again", func(t *testing.T) {
		s := open(t)
		for range 2 {
			h := Listen(t, s.Resolver)
			h.Names(first...)
			h.End()
		}
	})
	t.Run("ends at once", func(t *testing.T) {
		s := open(t)
		Listen(t, s.Resolver).End()
	})
	t.Run("follows", func(t *testing.T) {
		s := open(t)
		if s.Set == nil {
			t.Skip("it never changes")
		}
		h := Listen(t, s.Resolver)
		h.Names(first...)
		second := rpc.Endpoint{Address: "127.0.0.2:6001", Name: "127.0.0.2:6001", Slots: 3, Weight: 7, Zone: "a", Labels: "size=big"}
		if s.Plain {
			second.Slots, second.Weight, second.Zone, second.Labels = 0, 0, "", ""
		}
		s.Set([]rpc.Endpoint{first[0], second})
		h.Names(first[0], second)
		s.Set([]rpc.Endpoint{second})
		h.Names(second)
		if !s.Plain {
			second.Weight, second.Drained = 0, true
			s.Set([]rpc.Endpoint{second})
			h.Names(second)
		}
		s.Set(nil)
		h.None()
		s.Set(first)
		h.Names(first...)
	})
	t.Run("fails and comes back", func(t *testing.T) {
		s := open(t)
		if s.Break == nil {
			t.Skip("it never fails")
		}
		h := Listen(t, s.Resolver)
		h.Names(first...)
		s.Break()
		_ = h.Fails()
		s.Mend()
		h.Names(first...)
	})
}

// patience is how long something may take on a busy machine.
const patience = 60 * time.Second

// Heard is what a resolver has told.
type Heard struct {
	t     testing.TB
	end   context.CancelFunc
	ended chan struct{}

	mu        sync.Mutex
	endpoints []rpc.Endpoint
	err       error
	told      int
	news      chan struct{}
}

// Listen runs a resolver until the test ends, or End.
func Listen(t testing.TB, r resolve.Resolver) *Heard {
	h := &Heard{t: t, ended: make(chan struct{}), news: make(chan struct{}, 1)}
	var ctx context.Context
	ctx, h.end = context.WithCancel(context.Background())
	go func() {
		defer close(h.ended)
		r.Run(ctx, h.tell)
	}()
	t.Cleanup(h.End)
	return h
}

func (h *Heard) tell(endpoints []rpc.Endpoint, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endpoints, h.err = endpoints, err
	h.told++
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// End ends the resolver, and fails the test where it does not end.
func (h *Heard) End() {
	h.t.Helper()
	h.end()
	select {
	case <-h.ended:
	case <-time.After(patience):
		h.t.Fatal("the resolver does not end with its context")
	}
}

// Told returns how often it has told something.
func (h *Heard) Told() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told
}

// Names waits until it has named these endpoints and no others.
func (h *Heard) Names(want ...rpc.Endpoint) {
	h.t.Helper()
	h.Until(fmt.Sprint("it names ", want), func(got []rpc.Endpoint, err error) bool {
		got = slices.Clone(got)
		slices.SortFunc(got, func(a, b rpc.Endpoint) int { return strings.Compare(a.Address, b.Address) })
		return err == nil && slices.Equal(got, want)
	})
}

// None waits until it has said that there is no endpoint.
func (h *Heard) None() {
	h.t.Helper()
	h.Until("it names none", func(got []rpc.Endpoint, err error) bool {
		return len(got) == 0 && (err == nil || errors.Is(err, resolve.ErrNone))
	})
}

// Fails waits until it has failed, and returns why.
func (h *Heard) Fails() (err error) {
	h.t.Helper()
	h.Until("it fails", func(got []rpc.Endpoint, e error) bool {
		err = e
		return len(got) == 0 && e != nil && !errors.Is(e, resolve.ErrNone)
	})
	return err
}

// Until waits until done is true of the last that it has told.
func (h *Heard) Until(what string, done func([]rpc.Endpoint, error) bool) {
	h.t.Helper()
	end := time.After(patience)
	for {
		h.mu.Lock()
		endpoints, err, told := h.endpoints, h.err, h.told
		h.mu.Unlock()
		if told > 0 && done(endpoints, err) {
			return
		}
		select {
		case <-h.news:
		case <-end:
			h.t.Fatalf("not within %v: %s; the last: %v, %v", patience, what, endpoints, err)
		}
	}
}
