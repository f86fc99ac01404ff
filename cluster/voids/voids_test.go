package voids

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// longest is how long anything that was made void elsewhere may be kept, whatever happens: by a clock that may be slow, and looked at now and then.
const longest = time.Second*102/100 + 100*time.Millisecond

// Whatever the network does, whoever comes, ends, is killed, freezes or is cut off, and whatever the gateways' clocks show: what one gateway has made
// void no other keeps for longer than Patience. When the network is whole again all is heard soon, and nothing is dropped any more.
func TestAnyNetwork(t *testing.T) {
	seeds := uint64(100)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		if err := anyNetwork(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func anyNetwork(seed uint64) error {
	w := newWorld(seed, 2+int(seed%4))
	w.loss, w.twice, w.delay = 0.5*w.random.Float64(), 0.3*w.random.Float64(), w.upTo(60*time.Millisecond)
	rate := []int{0, 1, 10, 100}[w.random.IntN(4)] // per tick and gateway, about
	for range 12 {
		w.disturb()
		for end := w.now + w.upTo(700*time.Millisecond); w.now < end; {
			i := w.random.IntN(len(w.gws))
			for range rate {
				if g := w.gws[i]; g.Ledger != nil && !g.frozen && g.follows.IsZero() {
					w.makeVoid(i)
				}
			}
			w.run(tick * time.Duration(1+w.random.IntN(20)))
			if err := w.overdue(longest); err != nil {
				return err
			}
		}
	}
	w.heal()
	w.run(time.Second)
	drops := w.drops()
	for i := range w.gws {
		w.makeVoid(i)
	}
	w.run(3 * time.Second)
	if w.unknown() > 0 || w.drops() > drops {
		return fmt.Errorf("healed: %d are not known, %d times was all dropped", w.unknown(), w.drops()-drops)
	}
	return nil
}

// disturb does one thing to the world.
func (w *world) disturb() {
	i, j := w.random.IntN(len(w.gws)), w.random.IntN(len(w.gws))
	g := w.gws[i]
	switch w.random.IntN(8) {
	case 0:
		w.kill(i)
	case 1:
		if g.Ledger != nil && !g.frozen {
			w.end(i)
		}
	case 2, 3:
		if g.Ledger == nil {
			w.start(i)
		}
	case 4: // in one direction
		w.cut[[2]int{i, j}] = true
	case 5: // from all others
		for k := range w.gws {
			w.cut[[2]int{i, k}], w.cut[[2]int{k, i}] = true, true
		}
	case 6:
		clear(w.cut)
	case 7:
		g.frozen = !g.frozen
	}
}

// heal makes the network whole and starts every gateway.
func (w *world) heal() {
	clear(w.cut)
	w.loss, w.twice, w.delay = 0, 0, tick
	for i, g := range w.gws {
		if g.Ledger == nil {
			w.start(i)
		}
		g.frozen = false
	}
}

// With 1 % of the datagrams lost, what is made void on one gateway is void on the others within 50 ms at p99, nothing is dropped, and it is told
// again no more than it has to be. (CA-4)
func TestKnownSoon(t *testing.T) {
	for seed := range uint64(2) {
		for _, burst := range []int{1, 10, 500} {
			w := newWorld(seed, 3)
			w.loss, w.delay = 0.01, 2*time.Millisecond
			w.run(200 * time.Millisecond)
			w.sent, w.bytes = 0, 0
			for range 1000 {
				for range burst {
					w.makeVoid(w.random.IntN(3))
				}
				w.run(w.upTo(20 * time.Millisecond))
			}
			w.run(time.Second)
			if w.unknown() > 0 || w.drops() > 0 || len(w.delays) != 2000*burst {
				t.Fatalf("seed %d: %d of %d are known, %d are not, %d times was all dropped", seed, len(w.delays), 2000*burst, w.unknown(), w.drops())
			}
			slices.Sort(w.delays)
			p := func(q float64) time.Duration { return w.delays[int(q*float64(len(w.delays)-1))] }
			repeated := int64(0)
			for _, g := range w.gws {
				repeated += g.Counts().Repeated
			}
			if p(0.99) > 50*time.Millisecond || p(1) > 150*time.Millisecond || repeated > int64(len(w.delays))/10 {
				t.Errorf("seed %d: p99 %v, at most %v, %d of %d repeated", seed, p(0.99), p(1), repeated, len(w.delays))
			}
			t.Logf("seed %d, %d at a time: p50 %v, p99 %v, at most %v; %d repeated; %d messages, %d bytes a second", seed, burst, p(0.5), p(0.99), p(1),
				repeated, int(float64(w.sent)/w.now.Seconds()), int(float64(w.bytes)/w.now.Seconds()))
		}
	}
}

// calm is a world of three gateways that have heard each other.
func calm(seed uint64) *world {
	w := newWorld(seed, 3)
	w.run(300 * time.Millisecond)
	return w
}

// A gateway that ends in order, and one that begins, cost nobody a reply; one that is killed may have taken with it what nobody was told.
func TestRestart(t *testing.T) {
	w := calm(1)
	for range 100 {
		w.makeVoid(2)
	}
	w.end(2)
	w.run(time.Second)
	w.start(2)
	for range 100 { // before anybody has heard of it
		w.makeVoid(2)
	}
	w.run(time.Second)
	if w.drops() != 0 || w.unknown() > 0 {
		t.Errorf("in order: %d times was all dropped, %d are not known", w.drops(), w.unknown())
	}
	w.kill(2)
	w.run(time.Second)
	w.start(2)
	w.makeVoid(2)
	w.run(time.Second)
	for i, g := range w.gws[:2] {
		if c := g.Counts(); g.drops != 1 || c.Ends != 1 || c.Gaps != 0 || c.Heard != 201 {
			t.Errorf("gateway %d has dropped %d times: %+v", i, g.drops, c)
		}
	}
	if w.gws[2].drops != 0 {
		t.Errorf("the one that began has dropped %d times", w.gws[2].drops)
	}
}

// A gateway that is away for less than Patience, or does not run, hears afterwards what it has missed, and drops nothing. One that is away for
// longer drops all once each Patience, as the others do, and once more if it has missed what is not repeated.
func TestPartition(t *testing.T) {
	for _, tt := range []struct {
		name   string
		away   time.Duration
		frozen bool
		void   int
		drops  int // of each
		gaps   int // of the one that was away
	}{
		{name: "shortly", away: 800 * time.Millisecond, void: 1000},
		{name: "frozen shortly", away: 800 * time.Millisecond, frozen: true, void: 1000},
		{name: "for long", away: 4600 * time.Millisecond, void: 1000, drops: 4, gaps: 1},
		{name: "for long, with nothing to tell", away: 4600 * time.Millisecond, drops: 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := calm(2)
			if w.gws[2].frozen = tt.frozen; !tt.frozen {
				for k := range 2 {
					w.cut[[2]int{2, k}], w.cut[[2]int{k, 2}] = true, true
				}
			}
			for range tt.void {
				w.makeVoid(0)
			}
			w.run(tt.away)
			w.heal()
			w.run(100 * time.Millisecond)
			if w.unknown() > 0 {
				t.Errorf("%d are not known", w.unknown())
			}
			w.run(3 * time.Second)
			for i, g := range w.gws {
				gaps := 0
				if i == 2 {
					gaps = tt.gaps
				}
				if g.drops != tt.drops+gaps || g.Counts().Gaps != int64(gaps) || g.Silent(w.clock(g)) != 0 {
					t.Errorf("gateway %d has dropped %d times, %+v", i, g.drops, g.Counts())
				}
			}
		})
	}
}

// While a gateway is silent, the others know.
func TestSilent(t *testing.T) {
	w := calm(3)
	w.gws[2].frozen = true
	w.run(1200 * time.Millisecond)
	for i, g := range w.gws[:2] {
		if n := g.Silent(w.clock(g)); n != 1 || g.drops != 1 || g.Counts().Silences != 1 {
			t.Errorf("gateway %d: %d are silent, it has dropped %d times", i, n, g.drops)
		}
	}
}

// What is made void faster than it can be told takes no more memory or bytes: the others drop all instead.
func TestOverflow(t *testing.T) {
	w := calm(4)
	for range 10 * Remembered {
		w.makeVoid(0)
	}
	w.sent = 0
	w.run(20 * time.Millisecond)
	if w.unknown() > 0 {
		t.Errorf("%d are not known", w.unknown())
	}
	if most := 2 * (Remembered/MaxIDs + 20); w.sent > most {
		t.Errorf("%d messages", w.sent)
	}
	for i, g := range w.gws[1:] {
		if c := g.Counts(); c.Gaps != 1 || g.drops != 1 || c.Heard > Remembered {
			t.Errorf("gateway %d: %+v", i+1, c)
		}
	}
	if n := len(w.gws[0].ids); n != Remembered {
		t.Errorf("%d are remembered", n)
	}
}

// A gateway that keeps no replies says nothing of itself, answers those that do, and tells what it makes void. Where nobody keeps any, nobody
// says anything.
func TestNothingKept(t *testing.T) {
	w := calm(5)
	w.gws[0].keeps, w.gws[1].keeps = false, false
	w.kill(2)
	for i := range 2 {
		w.end(i)
		w.start(i)
	}
	w.run(100 * time.Millisecond)
	w.sent = 0
	w.run(10 * time.Second)
	if w.sent > 0 {
		t.Errorf("%d messages were sent though nobody keeps a reply", w.sent)
	}
	w.end(0)
	w.end(1)
	if w.sent > 0 {
		t.Errorf("%d messages were sent to say goodbye to nobody", w.sent)
	}
	for i := range w.gws {
		w.start(i)
	}
	w.run(100 * time.Millisecond)
	w.gws[2].drops, w.sent = 0, 0
	w.makeVoid(0)
	w.run(10 * time.Second)
	if g := w.gws[2]; g.drops != 0 || w.unknown() != 0 || g.Silent(w.clock(g)) != 0 {
		t.Errorf("%d times was all dropped, %d are not known", g.drops, w.unknown())
	}
	if w.sent < 600 || w.sent > 900 {
		t.Errorf("%d messages in 10 s, where one asks two others 20 times a second", w.sent)
	}
}

// Where another run serves in a gateway's place, neither that one nor the others keep a reply for longer than Patience, until the other run
// is heard.
func TestFollowed(t *testing.T) {
	w := calm(6)
	w.gws[2].SetFollowed(true, w.clock(w.gws[2]))
	w.run(2500 * time.Millisecond)
	for i, g := range w.gws {
		if g.drops != 2 {
			t.Errorf("gateway %d has dropped %d times", i, g.drops)
		}
	}
	began := w.now
	w.end(2)
	w.start(2)
	w.gws[2].began = began - 3*time.Second
	w.run(2500 * time.Millisecond)
	if n := w.drops(); n != 6 {
		t.Errorf("after that too: %d", n)
	}
}

// Who the others are may change: those that stay are not disturbed, and one that is taken out while it is there may have told in vain.
func TestPeersChange(t *testing.T) {
	w := calm(7)
	g := w.gws[0]
	g.SetPeers([]string{"2", "1", "new"}, w.clock(g))
	if p := g.peers; p[0].run != w.gws[2].inc || p[1].run != w.gws[1].inc || p[2].run != 0 || g.Lost() {
		t.Errorf("%+v", p)
	}
	g.SetPeers([]string{"2"}, w.clock(g))
	if !g.Lost() || g.Counts().Ends != 1 {
		t.Errorf("%+v", g.Counts())
	}
}

// A message that comes again, late, or out of order makes nothing void twice, but for what came before its turn; one of another run or to another
// run, or that answers what was never said, makes nothing void at all.
func TestReordered(t *testing.T) {
	l := pair()
	id := func(n uint64) ID { return ID{byte(n)} }
	say := func(number, first uint64, n int) *Message {
		m := &Message{From: 1, Number: number, EchoFrom: 3, Head: 9, Base: 1, First: first}
		for k := range n {
			m.IDs = append(m.IDs, id(first+uint64(k)))
		}
		return m
	}
	second := uint64(time.Second)
	future, stranger, other := say(second, 1, 1), say(second, 1, 1), say(second, 1, 1)
	future.EchoNumber, stranger.From, other.EchoFrom = 1, 2, 4
	for i, tt := range []struct {
		m     *Message
		want  []ID
		taken bool
	}{
		{future, nil, false},
		{stranger, nil, false},
		{other, nil, false},
		{say(second, 1, 2), []ID{id(1), id(2)}, true},
		{say(second, 1, 2), nil, false},
		{say(second+2, 5, 2), []ID{id(5), id(6)}, true},
		{say(second+1, 2, 3), []ID{id(3), id(4)}, true},
		{say(second+3, 5, 2), nil, true},
		{say(second+2, 5, 2), nil, false},
		{say(second/2, 7, 2), nil, false},
		{say(second-second/5, 7, 2), []ID{id(7), id(8)}, true},
	} {
		got, taken := l.Receive(0, tt.m, begin)
		if !slices.Equal(got, tt.want) || taken != tt.taken {
			t.Errorf("message %d: %v, taken %v", i, got, taken)
		}
	}
	if l.peers[0].next != 9 || l.Lost() {
		t.Errorf("next is %d", l.peers[0].next)
	}
}

// BenchmarkTell is one thing that is made void and told to 15 others, who acknowledge it.
func BenchmarkTell(b *testing.B) {
	w := newWorld(1, 16)
	w.run(200 * time.Millisecond)
	b.ReportAllocs()
	for b.Loop() {
		w.gws[0].Tell([]ID{{1}})
		w.run(tick)
	}
}
