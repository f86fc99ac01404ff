package balance

import (
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

func fleet(slots ...int) (*Slots, []*Node) {
	s := NewSlots(func(int) int { return 1 }) // never 0: the first of equals stays
	var nodes []*Node
	for i, n := range slots {
		nodes = append(nodes, s.Add(rpc.Endpoint{Name: string(rune('a' + i)), Slots: n}))
	}
	return s, nodes
}

// Pick takes the endpoint with the fewest calls in flight, never more than its slots, and says when there is none.
func TestPickLeastInFlight(t *testing.T) {
	s, _ := fleet(2, 1)
	now := time.Unix(1, 0)
	var got string
	for range 3 {
		n, err := s.Pick(&rpc.Call{}, now)
		if err != nil {
			t.Fatal(err)
		}
		got += n.Endpoint.Name
	}
	if got != "aba" {
		t.Errorf("picked %q", got)
	}
	if _, err := s.Pick(&rpc.Call{}, now); err != ErrBusy {
		t.Errorf("with every slot taken: %v", err)
	}
}

// The endpoint that a call avoids is taken only where no other has a slot.
func TestPickAvoids(t *testing.T) {
	s, nodes := fleet(4, 1)
	nodes[1].InFlight = 0
	n, _ := s.Pick(&rpc.Call{Avoid: "a"}, time.Unix(1, 0))
	if n.Endpoint.Name != "b" {
		t.Errorf("picked %s", n.Endpoint.Name)
	}
	if n, _ = s.Pick(&rpc.Call{Avoid: "a"}, time.Unix(1, 0)); n.Endpoint.Name != "a" {
		t.Errorf("then picked %s", n.Endpoint.Name)
	}
}

// An endpoint that cannot be reached is down for 100 ms, then twice as long after each further failure, at most 5 s; meanwhile it gets
// nothing, afterwards one call at a time until it has answered.
func TestDownAndBack(t *testing.T) {
	s, nodes := fleet(4)
	now := time.Unix(1, 0)
	for _, wait := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		n, err := s.Pick(&rpc.Call{}, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Pick(&rpc.Call{}, now); nodes[0].Failures > 0 && err != ErrBusy {
			t.Errorf("a second call on an endpoint in doubt: %v", err)
		} else if err == nil {
			s.Done(n, rpc.Abandoned, now)
		}
		s.Done(n, rpc.Refused, now)
		want := ErrNoEndpoint
		if nodes[0].Failures < 3 { // still in doubt: calls wait
			want = ErrBusy
		}
		if _, err := s.Pick(&rpc.Call{}, now.Add(wait*time.Millisecond-1)); err != want {
			t.Errorf("before %v ms are over: %v, want %v", int64(wait), err, want)
		}
		now = now.Add(wait * time.Millisecond)
	}
	n, _ := s.Pick(&rpc.Call{}, now)
	s.Done(n, rpc.ClosedNoReply, now) // a failed handler, but it is there
	if n.Failures != 0 || n.InFlight != 0 {
		t.Errorf("after an answer: %+v", n)
	}
}

// What says nothing of the endpoint, that the caller has gone or that this machine can make no connection, changes nothing: neither one
// that is up, nor one that is down.
func TestWhatSaysNothing(t *testing.T) {
	for _, o := range []rpc.Outcome{rpc.Abandoned, rpc.LocalLimit} {
		s, nodes := fleet(1)
		now := time.Unix(1, 0)
		for _, failures := range []int{0, 1} {
			n, err := s.Pick(&rpc.Call{}, now)
			if err != nil {
				t.Fatal(err)
			}
			if s.Done(n, o, now); n.Failures != failures || n.InFlight != 0 {
				t.Errorf("after %v: %+v", o, n)
			}
			n, _ = s.Pick(&rpc.Call{}, now)
			s.Done(n, rpc.Refused, now)
			now = nodes[0].DownTill
		}
	}
}

// Equals are drawn with the same chance.
func TestPickIsFairAmongEquals(t *testing.T) {
	var draws []int
	s := NewSlots(func(n int) int { draws = append(draws, n); return 0 })
	for range 3 {
		s.Add(rpc.Endpoint{Slots: 1})
	}
	if n, _ := s.Pick(&rpc.Call{}, time.Unix(1, 0)); n != s.Nodes()[2] || len(draws) != 2 || draws[0] != 2 || draws[1] != 3 {
		t.Errorf("picked %+v with draws %v", n, draws)
	}
}
