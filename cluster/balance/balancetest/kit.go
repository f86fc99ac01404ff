// Package balancetest is the kit that every policy of cluster/balance passes.
package balancetest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// Run checks that a picker with the policy that make returns keeps what Pick promises, whatever happens to its endpoints.
func Run(t *testing.T, make func() balance.Policy) {
	t.Run("any history", func(t *testing.T) {
		for seed := range uint64(6) {
			anyHistory(t, make(), seed)
		}
	})
	t.Run("a slot is found", func(t *testing.T) { slotIsFound(t, make()) })
	t.Run("no endpoint", func(t *testing.T) { noEndpoint(t, make()) })
	t.Run("avoid", func(t *testing.T) { avoid(t, make()) })
	t.Run("drained", func(t *testing.T) { drained(t, make()) })
	t.Run("all drained", func(t *testing.T) { allDrained(t, make()) })
	t.Run("own zone", func(t *testing.T) { ownZone(t, make()) })
	t.Run("zone loss", func(t *testing.T) { zoneLoss(t, make()) })
	t.Run("panic", func(t *testing.T) { panics(t, make()) })
	t.Run("no allocation", func(t *testing.T) { noAllocation(t, make()) })
	subsets(t, make)
}

// fleet is a picker with endpoints, and what the kit itself knows of them.
type fleet struct {
	*balance.Picker
	random *rand.Rand
	now    time.Time
	taken  []*balance.Node // a slot each
	held   []*balance.Node
	gone   []*balance.Node
	names  int
}

func newFleet(p balance.Policy, seed uint64) *fleet {
	random := rand.New(rand.NewPCG(seed, 1))
	return &fleet{Picker: balance.New(p, random.IntN), random: random, now: time.Unix(1, 0)}
}

func (f *fleet) add(slots int) *balance.Node {
	return f.addIn("", slots)
}

func (f *fleet) addIn(zone string, slots int) *balance.Node {
	f.names++
	return f.Add(rpc.Endpoint{Name: name(f.names), Slots: slots, Weight: f.random.IntN(4), Zone: zone})
}

// drain takes a node out of use by its weight, or ends that.
func (f *fleet) drain(n *balance.Node, on bool) {
	n.Endpoint.Drained = on
	f.Reweigh()
}

func name(i int) string { return "replica-" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) }

// anyHistory plays a random history, and looks after each step at what must hold.
func anyHistory(t *testing.T, p balance.Policy, seed uint64) {
	f := newFleet(p, seed)
	outcomes := []rpc.Outcome{rpc.Success, rpc.Success, rpc.Success, rpc.DeclaredException, rpc.Refused, rpc.ClosedNoReply, rpc.ReplyTimeout, rpc.Abandoned, 0}
	call := &rpc.Call{}
	f.Place("a")
	for step := range 3000 {
		f.now = f.now.Add(time.Duration(f.random.IntN(20)) * time.Millisecond)
		switch k := f.random.IntN(20); {
		case k == 0 && len(f.Nodes()) < 12:
			n := f.addIn([]string{"", "a", "b"}[f.random.IntN(3)], 1+f.random.IntN(4))
			n.Endpoint.Auto = f.random.IntN(3) == 0
			f.Resize(n, n.Endpoint.Slots)
			f.label(n, sizes[f.random.IntN(len(sizes))])
		case k == 1 && len(f.Nodes()) > 0:
			n := f.Nodes()[f.random.IntN(len(f.Nodes()))]
			f.Remove(n)
			f.gone = append(f.gone, n)
		case k == 2 && len(f.gone) > 0:
			f.Return(take(&f.gone, f.random))
		case k == 3 && len(f.Nodes()) > 0:
			n := f.Nodes()[f.random.IntN(len(f.Nodes()))]
			if f.Resize(n, f.random.IntN(5)); f.random.IntN(4) == 0 {
				f.drain(n, !n.Endpoint.Drained)
			}
		case k < 8 && len(f.taken) > 0:
			n := take(&f.taken, f.random)
			r := balance.Result{Outcome: outcomes[f.random.IntN(len(outcomes))], Took: time.Duration(f.random.IntN(1e8)), Method: f.random.IntN(3) - 1}
			if r.Held = f.random.IntN(4) == 0; r.Held {
				f.held = append(f.held, n)
			}
			f.Done(n, r, f.now)
		case k < 10 && len(f.held) > 0:
			f.Free(take(&f.held, f.random), balance.Result{}, f.now)
		default:
			call.Subset = rpc.Subset{Labels: sizes[f.random.IntN(len(sizes))], Refuse: f.random.IntN(2) == 0}
			n, err := f.Pick(call, f.now)
			if (n == nil) == (err == nil) {
				t.Fatalf("seed %d, step %d: picked %v, error %v", seed, step, n, err)
			}
			if n != nil && call.Subset.Refuse && !n.Endpoint.Labels.Have(call.Subset.Labels) {
				t.Fatalf("seed %d, step %d: picked one with %q for a call that goes to %q", seed, step, n.Endpoint.Labels, call.Subset.Labels)
			}
			if n != nil {
				f.taken = append(f.taken, n)
				if n.InFlight > n.Slots || n.Endpoint.Drained || slices.Contains(f.gone, n) {
					t.Fatalf("seed %d, step %d: %d calls at %d slots, %s, gone %v", seed, step, n.InFlight, n.Slots, n.State(), slices.Contains(f.gone, n))
				}
			}
		}
		f.count(t, seed, step)
	}
}

