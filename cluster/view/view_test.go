package view

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// world is gateways that tell each other their calls over a network that loses, delays, doubles and reorders messages, in virtual time of
// which each gateway has a clock of its own.
type world struct {
	random      *rand.Rand
	now         time.Duration
	endpoints   int
	gws         []*gateway
	flying      []message
	loss, twice float64
	delay       time.Duration // of a message, at most
	cut         map[[2]int]bool
	sent        int
}

type message struct {
	at       time.Duration
	from, to int
	m        Message
}

// gateway is a view and what its owner would do with it.
type gateway struct {
	*View
	offset time.Duration // of its clock
	drift  float64       // of its clock's speed
	calls  []int         // by endpoint
	past   [][]int       // calls at each tick of the world, the last one at the end
	seen   []int         // Others, by endpoint
	runs   []uint64      // of the peers, whose words it takes
	inc    uint64
}

const (
	tick   = time.Millisecond // of the world
	period = 5 * tick         // of the views
)

func newWorld(seed uint64, gateways, endpoints int) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 1)), endpoints: endpoints, delay: tick, cut: map[[2]int]bool{}}
	for range gateways {
		g := &gateway{
			calls: make([]int, endpoints), past: make([][]int, 0, 1000), offset: time.Duration(w.random.Int64N(int64(100 * time.Hour))),
			drift: 1 + 0.02*(w.random.Float64()-0.5),
		}
		w.gws = append(w.gws, g)
	}
	for i := range w.gws {
		w.start(i)
	}
	return w
}

func (w *world) clock(g *gateway) time.Time {
	return time.Unix(1e9, 0).Add(g.offset + time.Duration(float64(w.now)*g.drift))
}

// start begins a gateway's next run.
func (w *world) start(i int) {
	g := w.gws[i]
	g.inc = w.random.Uint64() | 1
	g.View = New(g.inc, w.clock(g), DefaultTimes(), len(w.gws))
	g.runs, g.seen = make([]uint64, len(w.gws)), make([]int, w.endpoints)
}

// kill ends it without a word.
func (w *world) kill(i int) {
	g := w.gws[i]
	g.View = nil
	clear(g.calls)
}

func address(e int) string { return fmt.Sprint("e", e) }

// run lets d pass; change is called for each gateway at each of its ticks.
func (w *world) run(d time.Duration, change func(g *gateway)) {
	for end := w.now + d; w.now < end; {
		w.now += tick
		w.deliver()
		for i, g := range w.gws {
			if g.View != nil && (int(w.now/tick)+i)%int(period/tick) == 0 {
				if change != nil {
					change(g)
				}
				w.tell(i)
			}
			g.past = append(g.past, slices.Clone(g.calls))
		}
	}
}

func (w *world) tell(i int) {
	g := w.gws[i]
	calls := []Calls{}
	for e, n := range g.calls {
		calls = append(calls, Calls{address(e), n})
	}
	g.Own("Users", calls)
	for _, m := range g.Tell(w.clock(g)) {
		w.sent++
		for to := range w.gws {
			for range 1 + w.times(w.twice) {
				if to != i && !w.cut[[2]int{i, to}] && w.random.Float64() >= w.loss {
					w.flying = append(w.flying, message{w.now + 1 + time.Duration(w.random.Int64N(int64(w.delay))), i, to, m})
				}
			}
		}
	}
	g.see()
}

func (w *world) times(p float64) int {
	if w.random.Float64() < p {
		return 1
	}
	return 0
}

func (w *world) deliver() {
	keep := w.flying[:0]
	for _, f := range w.flying {
		if f.at > w.now {
			keep = append(keep, f)
			continue
		}
		g, from := w.gws[f.to], w.gws[f.from]
		if g.View == nil || f.m.From != from.inc { // package lease finds out which run a peer is at
			continue
		}
		if g.runs[f.from] != f.m.From {
			g.runs[f.from] = f.m.From
			g.Forget(f.from)
		}
		g.Receive(f.from, &f.m, w.clock(g))
		g.see()
	}
	w.flying = keep
}

func (g *gateway) see() {
	for _, c := range g.Others("Users", nil) {
		var e int
		_, _ = fmt.Sscanf(c.Address, "e%d", &e)
		g.seen[e] = c.Calls
	}
}

