package lease

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// sometimes a few calls come.
func sometimes(g *gateway) {
	if g.w.chance(0.1) {
		g.call(1 + g.w.random.IntN(3))
	}
}

// seeds runs f with n seeds, on two goroutines; a tenth of them with -short, and under the race detector, which finds nothing in a world
// without goroutines and takes ten times as long.
func seeds(t *testing.T, n uint64, f func(seed uint64) error) {
	if testing.Short() || raceEnabled {
		n /= 10
	}
	var all sync.WaitGroup
	for part := range uint64(2) {
		all.Go(func() {
			for seed := part; seed < n && !t.Failed(); seed += 2 {
				if err := f(seed); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	all.Wait()
}

// Whatever the network does, and whoever ends, is killed, comes back or is cut off: the gateways together never have more connections
// than slots. Afterwards, once the network is whole, no call waits while a slot is idle, but for the time of a few messages.
func TestNeverMoreConnectionsThanSlots(t *testing.T) {
	shapes := [][]int{{4}, {1, 1, 1, 1}, {5, 2}, {3}, {8}, {3, 4, 6}}
	seeds(t, 1000, func(seed uint64) error {
		w := newWorld(seed, 3, shapes[seed%uint64(len(shapes))])
		if slices.Min(w.slots) < 3 { // fewer than gateways: those that are cut off have one each
			w.allow = 3
		}
		w.loss, w.twice = 0.3*w.random.Float64(), 0.3*w.random.Float64()
		w.delay = time.Millisecond + w.upTo(60*time.Millisecond)
		for _, g := range w.gws {
			g.greedy = w.chance(0.3)
			if w.chance(0.5) {
				g.load = sometimes
			}
			w.after(w.upTo(200*time.Millisecond), g.start)
		}
		for range 8 {
			w.run(w.upTo(700 * time.Millisecond))
			w.disturb()
		}
		w.heal()
		w.run(1200 * time.Millisecond)
		w.idle, w.since = 0, time.Time{}
		w.gws[w.random.IntN(3)].greedy = true
		w.run(500 * time.Millisecond)
		switch {
		case w.over != "":
			return fmt.Errorf("%s", w.over)
		case w.idle > settled:
			return fmt.Errorf("calls waited for %v while slots were idle: %v", w.idle, w)
		}
		return nil
	})
}

// settled is the longest for which calls may wait while any slot is idle, where nothing is wrong. One that is handed on takes two orders
// with their acknowledgements and the closing of a connection, at 1 ms at most each; several may follow one another.
const settled = 30 * time.Millisecond

// disturb does one thing to the world.
func (w *world) disturb() {
	g, other := w.gws[w.random.IntN(len(w.gws))], w.gws[w.random.IntN(len(w.gws))]
	switch w.random.IntN(8) {
	case 0:
		g.kill()
	case 1:
		if g.node != nil && !g.leaving {
			g.leave()
		}
	case 2, 3:
		if g.node == nil {
			g.start()
		}
	case 4: // in one direction
		w.cut[[2]int{g.i, other.i}] = true
	case 5:
		w.isolate(g)
	case 6:
		clear(w.cut)
	case 7: // the load moves
		g.greedy, other.greedy = other.greedy, g.greedy
		g.waiting, other.waiting = 0, 0
	}
}

// isolate cuts a gateway off from all others.
func (w *world) isolate(g *gateway) {
	for i := range w.gws {
		w.cut[[2]int{g.i, i}], w.cut[[2]int{i, g.i}] = true, true
	}
}

// heal makes the network whole and starts every gateway.
func (w *world) heal() {
	clear(w.cut)
	w.loss, w.twice, w.delay = 0, 0, time.Millisecond
	for _, g := range w.gws {
		if g.node == nil {
			g.start()
		}
		g.leaving = false
	}
}

// calm returns a world of three gateways without trouble that have found each other.
func calm(t *testing.T, seed uint64, slots ...int) *world {
	w := newWorld(seed, 3, slots)
	for _, g := range w.gws {
		g.start()
	}
	w.run(time.Second)
	for k := range slots {
		sum := 0
		for _, g := range w.gws {
			sum += g.limit[k]
		}
		if sum != slots[k] {
			t.Fatalf("%d of %d slots are given out: %v", sum, slots[k], w)
		}
	}
	w.idle, w.since, w.wasted = 0, time.Time{}, 0
	return w
}

// check fails the test where there were too many connections, or calls waited for longer than limit while slots were idle.
func (w *world) verdict(t *testing.T, limit time.Duration) {
	t.Helper()
	if w.over != "" {
		t.Error(w.over)
	}
	if w.idle > limit {
		t.Errorf("calls waited for %v while slots were idle: %v", w.idle, w)
	}
}

// Where all want more than there is each gets an even part, whatever their calls take: the one that has had least comes first.
func TestEvenParts(t *testing.T) {
	for _, slots := range [][]int{{1}, {4}, {1, 1, 1, 1}, {2, 5}} {
		for _, took := range []time.Duration{2 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond} {
			t.Run(fmt.Sprint(slots, took), func(t *testing.T) {
				w := calm(t, 1, slots...)
				for _, g := range w.gws {
					g.work = func() time.Duration { return took }
					g.greedy = true
				}
				w.run(20 * time.Second)
				all := 0
				for _, n := range slots {
					all += n
				}
				if w.wasted > 20*time.Second*time.Duration(all)/10 {
					t.Errorf("slots were idle for %v of %d × 20s while calls waited", w.wasted, all)
				}
				t.Logf("idle while calls waited: %.1f %%; served %v", 100*w.wasted.Seconds()/20/float64(all), w.served)
				sum := w.served[0] + w.served[1] + w.served[2]
				for i, n := range w.served {
					if n < sum*8/30 {
						t.Errorf("gateway %d was served %d of %d calls", i, n, sum)
					}
				}
				w.verdict(t, settled)
			})
		}
	}
}

// Who wants less than an even part gets it at once, though the others could use everything.
func TestLittleIsGivenAtOnce(t *testing.T) {
	w := calm(t, 2, 4)
	w.gws[0].greedy, w.gws[1].greedy = true, true
	for _, g := range w.gws {
		g.work = func() time.Duration { return 10 * time.Millisecond }
	}
	w.run(time.Second)
	before := w.served[2]
	for range 50 {
		w.gws[2].call(1)
		w.run(30 * time.Millisecond) // one call of another that has to end, its own, and the messages
	}
	if got := w.served[2] - before; got != 50 {
		t.Errorf("%d of 50 calls were served in time: %v", got, w)
	}
	w.verdict(t, settled)
}

// All load moves from gateway to gateway, and all slots move with it.
func TestLoadMoves(t *testing.T) {
	for _, slots := range [][]int{{4}, {1, 1, 1, 1}} {
		w := calm(t, 3, slots...)
		for round := range 12 {
			for i, g := range w.gws {
				g.greedy, g.waiting = i == round%3, 0
			}
			w.run(400 * time.Millisecond)
			for k, slots := range slots {
				if g := w.gws[round%3]; g.busy[k] != slots {
					t.Errorf("round %d: %v", round, w)
				}
			}
		}
		w.verdict(t, settled)
	}
}

// The slots of a gateway that was killed go to the others once its host has said for a while that nobody listens; those of one that ends
// in order at once; and one that comes back gets its part again.
func TestMembersComeAndGo(t *testing.T) {
	w := calm(t, 4, 4)
	for _, g := range w.gws {
		g.greedy = true
	}
	w.run(time.Second)
	for _, i := range []int{0, 1, 2, 0} { // the arbiter is among them
		w.gws[i].kill()
		w.run(time.Second)
		w.verdict(t, w.times.Refusals+w.times.Heartbeat*3)
		w.gws[i].start()
		w.run(time.Second)
		w.idle = 0
		w.gws[(i+1)%3].leave()
		w.run(time.Second)
		w.verdict(t, 2*w.times.Heartbeat)
		w.gws[(i+1)%3].start()
		w.run(time.Second)
		w.idle = 0
	}
	before := slices.Clone(w.served)
	w.run(5 * time.Second)
	for i := range w.gws {
		if w.served[i]-before[i] < 50 {
			t.Errorf("gateway %d was served %d calls of %v", i, w.served[i]-before[i], w)
		}
	}
}

// A gateway that falls silent and is not proven to be gone keeps its static share, and the others have theirs: at first nobody takes more
// than it has. When it is heard again all is shared as before.
func TestCutOff(t *testing.T) {
	w := calm(t, 5, 6)
	w.gws[1].greedy = true
	w.run(time.Second)
	if w.gws[1].limit[0] != 6 {
		t.Fatal(w)
	}
	w.isolate(w.gws[1])
	for _, g := range w.gws {
		g.greedy = true
	}
	w.run(w.times.Silence + w.hold + 2*w.times.Heartbeat)
	if g := w.gws[1]; g.limit[0] != 2 || g.open(0) != 2 || w.gws[0].open(0) != 0 {
		t.Errorf("after the silence: %v", w)
	}
	w.run(5*w.times.Silence + w.hold)
	for _, g := range w.gws {
		if g.limit[0] != 2 {
			t.Errorf("after the quarantine: %v", w)
		}
	}
	w.heal()
	w.gws[0].greedy, w.gws[2].greedy, w.gws[0].waiting, w.gws[2].waiting = false, false, 0, 0
	w.run(time.Second)
	if w.gws[1].limit[0] != 6 {
		t.Errorf("healed: %v", w)
	}
	if w.over != "" {
		t.Error(w.over)
	}
	for _, text := range []string{"gateway joined", "gateway cut off", "static share", "shared again", "arbiter"} {
		if w.events[text] == 0 {
			t.Errorf("no event %q of %v", text, slices.Collect(maps.Keys(w.events)))
		}
	}
}

// Two gateways that do not hear each other, while a third one hears both: nobody gives orders to the one that does not hear the arbiter, so
// it keeps to its static share as if it were alone, and so do the others.
func TestPartlyCutOff(t *testing.T) {
	w := calm(t, 7, 6)
	w.gws[2].greedy = true
	w.run(time.Second)
	if w.gws[2].limit[0] != 6 {
		t.Fatal(w)
	}
	w.cut[[2]int{0, 2}], w.cut[[2]int{2, 0}] = true, true
	for _, g := range w.gws {
		g.greedy = true
	}
	w.run(2*w.times.Silence + w.hold + 2*w.times.Heartbeat)
	if g := w.gws[2]; g.limit[0] != 2 || g.open(0) != 2 || !g.node.alone {
		t.Errorf("after the silence: %v", w)
	}
	w.run(6*w.times.Silence + w.hold)
	for _, g := range w.gws {
		if g.limit[0] != 2 {
			t.Errorf("after the quarantine: %v", w)
		}
	}
	w.heal()
	w.run(time.Second)
	w.idle, w.since = 0, time.Time{}
	w.run(time.Second)
	w.verdict(t, settled)
	if w.gws[2].node.alone || w.gws[0].node.static {
		t.Errorf("healed: %v", w)
	}
}

// What a gateway has said is of no use to anybody who says it again: not while it lives, not when it has ended, and not when it has begun anew.
func TestReplayedMessages(t *testing.T) {
	w := calm(t, 8, 4)
	var said []func() bool
	w.overheard = func(to *gateway, from int, raw []byte) {
		if from == 1 && to.i == 0 {
			said = append(said, func() bool {
				m, err := Parse(raw)
				return err == nil && to.node.Receive(to.from(from), m, w.now)
			})
		}
	}
	w.gws[1].greedy = true
	w.run(time.Second)
	w.overheard = nil
	replay := func(when string) {
		t.Helper()
		for i, again := range said {
			if again() {
				t.Errorf("%s, message %d of %d is taken", when, i, len(said))
			}
		}
		w.run(200 * time.Millisecond)
		if w.over != "" {
			t.Errorf("%s: %s", when, w.over)
		}
	}
	replay("while it lives")
	w.gws[1].kill()
	w.run(time.Second)
	replay("when it is gone")
	if members, _, _ := w.gws[0].node.Members(); members[1].State != "gone" {
		t.Errorf("members %v", members)
	}
	w.gws[1].start()
	w.run(time.Second)
	replay("when it has begun anew")
	if members, _, _ := w.gws[0].node.Members(); members[1].State != "alive" {
		t.Errorf("members %v", members)
	}
}

// Who the others are may change while calls run.
func TestPeersChange(t *testing.T) {
	w := calm(t, 6, 4)
	w.gws[0].greedy, w.gws[1].greedy = true, true
	w.gws[2].leave()
	w.run(200 * time.Millisecond)
	w.gws[0].node.SetPeers([]string{"1"}, w.hold, w.now) // their numbers stay: 2 is the last
	w.gws[1].node.SetPeers([]string{"0"}, w.hold, w.now)
	w.idle = 0
	w.run(3 * time.Second)
	w.verdict(t, settled)
	if w.gws[0].node.static || w.gws[1].node.alone || w.gws[0].limit[0]+w.gws[1].limit[0] != 4 {
		t.Error(w)
	}
}
