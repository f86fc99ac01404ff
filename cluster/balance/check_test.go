package balance

import (
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// check plays a check of n, on a slot of its own.
func (c *clock) check(n *Node, o rpc.Outcome) {
	c.t.Helper()
	if !c.Take(n) {
		c.t.Fatal("no slot for the check")
	}
	c.Done(n, Result{Outcome: o, Check: true}, c.now)
}

// Three checks in a row without an answer show an endpoint to be down; one that is at work at a call is not failed for it, and an answer to a
// call, or to a check, begins anew.
func TestChecksWithoutAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(c *clock, n *Node)
		want string
	}{
		{"three", func(c *clock, n *Node) { c.check(n, rpc.ReplyTimeout) }, Down},
		{"at work", func(c *clock, n *Node) { n.InFlight++; c.check(n, rpc.ReplyTimeout); n.InFlight-- }, Up},
		{"a slot held by another", func(c *clock, n *Node) { n.Others++; c.check(n, rpc.ReplyTimeout); n.Others-- }, Up},
		{"an answer between", func(c *clock, n *Node) {
			c.check(n, rpc.ReplyTimeout)
			c.check(n, rpc.ReplyTimeout)
			c.check(n, rpc.AppException)
		}, Up},
		{"a call between", func(c *clock, n *Node) {
			c.check(n, rpc.ClosedNoReply)
			c.check(n, rpc.ClosedNoReply)
			c.call(n, rpc.Success)
		}, Up},
		{"an old connection", func(c *clock, n *Node) { c.check(n, rpc.ClosedReused) }, Up},
		{"nothing known", func(c *clock, n *Node) { c.check(n, rpc.LocalLimit) }, Up},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(t, 4, 4)
			n := c.Nodes()[0]
			for range 3 {
				tt.play(c, n)
			}
			if n.State() != tt.want || (tt.want == Down) != n.Lost() {
				t.Errorf("it is %s", n.State())
			}
			if n.InFlight != 0 {
				t.Errorf("%d slots are taken", n.InFlight)
			}
		})
	}
}

// Where the owner checks, an endpoint that is down gets no call when its pause is over, but a check; the answer brings it back at once, with
// one call at a time. A check that never ends does not keep it out for ever.
func TestChecksBringBack(t *testing.T) {
	c := newClock(t, 4, 4)
	c.Grace = 2 * time.Second
	n := c.Nodes()[0]
	c.Nodes()[1].Endpoint.Drained = true
	c.Reweigh()
	c.calls(3, n, rpc.Refused)
	left, down := c.Due(n, c.now)
	if !down || left != 400*time.Millisecond {
		t.Fatalf("due in %v, %v", left, down)
	}
	c.now = c.now.Add(left)
	if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrNoEndpoint {
		t.Errorf("a call when the check is due: %v", err)
	}
	c.check(n, rpc.Refused)
	if left, _ := c.Due(n, c.now); left != 800*time.Millisecond {
		t.Errorf("after a check that failed the next is due in %v", left)
	}
	c.now = c.now.Add(time.Second)
	c.check(n, rpc.AppException)
	if got := c.pick(""); got != n || n.State() != Up {
		t.Errorf("after an answer: %v, %s", got, n.State())
	}
	if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrBusy {
		t.Errorf("a second call at once: %v", err)
	}
	c.Done(n, Result{Outcome: rpc.Refused}, c.now)
	c.now = c.now.Add(100*time.Millisecond + c.Grace)
	if got := c.pick(""); got != n {
		t.Errorf("without an end of the check: %v", got)
	}
}

// That an endpoint answers a check does not bring it back where it fails its calls.
func TestChecksDoNotPardon(t *testing.T) {
	c := newClock(t, 4, 4, 4)
	n := c.Nodes()[0]
	for n.State() == Up {
		c.call(n, rpc.ClosedNoReply)
	}
	for range 10 {
		c.check(n, rpc.AppException)
	}
	if n.State() != Ejected || !c.Out(n, c.now) {
		t.Errorf("it is %s, out %v", n.State(), c.Out(n, c.now))
	}
}

// The pauses of an endpoint that comes and goes grow from one time to the next, and shrink with the time that it stays.
func TestRelapses(t *testing.T) {
	c := newClock(t, 1, 1, 1)
	n := c.Nodes()[0]
	eject := func() time.Duration {
		for n.State() == Up {
			c.call(n, rpc.ClosedNoReply)
		}
		left, _ := c.Waits(n, c.now)
		return left.Round(100 * time.Millisecond)
	}
	back := func(stays time.Duration) {
		left, _ := c.Waits(n, c.now)
		c.now = c.now.Add(left)
		c.calls(evidence, n, rpc.Success)
		c.now = c.now.Add(stays)
	}
	for i, want := range []time.Duration{2, 4, 8, 12, 12} {
		if got := eject(); got != want*time.Second {
			t.Errorf("ejection %d: for %v, want %d s", i+1, got, want)
		}
		back(3 * time.Second)
	}
	c.now = c.now.Add(3 * forgives)
	if got := eject(); got != 8*time.Second { // 5 times, less three
		t.Errorf("after half a minute: for %v", got)
	}
	for range 1000 { // and if it has failed for hours
		left, _ := c.Waits(n, c.now)
		c.now = c.now.Add(left)
		c.call(n, rpc.ClosedNoReply)
	}
	back(time.Minute + time.Second)
	if got := eject(); got != firstEject {
		t.Errorf("after a minute: for %v", got)
	}
	back(time.Minute)
	for i, want := range []time.Duration{400, 800, 1600, 3200, 5000} {
		c.calls(doubt, n, rpc.Refused)
		if got, _ := c.Waits(n, c.now); got != want*time.Millisecond {
			t.Errorf("fall %d: down for %v, want %d ms", i+1, got, int(want))
		}
		back(3 * time.Second)
	}
}
