package voids

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

var begin = time.Unix(1e9, 0)

// pair is a ledger that keeps replies, with one peer at run 1.
func pair() *Ledger {
	l := New(3, begin, DefaultTimes())
	l.SetPeers([]string{"peer"}, begin)
	l.SetKeeps(true, begin)
	l.Met(0, 1, 0, false, begin)
	return l
}

// world is gateways that tell each other what is void, over a network that loses, delays, doubles and reorders messages, in virtual time of
// which each gateway has a clock of its own. In place of package lease, it finds out who is at which run.
type world struct {
	random      *rand.Rand
	now         time.Duration
	gws         []*gateway
	flying      map[time.Duration][]message // by when they come
	loss, twice float64
	delay       time.Duration // of a message, at most
	cut         map[[2]int]bool
	told        uint64
	delays      []time.Duration // of each void at each other gateway
	sent, bytes int
}

type message struct {
	from, to int
	raw      []byte
}

// gateway is a ledger and what its owner would do with it.
type gateway struct {
	*Ledger
	keeps  bool
	offset time.Duration // of its clock
	drift  float64       // of its clock's speed
	inc    uint64
	frozen bool // its process does not run; what comes meanwhile waits
	inbox  []message
	began  time.Duration
	died   time.Duration // when it was killed
	due    time.Duration // when its timer ends
	drops  int
	absent []time.Duration      // when they were last known to have ended
	known  []uint64             // the runs of the others, as it knows them
	owes   map[ID]time.Duration // what another has made void, and when, that it has neither heard of nor dropped
}

const tick = time.Millisecond // of the world

func newWorld(seed uint64, gateways int) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 1)), delay: tick, cut: map[[2]int]bool{}, flying: map[time.Duration][]message{}}
	for range gateways {
		w.gws = append(w.gws, &gateway{
			keeps: true, offset: time.Duration(w.random.Int64N(int64(100 * time.Hour))), drift: 1 + 0.02*(w.random.Float64()-0.5),
		})
	}
	for i := range w.gws {
		w.start(i)
	}
	return w
}

func (w *world) clock(g *gateway) time.Time {
	return begin.Add(g.offset + time.Duration(float64(w.now)*g.drift))
}

func (w *world) upTo(d time.Duration) time.Duration {
	return 1 + time.Duration(w.random.Int64N(int64(d)))
}

// start begins a gateway's next run, which has no replies.
func (w *world) start(i int) {
	g := w.gws[i]
	g.began, g.due = w.now, 0
	g.inc, g.frozen, g.inbox, g.known, g.absent, g.owes = w.random.Uint64()|1, false, nil, make([]uint64, len(w.gws)), make([]time.Duration, len(w.gws)), map[ID]time.Duration{}
	g.Ledger = New(g.inc, w.clock(g), DefaultTimes())
	var all []string
	for k := range w.gws {
		if k != i {
			all = append(all, fmt.Sprint(k))
		}
	}
	g.SetPeers(all, w.clock(g))
	g.SetKeeps(g.keeps, w.clock(g))
}

// kill ends it without a word; its host says so after a while.
func (w *world) kill(i int) {
	w.gws[i].Ledger, w.gws[i].died, w.gws[i].owes = nil, w.now, nil
}

// end ends it in order.
func (w *world) end(i int) {
	g := w.gws[i]
	g.Close()
	for end := w.now + 250*time.Millisecond; w.now < end && !g.Parted(w.clock(g)); {
		w.run(tick)
	}
	w.kill(i)
	g.died = -time.Minute // the others were told
}

// peerOf is the number under which gateway i knows gateway k.
func peerOf(i, k int) int {
	if k > i {
		return k - 1
	}
	return k
}

