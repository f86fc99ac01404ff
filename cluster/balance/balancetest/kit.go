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
	t.Run("no allocation", func(t *testing.T) { noAllocation(t, make()) })
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
	f.names++
	return f.Add(rpc.Endpoint{Name: name(f.names), Slots: slots, Weight: f.random.IntN(4)})
}

func name(i int) string { return "replica-" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) }

// anyHistory plays a random history, and looks after each step at what must hold.
func anyHistory(t *testing.T, p balance.Policy, seed uint64) {
	f := newFleet(p, seed)
	outcomes := []rpc.Outcome{rpc.Success, rpc.Success, rpc.Success, rpc.DeclaredException, rpc.Refused, rpc.ClosedNoReply, rpc.ReplyTimeout, rpc.Abandoned, 0}
	call := &rpc.Call{}
	for step := range 3000 {
		f.now = f.now.Add(time.Duration(f.random.IntN(20)) * time.Millisecond)
		switch k := f.random.IntN(20); {
		case k == 0 && len(f.Nodes()) < 12:
			f.add(1 + f.random.IntN(4))
		case k == 1 && len(f.Nodes()) > 0:
			n := f.Nodes()[f.random.IntN(len(f.Nodes()))]
			f.Remove(n)
			f.gone = append(f.gone, n)
		case k == 2 && len(f.gone) > 0:
			f.Return(take(&f.gone, f.random))
		case k == 3 && len(f.Nodes()) > 0:
			f.Resize(f.Nodes()[f.random.IntN(len(f.Nodes()))], f.random.IntN(5))
		case k < 8 && len(f.taken) > 0:
			n := take(&f.taken, f.random)
			r := balance.Result{Outcome: outcomes[f.random.IntN(len(outcomes))], Took: time.Duration(f.random.IntN(1e8)), Method: f.random.IntN(3) - 1}
			if r.Held = f.random.IntN(4) == 0; r.Held {
				f.held = append(f.held, n)
			}
			f.Done(n, r, f.now)
		case k < 10 && len(f.held) > 0:
			f.Free(take(&f.held, f.random))
		default:
			n, err := f.Pick(call, f.now)
			if (n == nil) == (err == nil) {
				t.Fatalf("seed %d, step %d: picked %v, error %v", seed, step, n, err)
			}
			if n != nil {
				f.taken = append(f.taken, n)
				if n.InFlight > n.Slots || slices.Contains(f.gone, n) {
					t.Fatalf("seed %d, step %d: %d calls at %d slots, gone %v", seed, step, n.InFlight, n.Slots, slices.Contains(f.gone, n))
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

func noAllocation(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	for range 20 {
		f.add(4)
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