// others is what the others of gateway i have in flight, as it is.
func (w *world) others(i, e int) (sum int) {
	for j, g := range w.gws {
		if j != i {
			sum += g.calls[e]
		}
	}
	return sum
}

// true reports where a gateway does not see what is.
func (w *world) wrong() error {
	for i, g := range w.gws {
		for e := range w.endpoints {
			if g.View != nil && g.seen[e] != w.others(i, e) {
				return fmt.Errorf("gateway %d sees %d calls of others at endpoint %d, there are %d", i, g.seen[e], e, w.others(i, e))
			}
		}
	}
	return nil
}

// excess reports where a gateway sees more calls than each of the others has had at one moment or another within the time for which a word
// holds, on its way and after it.
func (w *world) excess(within time.Duration) error {
	for i, g := range w.gws {
		for e := range w.endpoints {
			if g.View == nil || g.seen[e] == 0 {
				continue
			}
			most := 0
			for j, o := range w.gws {
				if j == i {
					continue
				}
				had := 0
				for _, calls := range o.past[max(0, len(o.past)-int(within/tick)):] {
					had = max(had, calls[e])
				}
				most += had
			}
			if g.seen[e] > most {
				return fmt.Errorf("at %v gateway %d sees %d calls of others at endpoint %d, there were at most %d", w.now, i, g.seen[e], e, most)
			}
		}
	}
	return nil
}

// lasts is how long a word counts, at most, from when it was true: on its way, then until it is let go of, by a clock that may be slow.
func (w *world) lasts() time.Duration {
	t := DefaultTimes()
	return t.Refresh + period + w.delay + (t.Expiry+t.Expiry/8)*102/100 + 2*period
}

// Whatever the network does, whoever comes, goes or is cut off, and whatever the gateways' clocks show: nobody sees more calls than there
// were a moment ago, so that no endpoint is taken for longer than a word holds. When the network is whole again, everybody sees what there is;
// when no call is left, nothing, and nobody says anything.
func TestAnyNetwork(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		w := newWorld(seed, 2+int(seed%4), 1+int(seed%7))
		w.loss, w.twice = 0.5*w.random.Float64(), 0.3*w.random.Float64()
		w.delay = time.Duration(1 + w.random.Int64N(int64(60*time.Millisecond)))
		busy := func(g *gateway) {
			if e := w.random.IntN(w.endpoints); w.random.IntN(3) == 0 {
				g.calls[e] = w.random.IntN(5)
			}
		}
		for range 12 {
			w.disturb()
			w.run(time.Duration(1+w.random.Int64N(100))*time.Millisecond, busy)
			if err := w.excess(w.lasts()); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		clear(w.cut)
		w.loss, w.twice = 0, 0
		for i, g := range w.gws {
			if g.View == nil {
				w.start(i)
			}
		}
		w.run(w.lasts(), nil)
		if err := w.wrong(); err != nil {
			t.Fatalf("seed %d: healed: %v", seed, err)
		}
		w.loss = 0.5
		w.run(w.lasts(), func(g *gateway) { clear(g.calls) })
		if err := w.wrong(); err != nil {
			t.Fatalf("seed %d: without calls: %v", seed, err)
		}
		before := w.sent
		w.run(time.Second, nil)
		for i, g := range w.gws {
			if !g.Quiet() || w.sent != before {
				t.Fatalf("seed %d: gateway %d is not quiet, or %d messages were sent though nobody has a call", seed, i, w.sent-before)
			}
		}
	}
}

// disturb does one thing to the world.
func (w *world) disturb() {
	i, j := w.random.IntN(len(w.gws)), w.random.IntN(len(w.gws))
	switch w.random.IntN(6) {
	case 0:
		w.kill(i)
	case 1, 2:
		if w.gws[i].View == nil {
			w.start(i)
		}
	case 3: // in one direction
		w.cut[[2]int{i, j}] = true
	case 4: // from all others
		for k := range w.gws {
			w.cut[[2]int{i, k}], w.cut[[2]int{k, i}] = true, true
		}
	case 5:
		clear(w.cut)
	}
}

// busy is a world of three gateways, each with a call at each of two endpoints, of which all know.
func busy(t *testing.T) *world {
	w := newWorld(1, 3, 2)
	for _, g := range w.gws {
		g.calls[0], g.calls[1] = 1, 1
	}
	w.run(100*time.Millisecond, nil) // what came before an endpoint was known is said again
	if err := w.wrong(); err != nil {
		t.Fatal(err)
	}
	return w
}