// makeVoid has gateway i make something void.
func (w *world) makeVoid(i int) {
	w.told++
	var id ID
	binary.BigEndian.PutUint64(id[:], w.told)
	for k, g := range w.gws {
		if k != i && g.Ledger != nil && g.keeps {
			g.owes[id] = w.now
		}
	}
	w.gws[i].Tell([]ID{id})
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.now += tick
		w.deliver()
		for i, g := range w.gws {
			if g.Ledger == nil || g.frozen {
				continue
			}
			w.meet(i)
			for _, m := range g.inbox {
				w.receive(m)
			}
			g.inbox = nil
			if w.now >= g.due || g.Wait(w.clock(g)) == 0 {
				w.step(i)
				g.due = w.now + time.Hour
				if wait := g.Wait(w.clock(g)); wait >= 0 {
					g.due = w.now + wait
				}
			}
		}
	}
}

// meet tells gateway i what package lease finds out: it meets those that it hears, and knows who was killed half a second after that.
func (w *world) meet(i int) {
	g := w.gws[i]
	for k, o := range w.gws {
		if k == i {
			continue
		}
		switch cut := w.cut[[2]int{i, k}] || w.cut[[2]int{k, i}]; {
		case cut && g.absent[k] > 0 && w.now-g.absent[k] >= 500*time.Millisecond:
			g.absent[k] = 0
			g.Met(peerOf(i, k), 0, 0, false, w.clock(g))
		case cut:
		case o.Ledger != nil && o.inc != g.known[k] && !o.frozen:
			g.known[k], g.absent[k] = o.inc, 0
			g.Met(peerOf(i, k), o.inc, uint64(w.now-o.began), false, w.clock(g))
		case o.Ledger == nil && w.now-o.died >= 500*time.Millisecond:
			g.known[k], g.absent[k] = 0, w.now
			g.Met(peerOf(i, k), 0, 0, true, w.clock(g))
		}
	}
	w.dropped(i)
}

func (w *world) step(i int) {
	g := w.gws[i]
	out := g.Step(w.clock(g))
	w.dropped(i)
	for _, o := range out {
		raw := o.Message.Append(nil)
		w.sent++
		w.bytes += len(raw)
		to := o.Peer
		if to >= i {
			to++
		}
		copies := 1
		if w.random.Float64() < w.twice {
			copies = 2
		}
		for range copies {
			if !w.cut[[2]int{i, to}] && w.random.Float64() >= w.loss {
				at := (w.now + w.upTo(w.delay) + tick - 1).Truncate(tick)
				w.flying[at] = append(w.flying[at], message{i, to, raw})
			}
		}
	}
}

func (w *world) deliver() {
	for _, m := range w.flying[w.now] {
		if g := w.gws[m.to]; g.Ledger != nil {
			if g.inbox = append(g.inbox, m); len(g.inbox) > 100 { // as much as a socket keeps
				g.inbox = g.inbox[:100]
			}
		}
	}
	delete(w.flying, w.now)
}

func (w *world) receive(f message) {
	g := w.gws[f.to]
	m, err := Parse(f.raw)
	if err != nil {
		panic(err)
	}
	ids, _ := g.Receive(peerOf(f.to, f.from), m, w.clock(g))
	w.dropped(f.to)
	for _, id := range ids {
		w.knows(f.to, id)
	}
}

// dropped takes in whether gateway i has dropped all.
func (w *world) dropped(i int) {
	g := w.gws[i]
	if g.Lost() {
		g.drops++
		for id := range g.owes {
			w.knows(i, id)
		}
	}
}

// knows takes in that gateway i does not keep what was made void any more.
func (w *world) knows(i int, id ID) {
	g := w.gws[i]
	if at, owes := g.owes[id]; owes {
		delete(g.owes, id)
		w.delays = append(w.delays, w.now-at)
	}
}

// overdue reports what has been kept though it was made void longer ago than limit.
func (w *world) overdue(limit time.Duration) error {
	for i, g := range w.gws {
		for id, at := range g.owes {
			if w.now-at > limit && !g.frozen {
				return fmt.Errorf("at %v gateway %d keeps %x, made void %v ago", w.now, i, id[:8], w.now-at)
			}
		}
	}
	return nil
}

// unknown is how much is kept that was made void.
func (w *world) unknown() (n int) {
	for _, g := range w.gws {
		n += len(g.owes)
	}
	return n
}

func (w *world) drops() (n int) {
	for _, g := range w.gws {
		n += g.drops
	}
	return n
}
