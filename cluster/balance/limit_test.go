package balance_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// crowd is callers who call again as soon as they have their answer, before one node whose calls take what takes says.
type crowd struct {
	*balance.Picker
	node   *balance.Node
	now    time.Time
	flying []flight
	takes  func(inFlight int) time.Duration
	done   int
}

type flight struct {
	ends time.Time
	mark balance.Mark
}

func newCrowd(slots int, takes func(inFlight int) time.Duration) *crowd {
	c := &crowd{Picker: balance.New(balance.Slots{}, rand.New(rand.NewPCG(1, 2)).IntN), now: time.Unix(1, 0), takes: takes}
	c.node = c.Add(rpc.Endpoint{Name: "a", Slots: slots, Auto: true})
	return c
}

// plays lets so many callers call for d.
func (c *crowd) plays(t *testing.T, callers int, d time.Duration) {
	t.Helper()
	for end := c.now.Add(d); c.now.Before(end); {
		for len(c.flying) < callers {
			n, err := c.Pick(&rpc.Call{}, c.now)
			if err != nil {
				break
			}
			if n.InFlight > n.Slots {
				t.Fatalf("%d calls at %d slots", n.InFlight, n.Slots)
			}
			c.flying = append(c.flying, flight{c.now.Add(c.takes(n.InFlight)), n.Mark()})
		}
		first := 0
		for i, f := range c.flying {
			if f.ends.Before(c.flying[first].ends) {
				first = i
			}
		}
		f := c.flying[first]
		c.now = f.ends
		c.flying[first] = c.flying[len(c.flying)-1]
		c.flying = c.flying[:len(c.flying)-1]
		c.Done(c.node, balance.Result{Outcome: rpc.Success, Took: time.Millisecond, Method: -1, Began: f.mark}, c.now)
		c.done++
	}
}

func (c *crowd) learned(t *testing.T) int {
	t.Helper()
	slots, ok := c.node.Learned()
	if !ok {
		t.Fatal("slots are not learned")
	}
	return slots
}

func waits(int) time.Duration { return 10 * time.Millisecond }

// works shares the node: with so many calls each takes so many times as long.
func works(inFlight int) time.Duration { return time.Duration(inFlight) * 10 * time.Millisecond }

// Slots are learned up to their bound, and no further; a lesser bound holds at once.
func TestLearnedSlotsAreBounded(t *testing.T) {
	c := newCrowd(20, waits)
	if got := c.learned(t); got != 2 {
		t.Errorf("%d slots at first", got)
	}
	c.plays(t, 64, 10*time.Second)
	if got := c.learned(t); got != 20 {
		t.Errorf("%d slots, want 20", got)
	}
	c.Resize(c.node, 5)
	if c.node.Slots > 5 || c.learned(t) > 5 {
		t.Errorf("%d slots, %d learned, 5 at most", c.node.Slots, c.learned(t))
	}
}

// Slots that nobody needs are not learned: with few callers there are few, and where nobody calls nothing is forgotten.
func TestLearnedSlotsNeedCalls(t *testing.T) {
	c := newCrowd(512, waits)
	c.plays(t, 1, 20*time.Second)
	if got := c.learned(t); got > 2 {
		t.Errorf("%d slots for one caller", got)
	}
	c.plays(t, 40, 10*time.Second)
	was := c.learned(t)
	if was < 36 || was > 50 {
		t.Errorf("%d slots for 40 callers", was)
	}
	c.now = c.now.Add(time.Hour)
	c.plays(t, 1, 20*time.Second)
	if got := c.learned(t); got != was {
		t.Errorf("%d slots after an hour without calls, %d before", got, was)
	}
}

// A handler that begins to work where it has waited loses its slots, and gets them again.
func TestLearnedSlotsFollow(t *testing.T) {
	c := newCrowd(512, waits)
	for range 3 {
		c.takes = waits
		c.plays(t, 64, 15*time.Second)
		if got := c.learned(t); got < 58 {
			t.Errorf("%d slots where calls wait", got)
		}
		c.takes = works
		c.plays(t, 64, 15*time.Second)
		if got := c.learned(t); got > 4 {
			t.Errorf("%d slots where calls work", got)
		}
	}
}

