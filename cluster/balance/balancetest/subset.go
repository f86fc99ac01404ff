package balancetest

import (
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// sizes are the labels of the kit's endpoints.
var sizes = []rpc.Labels{"", "size=big", "size=small", "size=big,version=v2"}

// subsets are the promises for calls that go to some endpoints only.
func subsets(t *testing.T, make func() balance.Policy) {
	t.Run("subset", func(t *testing.T) { subset(t, make()) })
	t.Run("subset, several labels", func(t *testing.T) { severalLabels(t, make()) })
	t.Run("subset in turn with all", func(t *testing.T) { subsetInTurn(t, make()) })
	t.Run("subset is away", func(t *testing.T) { subsetAway(t, make()) })
	t.Run("subset, avoid", func(t *testing.T) { subsetAvoid(t, make()) })
	t.Run("subset, own zone", func(t *testing.T) { subsetZone(t, make()) })
	t.Run("subset, panic", func(t *testing.T) { subsetPanic(t, make()) })
	t.Run("subset, hedge", func(t *testing.T) { subsetHedge(t, make()) })
	t.Run("subset, insist", func(t *testing.T) { subsetInsist(t, make()) })
	t.Run("subset, any labels", func(t *testing.T) { anyLabels(t, make()) })
	t.Run("subset, no allocation", func(t *testing.T) { subsetAllocation(t, make()) })
}

func (f *fleet) label(n *balance.Node, labels rpc.Labels) {
	n.Endpoint.Labels = labels
	f.Reweigh()
}

func (f *fleet) addWith(labels rpc.Labels, slots int) *balance.Node {
	n := f.add(slots)
	f.label(n, labels)
	return n
}

// only is a call for endpoints with the labels.
func (f *fleet) only(labels rpc.Labels) *rpc.Call {
	return &rpc.Call{Affinity: uint64(f.random.IntN(1000)), Subset: rpc.Subset{Labels: labels}}
}

func refusing(call *rpc.Call) *rpc.Call {
	call.Subset.Refuse = true
	return call
}

// subset: a call gets every slot of the endpoints with its label, and no other, though others are free; then it had better wait.
func subset(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	for range 5 {
		f.addWith("size=small", 3)
		f.addWith("size=big", 2)
		f.addWith("", 3)
	}
	for i := range 10 {
		n, err := f.Pick(f.only("size=big"), f.now)
		if err != nil || n.Endpoint.Labels != "size=big" {
			t.Fatalf("call %d got %v, %v", i, n, err)
		}
	}
	for _, call := range []*rpc.Call{f.only("size=big"), refusing(f.only("size=big"))} {
		if n, err := f.Pick(call, f.now); err != balance.ErrBusy {
			t.Errorf("with all of them taken it got %v, %v", n, err)
		}
	}
	for range 30 {
		if n := f.pick(t); n.Endpoint.Labels == "size=big" {
			t.Fatal("an endpoint has more calls than slots")
		}
	}
}

// severalLabels: an endpoint has to have all of them, whatever else it has.
func severalLabels(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	f.addWith("size=big,version=v1", 2)
	want := f.addWith("version=v2,zone=x,size=big", 2)
	f.addWith("size=small,version=v2", 2)
	f.addWith("size=big", 2)
	for range 2 {
		if n, err := f.Pick(refusing(f.only("size=big,version=v2")), f.now); n != want {
			t.Errorf("picked %v, %v", n, err)
		}
	}
	if n, err := f.Pick(refusing(f.only("size=small,version=v1")), f.now); err != balance.ErrSubset {
		t.Errorf("each label is there, and never both: %v, %v", n, err)
	}
}

// subsetInTurn: calls for some endpoints, between calls for all, leave none of either out.
func subsetInTurn(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	for range 8 {
		f.Add(rpc.Endpoint{Name: name(f.names), Slots: 1000})
		f.names++
	}
	for range 2 {
		f.Add(rpc.Endpoint{Name: name(f.names), Slots: 1000, Labels: "size=big"})
		f.names++
	}
	all, some := map[*balance.Node]int{}, map[*balance.Node]int{}
	for range 1000 {
		for _, call := range []*rpc.Call{{Affinity: uint64(f.random.IntN(1000))}, f.only("size=big")} {
			n, err := f.Pick(call, f.now)
			if err != nil {
				t.Fatal(err)
			}
			if call.Subset.Labels == "" {
				all[n]++
			} else {
				some[n]++
			}
			if f.taken = append(f.taken, n); len(f.taken) > 30 {
				f.Done(f.taken[0], balance.Result{Outcome: rpc.Success, Took: time.Millisecond}, f.now)
				f.taken = f.taken[1:]
			}
		}
	}
	if len(all) < 8 || len(some) != 2 {
		t.Errorf("calls for all met %d of 10 endpoints, those for two met %d", len(all), len(some))
	}
}

// subsetAway: where no endpoint has the label, each is drained, or is down for good, the call goes to any, or is refused; where one is only
// doubted, or all are busy, it waits. One that comes, or comes back, is taken again.
func subsetAway(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	other := f.addWith("size=small", 50)
	expect := func(when string, want *balance.Node, refused error) {
		t.Helper()
		for call, want := range map[*rpc.Call]struct {
			n   *balance.Node
			err error
		}{f.only("size=big"): {want, nil}, refusing(f.only("size=big")): {want, nil}} {
			if call.Subset.Refuse && refused != nil {
				want.n, want.err = nil, refused
			}
			if n, err := f.Pick(call, f.now); n != want.n || err != want.err {
				t.Fatalf("%s: refuse %v: %v, %v", when, call.Subset.Refuse, n, err)
			} else if n != nil {
				f.Done(n, balance.Result{}, f.now)
			}
		}
	}
	expect("nobody has the label", other, balance.ErrSubset)
	big := f.addWith("size=big", 1)
	expect("one has come", big, nil)
	f.drain(big, true)
	expect("it is drained", other, balance.ErrSubset)
	f.drain(big, false)
	for range 2 {
		big.InFlight++
		f.Done(big, balance.Result{Outcome: rpc.Refused}, f.now)
	}
	for _, call := range []*rpc.Call{f.only("size=big"), refusing(f.only("size=big"))} {
		if n, err := f.Pick(call, f.now); err != balance.ErrBusy {
			t.Fatalf("it is doubted: %v, %v", n, err)
		}
	}
	big.InFlight++
	f.Done(big, balance.Result{Outcome: rpc.Refused}, f.now)
	expect("it is down", other, balance.ErrSubset)
	f.now = f.now.Add(5 * time.Second)
	expect("it may be tried again", big, nil)
	f.Remove(big)
	expect("it is gone", other, balance.ErrSubset)
	f.Return(big)
	f.label(big, "size=small")
	if n, err := f.Pick(refusing(f.only("size=big")), f.now); err != balance.ErrSubset {
		t.Errorf("it is another size now: %v, %v", n, err)
	}
}

// subsetAvoid: the endpoint to avoid is taken where no other with the label is free, and not one without it.
func subsetAvoid(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	f.addWith("", 4)
	a, b := f.addWith("size=big", 1), f.addWith("size=big", 1)
	for _, want := range []*balance.Node{b, a} {
		call := f.only("size=big")
		call.Avoid = a.Endpoint.Name
		if n, err := f.Pick(call, f.now); n != want {
			t.Errorf("picked %v, %v", n, err)
		}
	}
}

// subsetZone: of the endpoints with the label those of the own zone come first; a zone that has none of them has no say.
func subsetZone(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	f.Place("a")
	for _, zone := range []string{"a", "b"} {
		for _, labels := range []rpc.Labels{"size=big", "size=small"} {
			f.label(f.addIn(zone, 4), labels)
		}
	}
	f.label(f.addIn("b", 4), "size=huge")
	for i := range 8 {
		n, err := f.Pick(f.only("size=big"), f.now)
		if err != nil || n.Endpoint.Labels != "size=big" || (n.Endpoint.Zone == "a") != (i < 4) {
			t.Fatalf("call %d: %+v, %v", i, n, err)
		}
	}
	if n, err := f.Pick(f.only("size=huge"), f.now); err != nil || n.Endpoint.Zone != "b" {
		t.Errorf("%v, %v", n, err)
	}
}

// subsetPanic: an ejected endpoint gets calls for its label where fewer than half of those with it are up, and no other calls while most of the
// fleet is up.
func subsetPanic(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	for range 4 {
		f.addWith("", 4)
	}
	big := f.addWith("size=big", 4)
	for range 8 {
		big.InFlight++
		f.Done(big, balance.Result{Outcome: rpc.ClosedNoReply}, f.now)
	}
	if big.State() != balance.Ejected {
		t.Fatalf("it is %s", big.State())
	}
	for range 16 {
		if f.pick(t) == big {
			t.Fatal("it got a call that others could take")
		}
	}
	if n, err := f.Pick(f.only("size=big"), f.now); n != big {
		t.Errorf("a call for its label got %v, %v", n, err)
	}
	if n, err := f.Pick(f.only("size=big"), f.now); err != balance.ErrBusy {
		t.Errorf("a second one at a time got %v, %v", n, err)
	}
}

// subsetHedge: a hedge gets an endpoint with the label while no more than 60 % of those are taken, however many others are free.
func subsetHedge(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	for range 4 {
		f.addWith("", 10)
	}
	a, b := f.addWith("size=big", 5), f.addWith("size=big", 5)
	hedge := f.only("size=big")
	hedge.Hedge, hedge.Avoid = true, a.Endpoint.Name
	if n, err := f.Pick(hedge, f.now); n != b {
		t.Errorf("picked %v, %v", n, err)
	}
	for range 6 {
		if _, err := f.Pick(f.only("size=big"), f.now); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := f.Pick(hedge, f.now); err != balance.ErrBusy {
		t.Errorf("with 7 of 10 slots taken: %v, %v", n, err)
	}
}

// subsetInsist: a call that has waited because of what others have gets its even part of the slots of those with the label, there.
func subsetInsist(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	f.addWith("", 2)
	big := f.addWith("size=big", 2)
	f.SetOthers(big, 2, 2)
	call := f.only("size=big")
	if n, err := f.Pick(call, f.now); err != balance.ErrBusy {
		t.Fatalf("%v, %v", n, err)
	}
	if n, err := f.Insist(call, 2, f.now); n != big {
		t.Errorf("%v, %v", n, err)
	}
	if n, err := f.Insist(call, 2, f.now); err != balance.ErrBusy {
		t.Errorf("beyond its part: %v, %v", n, err)
	}
}

// anyLabels: whatever labels callers think of, and however many that there are, each call gets what it asks for.
func anyLabels(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	text := func(i int) string { return string(rune('a'+i%26)) + string(rune('a'+i/26%26)) }
	for i := range 300 {
		f.addWith(rpc.Labels("shard="+text(i)), 10)
	}
	for i := range 2000 {
		labels := rpc.Labels("shard=" + text(i))
		n, err := f.Pick(refusing(f.only(labels)), f.now)
		if known := i%676 < 300; known && (err != nil || n.Endpoint.Labels != labels) || !known && err != balance.ErrSubset {
			t.Fatalf("%s: %v, %v", labels, n, err)
		}
	}
}

// subsetAllocation: once a subset is known, a pick in it allocates nothing, nor does one of labels that nobody has.
func subsetAllocation(t *testing.T, p balance.Policy) {
	f := newFleet(p, 1)
	for i := range 20 {
		f.addWith(sizes[i%len(sizes)], 4)
	}
	calls := []*rpc.Call{f.only("size=big"), f.only("size=big,version=v2"), f.only("size=unheard"), f.only("size=small,version=v2")}
	i, now := 0, f.now
	pick := func() {
		now = now.Add(time.Millisecond)
		n, err := f.Pick(calls[i%len(calls)], now)
		if err != nil {
			t.Fatal(err)
		}
		f.Done(n, balance.Result{Outcome: rpc.Success, Took: 5 * time.Millisecond}, now)
		i++
	}
	for range calls {
		pick()
	}
	if n := testing.AllocsPerRun(1000, pick); n != 0 {
		t.Errorf("%v allocations a pick", n)
	}
}
