package balance

import (
	"testing"

	"github.com/thriftloom/thriftloom/rpc"
)

// Calls of others take slots of a node, unless the slots are the picker's alone; in either case the node with fewer calls is chosen.
func TestOthersTakeSlots(t *testing.T) {
	for _, alone := range []bool{false, true} {
		c := newClock(t, 3, 3)
		a, b := c.Nodes()[0], c.Nodes()[1]
		taken := 2
		if alone {
			taken = 0
		}
		c.SetOthers(a, 2, taken)
		got := map[*Node]int{}
		want := map[*Node]int{a: 3 - taken, b: 3}
		for i := range want[a] + want[b] {
			n := c.pick("")
			if got[n]++; i < 2 && n != b {
				t.Errorf("alone %v: pick %d is where others have calls", alone, i)
			}
		}
		if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrBusy || got[a] != want[a] || got[b] != want[b] {
			t.Errorf("alone %v: %d and %d calls, then %v", alone, got[a], got[b], err)
		}
		if c.SetOthers(a, 0, 0); !alone && c.pick("") != a {
			t.Error("a slot that others have given back is not found")
		}
	}
}

// More calls of others than a node has slots, as two gateways that pick at the same moment have, are no debt: once they are gone all is as
// before.
func TestOthersBeyondSlots(t *testing.T) {
	c := newClock(t, 2)
	a := c.Nodes()[0]
	c.SetOthers(a, 7, 7)
	if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrBusy {
		t.Errorf("picked: %v", err)
	}
	c.SetOthers(a, 0, 0)
	c.pick("")
	c.pick("")
}

// A call that has waited for long gets a slot that others have, while its picker has less than an even part of all; then no more.
func TestInsist(t *testing.T) {
	c := newClock(t, 2, 2, 2)
	for _, n := range c.Nodes() {
		c.SetOthers(n, 2, 2)
	}
	for range 3 { // of two that share six slots
		if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrBusy {
			t.Fatal(err)
		}
		if _, err := c.Insist(&rpc.Call{}, 2, c.now); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.Nodes() {
		if n.InFlight != 1 {
			t.Errorf("%s has %d calls more", n.Endpoint.Name, n.InFlight)
		}
	}
	if _, err := c.Insist(&rpc.Call{}, 2, c.now); err != ErrBusy {
		t.Errorf("beyond its part: %v", err)
	}
	few := newClock(t, 1)
	few.SetOthers(few.Nodes()[0], 1, 1)
	if _, err := few.Insist(&rpc.Call{}, 16, few.now); err != nil {
		t.Errorf("with fewer slots than pickers: %v", err)
	}
	own := newClock(t, 1)
	own.pick("")
	if _, err := own.Insist(&rpc.Call{}, 1, own.now); err != ErrBusy {
		t.Errorf("where others have nothing: %v", err)
	}
}