// What a gateway said last takes slots from the others for Expiry, and no longer: neither if it was killed nor if nobody hears it any more.
func TestLastWordExpires(t *testing.T) {
	for _, how := range []string{"killed", "cut off"} {
		w := busy(t)
		if how == "killed" {
			w.kill(2)
		} else {
			w.cut[[2]int{2, 0}], w.cut[[2]int{2, 1}] = true, true
		}
		w.run(50*time.Millisecond, nil)
		if w.gws[0].seen[0] != 2 {
			t.Errorf("%s: after 50 ms it is forgotten already: %v", how, w.gws[0].seen)
		}
		w.run(130*time.Millisecond, nil)
		for i := range 2 {
			if seen := w.gws[i].seen; seen[0] != 1 || seen[1] != 1 {
				t.Errorf("%s: gateway %d sees %v calls, one at each endpoint is the other's", how, i, seen)
			}
		}
	}
}

// One who is known to have ended is forgotten at once.
func TestForget(t *testing.T) {
	w := busy(t)
	w.gws[0].Forget(2)
	w.gws[0].see()
	if seen := w.gws[0].seen; seen[0] != 1 || seen[1] != 1 {
		t.Errorf("sees %v", seen)
	}
	if h := w.gws[0].Heard(2, w.clock(w.gws[0])); h.Calls != 0 || h.Age >= 0 || h.Taken != 0 {
		t.Errorf("%+v", h)
	}
	if h := w.gws[0].Heard(1, w.clock(w.gws[0])); h.Calls != 2 || h.Age < 0 || h.Age > 50*time.Millisecond || h.Taken == 0 {
		t.Errorf("%+v", h)
	}
}

// That there is no call any more is told twice, and what is lost for good expires.
func TestLostEnd(t *testing.T) {
	for lost, within := range map[int]time.Duration{0: 2 * period, 1: 3 * period, 2: DefaultTimes().Expiry * 9 / 8} {
		w := busy(t)
		clear(w.gws[2].calls)
		w.cut[[2]int{2, 0}] = true
		w.run(time.Duration(lost)*period, nil)
		clear(w.cut)
		w.run(within, nil)
		if seen := w.gws[0].seen; seen[0] != 1 || seen[1] != 1 {
			t.Errorf("%d messages lost, %v later: sees %v", lost, within, seen)
		}
	}
}

// A late message says nothing about an endpoint of which a newer one has told; of others it does, while it would have held.
func TestReordered(t *testing.T) {
	start := time.Unix(1e9, 0)
	v := New(1, start, DefaultTimes(), 1)
	v.Own("Users", []Calls{{"a", 0}, {"b", 0}, {"c", 0}})
	a, b, c := IDOf("Users", "a"), IDOf("Users", "b"), IDOf("Users", "c")
	at := func(ms int) uint64 { return uint64(time.Duration(ms) * time.Millisecond) }
	say := func(number uint64, words ...Word) bool {
		return v.Receive(0, &Message{From: 2, Number: number, Words: words}, start)
	}
	others := func() map[string]int {
		got := map[string]int{}
		for _, e := range v.order {
			got[e.own.Address] = e.others
		}
		return got
	}
	for _, tt := range []struct {
		number uint64
		words  []Word
		taken  bool
		want   string
	}{
		{at(500), []Word{{a, 3}}, true, "map[a:3 b:0 c:0]"},
		{at(500), []Word{{a, 3}}, false, "map[a:3 b:0 c:0]"},         // doubled
		{at(495), []Word{{a, 1}, {b, 2}}, true, "map[a:3 b:2 c:0]"},  // late
		{at(490), []Word{{a, 1}, {b, 1}}, false, "map[a:3 b:2 c:0]"}, // later still
		{at(600), nil, true, "map[a:3 b:2 c:0]"},
		{at(450), []Word{{a, 9}, {c, 9}}, false, "map[a:3 b:2 c:0]"}, // too late for anything
		{at(601), []Word{{a, 0}, {b, MaxCalls}}, true, "map[a:0 b:65535 c:0]"},
		{at(602), []Word{{IDOf("Users", "d"), 1}, {IDOf("Orders", "a"), 1}}, true, "map[a:0 b:65535 c:0]"}, // that it does not have
	} {
		if taken := say(tt.number, tt.words...); taken != tt.taken || fmt.Sprint(others()) != tt.want {
			t.Errorf("number %v: taken %v, others %v; want %v, %s", time.Duration(tt.number), taken, others(), tt.taken, tt.want)
		}
	}
}

