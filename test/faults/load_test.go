//go:build linux

package faults

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
)

// tally is what became of the calls of a load.
type tally struct {
	mu   sync.Mutex
	by   map[string]int
	took []time.Duration // of those that were answered
}

// quantile of the calls that were answered.
func (y *tally) quantile(q float64) time.Duration {
	if len(y.took) == 0 {
		return 0
	}
	slices.Sort(y.took)
	return y.took[int(q*float64(len(y.took)-1))]
}

// only reports whether all calls ended so.
func (y *tally) only(what string) bool { return len(y.by) == 1 && y.by[what] > 0 }

func (y *tally) String() string {
	return fmt.Sprintf("%v, p99 %v", y.by, y.quantile(0.99))
}

// load makes n calls, one each time that pause has passed, however long they take, and returns when all have ended. method names that of
// each. Each is on a connection on which no other call is in flight.
func (s *scene) load(n int, pause time.Duration, method func(i int) string) *tally {
	s.Helper()
	y := &tally{by: map[string]int{}}
	var free []*caller
	var calls sync.WaitGroup
	for i := range n {
		time.Sleep(pause)
		y.mu.Lock()
		if len(free) == 0 {
			free = append(free, s.caller())
		}
		c := free[len(free)-1]
		free = free[:len(free)-1]
		y.mu.Unlock()
		calls.Go(func() {
			start := time.Now()
			key := c.send(method(i), 7)
			a := c.read()
			took := time.Since(start)
			if a.what == "OK" && a.text != key {
				s.Errorf("a call with %s was answered %q", key, a.text)
			}
			y.mu.Lock()
			defer y.mu.Unlock()
			if y.by[a.what]++; a.what == "OK" {
				y.took = append(y.took, took)
			}
			free = append(free, c)
		})
	}
	calls.Wait()
	return y
}

// always is a method for load.
func always(method string) func(int) string { return func(int) string { return method } }

// kill ends peer i as kill -9 does: connections are reset, and new ones refused.
func (s *scene) kill(i int) {
	s.network.SetTrouble(s.address(i), memnet.Trouble{Refuse: true})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ends {
		if end.LocalAddr().String() == s.address(i) {
			end.Reset()
		}
	}
}

// attempts returns those at an endpoint that began at a time or after.
func (s *scene) attempts(endpoint string, from time.Time) (all []rpc.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		for _, a := range r.Attempts() {
			if a.Endpoint == endpoint && !a.Start.Before(from) {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b rpc.Attempt) int { return a.Start.Compare(b.Start) })
	return all
}