func take(from *[]*balance.Node, random *rand.Rand) *balance.Node {
	i := random.IntN(len(*from))
	n := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return n
}

// count compares the counts of all nodes with the slots that were taken and not given back.
func (f *fleet) count(t *testing.T, seed uint64, step int) {
	inFlight, zombies := map[*balance.Node]int{}, map[*balance.Node]int{}
	for _, n := range f.taken {
		inFlight[n]++
	}
	for _, n := range f.held {
		inFlight[n]++
		zombies[n]++
	}
	for _, n := range slices.Concat(f.Nodes(), f.gone) {
		if n.InFlight != inFlight[n] || n.Zombies != zombies[n] {
			t.Fatalf("seed %d, step %d: %s has %d in flight and %d zombies, not %d and %d", seed, step, n.Endpoint.Name, n.InFlight, n.Zombies, inFlight[n], zombies[n])
		}
	}
}

// slotIsFound: while an endpoint has a free slot Pick finds it, and with the last one gone it says that a call had better wait.
func slotIsFound(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	slots := 0
	for i := range 10 {
		f.add(i % 4)
		slots += max(1, i%4)
	}
	for i := range slots {
		if _, err := f.Pick(&rpc.Call{}, f.now); err != nil {
			t.Fatalf("%d of %d slots are taken: %v", i, slots, err)
		}
	}
	if _, err := f.Pick(&rpc.Call{}, f.now); err != balance.ErrBusy {
		t.Errorf("with every slot taken: %v", err)
	}
}

// noEndpoint: without an endpoint, and with endpoints none of which can be reached, Pick says so; it finds the one that is back.
func noEndpoint(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	if _, err := f.Pick(&rpc.Call{}, f.now); err != balance.ErrNoEndpoint {
		t.Fatalf("without endpoints: %v", err)
	}
	f.add(1)
	f.add(1)
	for {
		n, err := f.Pick(&rpc.Call{}, f.now)
		if err == balance.ErrNoEndpoint {
			break
		}
		if err != nil {
			f.now = f.now.Add(100 * time.Millisecond)
			continue
		}
		f.Done(n, balance.Result{Outcome: rpc.Refused}, f.now)
	}
	f.now = f.now.Add(5 * time.Second)
	n, err := f.Pick(&rpc.Call{}, f.now)
	if err != nil {
		t.Fatalf("five seconds later: %v", err)
	}
	f.Done(n, balance.Result{Outcome: rpc.Success, Took: time.Millisecond}, f.now)
	if again, err := f.Pick(&rpc.Call{Avoid: other(f, n)}, f.now); err != nil || again != n {
		t.Errorf("of the one that has answered: %v, %v", again, err)
	}
}

func other(f *fleet, n *balance.Node) string {
	for _, x := range f.Nodes() {
		if x != n {
			return x.Endpoint.Name
		}
	}
	return ""
}

// avoid: an endpoint that a call avoids is taken only where no other has a free slot.
func avoid(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	a, b := f.add(2), f.add(2)
	call := &rpc.Call{Avoid: a.Endpoint.Name}
	for i, want := range []*balance.Node{b, b, a, a} {
		if n, err := f.Pick(call, f.now); err != nil || n != want {
			t.Errorf("pick %d: %v, %v", i, n, err)
		}
	}
}

// drained: an endpoint of weight 0 gets nothing new, keeps what it works at, and gets calls again once it has a weight.
func drained(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	a, b := f.add(50), f.add(50)
	for range 20 {
		f.pick(t)
	}
	had := a.InFlight
	f.drain(a, true)
	for range 20 {
		if n := f.pick(t); n != b {
			t.Fatalf("%s was picked, and is %s", n.Endpoint.Name, n.State())
		}
	}
	if a.InFlight != had || a.State() != balance.Drained {
		t.Errorf("it is %s with %d calls of %d", a.State(), a.InFlight, had)
	}
	f.drain(a, false)
	for range 100 - 40 {
		f.pick(t) // all slots there are
	}
	if a.InFlight != 50 {
		t.Errorf("with a weight again it has %d calls", a.InFlight)
	}
}

// allDrained: where every endpoint is drained Pick says so.
func allDrained(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	a, b := f.add(1), f.add(1)
	f.drain(a, true)
	f.drain(b, true)
	for _, call := range []*rpc.Call{{}, {Affinity: 7}} {
		if n, err := f.Pick(call, f.now); err != balance.ErrDrained {
			t.Errorf("picked %v, error %v", n, err)
		}
	}
}