// Endpoints come and go, addresses may stand in a list twice, and upstreams do not mix.
func TestEndpointsChange(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b := New(1, now, DefaultTimes(), 1), New(2, now, DefaultTimes(), 1)
	exchange := func() (got []Calls) {
		now = now.Add(period)
		for _, m := range a.Tell(now) {
			b.Receive(0, &m, now)
		}
		for _, name := range b.Names(nil) {
			got = append(got, Calls{name, 0})
			got = b.Others(name, got)
		}
		return got
	}
	b.Own("Users", []Calls{{"x", 0}, {"y", 0}})
	b.Own("Orders", []Calls{{"x", 0}})
	a.Own("Users", []Calls{{"x", 1}, {"x", 2}, {"z", 9}})
	if got, want := fmt.Sprint(exchange()), "[{Users 0} {x 3}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	a.Own("Orders", []Calls{{"x", 4}})
	b.Own("Users", []Calls{{"y", 0}}) // x is gone
	a.Own("Users", []Calls{{"x", 5}, {"y", 6}})
	if got, want := fmt.Sprint(exchange()), "[{Orders 0} {x 4} {Users 0} {y 6}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	b.Repeat("Orders")
	if got := fmt.Sprint(b.Others("Orders", nil)); got != "[{x 4}]" {
		t.Errorf("repeated: %s", got)
	}
	b.Drop("Orders")
	b.Drop("none")
	b.SetPeers(1)
	if got := fmt.Sprint(b.Others("Users", nil)); got != "[{y 0}]" || len(b.order) != 1 || len(b.all) != 1 {
		t.Errorf("other peers: %s, %d endpoints", got, len(b.order))
	}
}

// A thousand endpoints take seven messages, each no longer than a packet of any network; more endpoints than MaxEndpoints are left alone.
func TestManyEndpoints(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b := New(1, now, DefaultTimes(), 1), New(2, now, DefaultTimes(), 1)
	var all []Calls
	for i := range 1000 {
		all = append(all, Calls{address(i), i})
	}
	a.Own("Users", all)
	b.Own("Users", all)
	messages := a.Tell(now.Add(period))
	slices.Reverse(messages)
	for _, m := range messages {
		if n := len(m.Append(nil)); n > MaxBytes || MaxBytes+32 > 1200 {
			t.Errorf("a message of %d bytes", n)
		}
		b.Receive(0, &m, now)
	}
	sum := 0
	for _, c := range b.Others("Users", nil) {
		sum += c.Calls
	}
	if len(messages) != 7 || sum != 999*1000/2 {
		t.Errorf("%d messages, a sum of %d calls", len(messages), sum)
	}
	for i := range 2 * MaxEndpoints {
		all = append(all, Calls{fmt.Sprint("more", i), 1})
	}
	if a.Own("Users", all); len(a.order) != MaxEndpoints {
		t.Errorf("%d endpoints", len(a.order))
	}
	a.Own("Users", all[:1000])
	if len(a.order) != 1000 {
		t.Errorf("%d endpoints once there are fewer", len(a.order))
	}
}

// BenchmarkTick is one tick of a gateway with a thousand endpoints, of which every tenth has another number of calls each time, and what one
// peer says to that.
func BenchmarkTick(b *testing.B) {
	now := time.Unix(1e9, 0)
	v, peer := New(1, now, DefaultTimes(), 1), New(2, now, DefaultTimes(), 1)
	var all []Calls
	for i := range 1000 {
		all = append(all, Calls{address(i), 1})
	}
	var buf []Calls
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for k := i % 10; k < len(all); k += 10 {
			all[k].Calls = 1 + (all[k].Calls+1)%4
		}
		now = now.Add(period)
		v.Own("Users", all)
		peer.Own("Users", all)
		for _, m := range v.Tell(now) {
			peer.Receive(0, &m, now)
		}
		buf = peer.Others("Users", buf[:0])
	}
}
