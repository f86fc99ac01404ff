package balance_test

import (
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// serve makes so many calls, one after the other, and returns how many of them n has had.
func serve(t *testing.T, p *balance.Picker, n *balance.Node, calls int) (had int) {
	t.Helper()
	for range calls {
		got, err := p.Pick(&rpc.Call{}, time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		if got == n {
			had++
		}
		p.Done(got, balance.Result{Outcome: rpc.Success, Took: time.Millisecond}, time.Unix(1, 0))
	}
	return had
}

// An endpoint that calls passed by for a while has its part of all calls soon after, by its weight, and of what it missed long ago no more than 300
// turns; it never has all calls, so that others see that it still answers, and how fast.
func TestMissedCallsAreMadeUpFor(t *testing.T) {
	for _, tt := range []struct {
		name                     string
		weights                  []int
		missed, later, least, at int // calls; the part of later that it has
	}{
		{"100 turns", []int{1, 1, 1, 1}, 300, 800, 260, 300},
		{"100 turns, twice the weight", []int{2, 1, 1}, 200, 1200, 660, 720},
		{"10,000 turns", []int{1, 1, 1, 1}, 30_000, 2800, 900, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := fleet(balance.Slots{}, tt.weights...)
			n := p.Nodes()[0]
			serve(t, p, n, 1000)
			p.Resize(n, 0)
			if had := serve(t, p, n, tt.missed); had != 0 {
				t.Fatalf("%d calls without a slot", had)
			}
			p.Resize(n, 1000)
			if had := serve(t, p, n, tt.later); had < tt.least || had > tt.at {
				t.Errorf("%d of the next %d calls, want %d to %d", had, tt.later, tt.least, tt.at)
			}
			if had := serve(t, p, n, 50); had == 50 {
				t.Error("it has all calls")
			}
		})
	}
}

// An endpoint that was ejected makes up for nothing: it comes back to its part, and no more.
func TestEjectedEndpointsMakeUpForNothing(t *testing.T) {
	p := fleet(balance.Slots{}, 1, 1, 1, 1)
	n, now := p.Nodes()[0], time.Unix(1, 0)
	for n.State() != balance.Ejected {
		got, err := p.Pick(&rpc.Call{}, now)
		if err != nil {
			t.Fatal(err)
		}
		o := rpc.Success
		if got == n {
			o = rpc.ClosedNoReply
		}
		p.Done(got, balance.Result{Outcome: o}, now)
	}
	had := 0
	for i := range 2400 {
		if i == 1200 {
			now = now.Add(time.Minute)
		}
		got, err := p.Pick(&rpc.Call{}, now)
		if err != nil {
			t.Fatal(err)
		}
		if got == n {
			had++
		}
		p.Done(got, balance.Result{Outcome: rpc.Success}, now)
	}
	if had < 250 || had > 350 {
		t.Errorf("%d of 1200 calls once it was back, want about 300", had)
	}
}
