package balance

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// clock drives a picker whose first of equals is always taken.
type clock struct {
	*Picker
	t   *testing.T
	now time.Time
}

func newClock(t *testing.T, slots ...int) *clock {
	c := &clock{Picker: New(Slots{}, func(int) int { return 0 }), t: t, now: time.Unix(1, 0)}
	for i, n := range slots {
		c.Add(rpc.Endpoint{Name: string(rune('a' + i)), Slots: n})
	}
	return c
}

func (c *clock) pick(avoid string) *Node {
	c.t.Helper()
	n, err := c.Pick(&rpc.Call{Avoid: avoid}, c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// call makes a call at n, whatever the policy would choose.
func (c *clock) call(n *Node, o rpc.Outcome) {
	n.InFlight++
	c.now = c.now.Add(time.Millisecond)
	c.Done(n, Result{Outcome: o, Took: 10 * time.Millisecond}, c.now)
}

func (c *clock) calls(k int, n *Node, o rpc.Outcome) {
	for range k {
		c.call(n, o)
	}
}

// An endpoint that cannot be reached is down for 100 ms, then twice as long after each further failure, at most 5 s; meanwhile it gets
// nothing, afterwards one call at a time.
func TestDownAndBack(t *testing.T) {
	c := newClock(t, 4)
	a := c.Nodes()[0]
	for i, wait := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		n := c.pick("")
		if i > 0 {
			if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrBusy {
				t.Errorf("a second call on an endpoint in doubt: %v", err)
			}
		}
		c.Done(n, Result{Outcome: rpc.Refused}, c.now)
		want := ErrNoEndpoint
		if i < 2 { // still in doubt: calls wait
			want = ErrBusy
		}
		if _, err := c.Pick(&rpc.Call{}, c.now.Add(wait*time.Millisecond-1)); err != want {
			t.Errorf("before %v ms are over: %v, want %v", int64(wait), err, want)
		}
		if left, ok := c.Waits(a, c.now); !ok || left != wait*time.Millisecond {
			t.Errorf("it is tried again in %v, %v; want %v ms", left, ok, int64(wait))
		}
		c.now = c.now.Add(wait * time.Millisecond)
	}
	c.Done(c.pick(""), Result{Outcome: rpc.ClosedNoReply}, c.now) // a failed handler, but it is there
	if a.State() != Up || a.InFlight != 0 {
		t.Errorf("after an answer: %s, %d in flight", a.State(), a.InFlight)
	}
}

// What says nothing of the endpoint, that the caller has gone or that this machine can make no connection, changes nothing: neither one
// that is up, nor one that is down.
func TestWhatSaysNothing(t *testing.T) {
	for _, o := range []rpc.Outcome{rpc.Abandoned, rpc.LocalLimit, 0} {
		c := newClock(t, 1)
		for _, state := range []string{Up, Down} {
			n := c.pick("")
			if c.Done(n, Result{Outcome: o}, c.now); n.State() != state || n.InFlight != 0 {
				t.Errorf("after %d: %s, %d in flight", o, n.State(), n.InFlight)
			}
			c.Done(c.pick(""), Result{Outcome: rpc.Refused}, c.now)
			c.now = c.now.Add(firstDown)
		}
	}
}

// An endpoint that is back, or that joins others which serve, gets one call at a time, twice as many after each eight answers, and twice as
// many after each second without: calls may be long.
func TestSlowStartByEvidence(t *testing.T) {
	c := newClock(t, 16)
	c.call(c.Nodes()[0], rpc.Success)
	b := c.Add(rpc.Endpoint{Name: "b", Slots: 8})
	for _, want := range []int{1, 2, 4, 8} {
		if b.limit != want {
			t.Errorf("it may have %d calls, want %d", b.limit, want)
		}
		c.calls(evidence, b, rpc.Success)
	}
	d := c.Add(rpc.Endpoint{Name: "d", Slots: 4})
	c.Remove(c.Nodes()[0])
	c.Remove(b)
	d.InFlight = 1 // of a long call
	for _, want := range []int{2, 4} {
		if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrBusy {
			t.Errorf("with %d calls at a limit of %d: %v", d.InFlight, d.limit, err)
		}
		c.now = c.now.Add(growth)
		c.pick("")
		if d.limit != want {
			t.Errorf("a second later it may have %d calls, want %d", d.limit, want)
		}
		d.InFlight = d.limit
	}
}

// An endpoint that ends every call without a reply, while the others answer, is ejected after five calls: it gets one call after 2 s at most, then
// after 4, 8 and every 12 s at most, and is back when it answers.
func TestSinkholeIsEjected(t *testing.T) {
	c := newClock(t, 2, 2, 2)
	a := c.Nodes()[0]
	failures := 0
	for ; a.State() == Up; failures++ {
		c.call(a, rpc.ClosedNoReply)
	}
	if failures != 5 {
		t.Errorf("ejected after %d failures", failures)
	}
	for _, wait := range []time.Duration{2, 4, 8, 12, 12} {
		if left, _ := c.Waits(a, c.now); left != wait*time.Second {
			t.Errorf("it is tried again after %v, want %d s", left, wait)
		}
		c.now = c.now.Add(wait*time.Second - time.Millisecond)
		if c.Out(a, c.now) != true || c.Out(a, c.now.Add(time.Millisecond)) {
			t.Error("it takes calls before its time, or not at its time")
		}
		c.call(a, rpc.ClosedNoReply)
	}
	c.now = c.now.Add(maxEject)
	c.calls(evidence, a, rpc.Success)
	if a.State() != Up || a.limit != 2 {
		t.Errorf("after it has answered: %s, %d calls", a.State(), a.limit)
	}
}

// Gateways that eject one endpoint at the same moment do not come back to it at the same moment: each does after half of the time at least and all of
// it at most, spread evenly, also when the time is at its longest.
func TestEjectionsOfManySpread(t *testing.T) {
	seed := rand.Uint64()
	const gateways = 1000
	var first, longest []time.Duration
	for i := range uint64(gateways) {
		c := newClock(t, 2, 2, 2)
		c.random = rand.New(rand.NewPCG(seed, i)).IntN
		n := c.Nodes()[0]
		for n.State() == Up {
			c.call(n, rpc.ClosedNoReply)
		}
		left, _ := c.Waits(n, c.now)
		first = append(first, left)
		for range maxRelapses {
			left, _ = c.Waits(n, c.now)
			c.now = c.now.Add(left)
			c.call(n, rpc.ClosedNoReply)
		}
		left, _ = c.Waits(n, c.now)
		longest = append(longest, left)
	}
	for most, all := range map[time.Duration][]time.Duration{firstEject: first, maxEject: longest} {
		var tenths [5]int // of the half between
		for _, d := range all {
			if d < most/2 || d > most {
				t.Fatalf("seed %d: one is back after %v of %v", seed, d, most)
			}
			tenths[min(4, int((d-most/2)*10/most))]++
		}
		for i, n := range tenths {
			if n < gateways/10 { // a fifth is expected: eight standard deviations less
				t.Errorf("seed %d: in tenth %d of %v there are %d of %d", seed, i+6, most, n, gateways)
			}
		}
	}
}

// Nobody is ejected where all fail alike: neither two calls in ten, nor all of them.
func TestAllFailAlike(t *testing.T) {
	for _, every := range []int{5, 1} {
		c := newClock(t, 2, 2, 2)
		for i := range 3000 {
			n := c.Nodes()[i%3]
			if i/3%every == 0 {
				c.call(n, rpc.ClosedNoReply)
			} else {
				c.call(n, rpc.Success)
			}
			for _, n := range c.Nodes() {
				if n.State() != Up {
					t.Fatalf("one of %d calls fails: %s is %s after %d calls", every, n.Endpoint.Name, n.State(), i)
				}
			}
		}
	}
}

// Who has failed at one endpoint is taken to another one with the next call, even to a slower one: five failures in a row where the call is at fault
// would eject the endpoint.
func TestPoisonShowsElsewhere(t *testing.T) {
	c := newClock(t, 4, 4, 4)
	poison := &rpc.Call{Name: "sleep"}
	for range 40 { // the fastest
		c.Done(c.pick(""), Result{Outcome: rpc.Success, Took: time.Millisecond}, c.now)
	}
	met := map[*Node]int{}
	for i := range 30 {
		n, err := c.Pick(poison, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if met[n]++; i == 1 && len(met) != 2 {
			t.Errorf("the second call goes to where the first has failed: %s", n.Endpoint.Name)
		}
		c.now = c.now.Add(time.Millisecond)
		c.Done(n, Result{Outcome: rpc.ClosedReused, Took: time.Millisecond, Call: poison}, c.now)
		c.Done(c.pick(""), Result{Outcome: rpc.Success, Took: time.Millisecond}, c.now)
	}
	for _, n := range c.Nodes() {
		if n.State() != Up {
			t.Errorf("%s is %s", n.Endpoint.Name, n.State())
		}
	}
}

// A caller whose calls of a method fail at one endpoint, and then at another without an answer between, is to blame, and not they; once it has
// had an answer, an endpoint is blamed again.
func TestPoison(t *testing.T) {
	c := newClock(t, 2, 2, 2)
	nodes := c.Nodes()
	poison, other := &rpc.Call{Name: "poison"}, &rpc.Call{Name: "getUser"}
	end := func(n *Node, call *rpc.Call, o rpc.Outcome) {
		n.InFlight++
		c.now = c.now.Add(time.Millisecond)
		c.Done(n, Result{Outcome: o, Call: call}, c.now)
	}
	for i := range 1000 {
		end(nodes[i%2], poison, rpc.ClosedNoReply)
		if i%10 == 0 {
			end(nodes[2], other, rpc.Success)
		}
	}
	if nodes[0].State() != Up || nodes[1].State() != Up || nodes[0].failing > 2*memory {
		t.Errorf("%s and %s, for what one caller does", nodes[0].State(), nodes[1].State())
	}
	for range 5 {
		end(nodes[2], poison, rpc.Success) // it was mended
		end(nodes[0], poison, rpc.ClosedNoReply)
	}
	if nodes[0].State() != Ejected {
		t.Errorf("an endpoint that fails what another answers is %s", nodes[0].State())
	}
	for i := range 10 * maxSuspects {
		end(nodes[1], &rpc.Call{Name: string(rune('a' + i))}, rpc.ClosedNoReply)
	}
	if n := len(c.suspects.all); n > maxSuspects {
		t.Errorf("%d are suspected", n)
	}
}

// Half of the fleet stays in, of two endpoints one, and one alone always.
func TestSomeStayIn(t *testing.T) {
	for nodes, most := range map[int]int{1: 0, 2: 1, 3: 1, 5: 2, 8: 4} {
		c := newClock(t, make([]int, nodes)...)
		out := 0
		for round := range 40 {
			for _, n := range c.Nodes()[:(nodes+1)/2] { // these fail
				if n.State() == Up {
					c.call(n, rpc.ClosedNoReply)
				}
			}
			for _, n := range c.Nodes()[(nodes+1)/2:] {
				c.call(n, rpc.Success)
			}
			out = 0
			for _, n := range c.Nodes() {
				if n.State() == Ejected {
					out++
				}
			}
			if out > most {
				t.Fatalf("%d of %d are out after %d rounds", out, nodes, round)
			}
		}
		if nodes != 1 && out == 0 {
			t.Errorf("nobody is out of %d", nodes)
		}
	}
}

// With nobody else up, an endpoint that was ejected gets calls before its time, one at a time.
func TestPardon(t *testing.T) {
	c := newClock(t, 2, 2)
	a, b := c.Nodes()[0], c.Nodes()[1]
	c.calls(5, a, rpc.ClosedNoReply)
	if n := c.pick(""); n != b {
		t.Fatal("a is not out")
	}
	c.pick("")
	if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrBusy {
		t.Fatalf("b is busy, and up: %v", err)
	}
	c.Done(b, Result{Outcome: rpc.Refused}, c.now)
	if n := c.pick(""); n != a {
		t.Error("with b down, a is not taken")
	}
	if _, err := c.Pick(&rpc.Call{}, c.now); err != ErrBusy {
		t.Errorf("a second call at a: %v", err)
	}
}

// A call that failed goes to another endpoint, and waits for one where the endpoint that failed it has failed others lately.
func TestRetryElsewhere(t *testing.T) {
	c := newClock(t, 1, 1)
	a, b := c.Nodes()[0], c.Nodes()[1]
	b.InFlight = 1
	c.call(a, rpc.ClosedReused)
	if n := c.pick("a"); n != a {
		t.Error("one failure, and the other one is busy: it is not tried again")
	}
	a.InFlight = 0
	c.calls(2, a, rpc.ClosedNoReply)
	if _, err := c.Pick(&rpc.Call{Avoid: "a"}, c.now); err != ErrBusy {
		t.Errorf("it has failed several calls, and another is taken there: %v", err)
	}
	b.InFlight = 0
	if n := c.pick("a"); n != b {
		t.Error("the other one is free, and not taken")
	}
	c.Done(b, Result{Outcome: rpc.Refused}, c.now)
	if n := c.pick("a"); n != a {
		t.Error("the other one is down, and the call is kept waiting")
	}
	a.InFlight = 0
	c.Remove(b)
	if n := c.pick("a"); n != a {
		t.Error("there is no other one, and the call is kept waiting")
	}
}

// Of two endpoints with free slots the faster one is taken, though a few of its calls take long; who has stalled, and has answered nobody for
// ten seconds, is taken again.
func TestFasterFirst(t *testing.T) {
	c := newClock(t, 2, 2)
	a, b := c.Nodes()[0], c.Nodes()[1]
	took := func(n *Node, d time.Duration) {
		n.InFlight++
		c.Done(n, Result{Outcome: rpc.Success, Took: d}, c.now)
	}
	for i := range 60 {
		slow := 10 * time.Millisecond
		if i%5 == 0 {
			slow = time.Second
		}
		took(b, slow)
		took(a, 30*time.Millisecond)
	}
	for range 10 {
		n := c.pick("")
		if n != b {
			t.Fatalf("%s is taken", n.Endpoint.Name)
		}
		c.Done(n, Result{Outcome: rpc.Success, Took: 10 * time.Millisecond}, c.now)
	}
	c.now = c.now.Add(forgets + time.Millisecond)
	took(b, 10*time.Millisecond)
	if a.slowness(&Round{Now: c.at(c.now), fleet: 2}) != 0 {
		t.Error("after ten seconds its slowness is not forgotten")
	}
}