// One that joins begins with what the others have found out; one that could not be reached begins anew; who is told a number has that number.
func TestLearnedSlotsOfNewEndpoints(t *testing.T) {
	c := newCrowd(512, waits)
	c.plays(t, 64, 5*time.Second)
	was := c.learned(t)
	b := c.Add(rpc.Endpoint{Name: "b", Slots: 512, Auto: true})
	if got, _ := b.Learned(); got != was {
		t.Errorf("%d slots of a new one, the other has %d", got, was)
	}
	c.Remove(b)
	for _, f := range c.flying {
		c.Done(c.node, balance.Result{Outcome: rpc.Refused, Began: f.mark}, c.now)
	}
	c.flying = nil
	if got := c.learned(t); got != 2 {
		t.Errorf("%d slots after it was gone", got)
	}
	c.node.Endpoint.Auto = false
	c.Resize(c.node, 7)
	if _, ok := c.node.Learned(); ok || c.node.Slots != 7 {
		t.Errorf("%d slots where 7 are given", c.node.Slots)
	}
}

// A oneway's slot is held until its handler has ended; its slots are learned all the same.
func TestLearnedSlotsOfOneways(t *testing.T) {
	p := balance.New(balance.Slots{}, rand.New(rand.NewPCG(1, 2)).IntN)
	n := p.Add(rpc.Endpoint{Name: "a", Slots: 512, Auto: true})
	now := time.Unix(1, 0)
	type held struct {
		ends time.Time
		r    balance.Result
	}
	var all []held
	for end := now.Add(5 * time.Second); now.Before(end); {
		for len(all) < 64 {
			if _, err := p.Pick(&rpc.Call{}, now); err != nil {
				break
			}
			r := balance.Result{Outcome: rpc.Success, Method: -1, Held: true, Began: n.Mark()}
			p.Done(n, r, now)
			all = append(all, held{now.Add(10 * time.Millisecond), r})
		}
		now = all[0].ends
		p.Free(n, all[0].r, now)
		all = all[1:]
	}
	if got, _ := n.Learned(); got < 58 {
		t.Errorf("%d slots for 64 oneways that wait", got)
	}
}

// Calls that fail at once are no throughput: they get an endpoint no slots.
func TestLearnedSlotsOfFailures(t *testing.T) {
	p := balance.New(balance.Slots{}, rand.New(rand.NewPCG(1, 2)).IntN)
	p.Lenient = true
	n := p.Add(rpc.Endpoint{Name: "a", Slots: 512, Auto: true})
	now := time.Unix(1, 0)
	for range 10_000 {
		var marks []balance.Mark
		for {
			if _, err := p.Pick(&rpc.Call{}, now); err != nil {
				break
			}
			marks = append(marks, n.Mark())
		}
		now = now.Add(time.Millisecond)
		for _, m := range marks {
			p.Done(n, balance.Result{Outcome: rpc.ClosedNoReply, Began: m}, now)
		}
	}
	if got, _ := n.Learned(); got > 2 {
		t.Errorf("%d slots for failures", got)
	}
}

// A pick, and what is learned from it, allocates nothing between trials.
func TestLearnedSlotsCostNothing(t *testing.T) {
	p := balance.New(balance.Slots{}, rand.New(rand.NewPCG(1, 2)).IntN)
	p.Add(rpc.Endpoint{Name: "a", Slots: 512, Auto: true})
	now := time.Unix(1, 0)
	call := &rpc.Call{}
	if allocs := testing.AllocsPerRun(1000, func() {
		n, err := p.Pick(call, now)
		if err != nil {
			t.Fatal(err)
		}
		m := n.Mark()
		now = now.Add(time.Millisecond)
		p.Done(n, balance.Result{Outcome: rpc.Success, Took: time.Millisecond, Began: m}, now)
	}); allocs != 0 {
		t.Errorf("%v allocations a call", allocs)
	}
}