// ownZone: endpoints of the own zone are taken while one has a free slot, and then the others.
func ownZone(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	f.Place("b")
	free := map[string]int{}
	for i := range 9 {
		zone := string(rune('a' + i%3))
		f.addIn(zone, 4)
		free[zone] += 4
	}
	for range 36 {
		zone := f.pick(t).Endpoint.Zone
		if free["b"] > 0 && zone != "b" {
			t.Fatalf("picked in zone %s with %d slots free in b", zone, free["b"])
		}
		free[zone]--
	}
	for _, n := range f.taken {
		f.Done(n, balance.Result{}, f.now)
	}
	if f.Place("d"); f.pick(t) == nil {
		t.Error("nobody is picked where no endpoint is in the zone")
	}
}

// zoneLoss: when all endpoints of the own zone are gone, every call gets another one; with some of them out, as many calls leave the zone as
// the rest of it could not take.
func zoneLoss(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	f.Place("a")
	for i := range 8 {
		f.addIn(string(rune('a'+i%2)), 1000)
	}
	down := 0
	share := func() (near float64) {
		const calls = 4000
		for range calls {
			n := f.pick(t)
			if n.State() != balance.Up {
				t.Fatalf("picked one that is %s", n.State())
			}
			if n.Endpoint.Zone == "a" {
				near++
			}
			f.Done(n, balance.Result{Outcome: rpc.Success, Took: time.Millisecond}, f.now)
			f.taken = f.taken[:0]
		}
		return near / calls
	}
	for _, want := range []struct{ least, most float64 }{{1, 1}, {1, 1}, {0.7, 0.95}, {0.35, 0.65}, {0, 0}} {
		if got := share(); got < want.least || got > want.most {
			t.Errorf("with %d of 4 down, %.2f of the calls stay in the zone", down, got)
		}
		for _, n := range f.Nodes() {
			if n.Endpoint.Zone == "a" && n.State() == balance.Up {
				for range 3 {
					n.InFlight++
					f.Done(n, balance.Result{Outcome: rpc.Refused}, f.now)
				}
				down++
				break
			}
		}
	}
}

// panics: an endpoint that is ejected gets no call while half of the fleet is up, and does when less is.
func panics(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	var nodes []*balance.Node
	for range 4 {
		nodes = append(nodes, f.add(4))
	}
	fail := func(n *balance.Node, o rpc.Outcome, times int) {
		for range times {
			n.InFlight++
			f.Done(n, balance.Result{Outcome: o}, f.now)
		}
	}
	met := func() (all map[*balance.Node]bool) {
		all = map[*balance.Node]bool{}
		for range 16 {
			if n, err := f.Pick(&rpc.Call{}, f.now); err == nil {
				all[n] = true
				f.taken = append(f.taken, n)
			}
		}
		for _, n := range f.taken {
			f.Done(n, balance.Result{}, f.now)
		}
		f.taken = f.taken[:0]
		return all
	}
	fail(nodes[0], rpc.ClosedNoReply, 8)
	fail(nodes[1], rpc.Refused, 3)
	if got := met(); nodes[0].State() != balance.Ejected || got[nodes[0]] || len(got) != 2 {
		t.Errorf("with two of four up, %d get calls, and the one that is %s: %v", len(got), nodes[0].State(), got[nodes[0]])
	}
	fail(nodes[2], rpc.Refused, 3)
	if got := met(); !got[nodes[0]] || got[nodes[1]] || got[nodes[2]] || !got[nodes[3]] {
		t.Errorf("with one of four up, the ejected one gets calls: %v, and those that are down: %v", got[nodes[0]], got[nodes[1]] || got[nodes[2]])
	}
	fail(nodes[2], rpc.Success, 1)
	if f.now = f.now.Add(50 * time.Millisecond); met()[nodes[0]] {
		t.Error("with half of the fleet up again, the ejected one gets calls")
	}
}

// pick picks, and fails the test where it cannot.
func (f *fleet) pick(t *testing.T) *balance.Node {
	t.Helper()
	n, err := f.Pick(&rpc.Call{Affinity: uint64(f.random.IntN(1000))}, f.now)
	if err != nil {
		t.Fatal(err)
	}
	f.taken = append(f.taken, n)
	return n
}

func noAllocation(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	f.Place("a")
	for i := range 20 {
		f.addIn(string(rune('a'+i%2)), 4)
	}
	call := &rpc.Call{}
	now := f.now
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		n, err := f.Pick(call, now)
		if err != nil {
			t.Fatal(err)
		}
		f.Done(n, balance.Result{Outcome: rpc.Success, Took: 5 * time.Millisecond}, now)
	}); n != 0 {
		t.Errorf("%v allocations a pick", n)
	}
}
