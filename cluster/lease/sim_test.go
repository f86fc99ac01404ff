package lease

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
)

// world is gateways that share endpoints, over a network that loses, delays, doubles and reorders messages, in virtual time. It checks
// after each step that no endpoint has more connections than slots.
type world struct {
	random *rand.Rand
	now    time.Time
	queue  events
	seq    int
	slots  []int
	gws    []*gateway
	times  Times
	hold   time.Duration

	loss, twice float64
	delay       time.Duration                           // of a message, at most
	cut         map[[2]int]bool                         // from, to
	most        []int                                   // connections, by endpoint
	over        string                                  // the first time that there were too many
	allow       int                                     // connections that are not too many, where it is above the slots
	idle        time.Duration                           // how long calls have waited while a slot was idle, at most
	since       time.Time                               // when that began; zero: it is not so
	wasted      time.Duration                           // idle slots that waiting calls could have had, times how long
	spare       int                                     // such slots now
	served      []int                                   // calls, by gateway
	events      map[string]int                          // of all nodes, by text
	overheard   func(to *gateway, from int, raw []byte) // what is sent; nil: nobody listens
}

// gateway is one gateway: a node and the cluster under it, as a model.
type gateway struct {
	w       *world
	i       int
	run     int // counts its lives
	node    *Node
	limit   []int
	busy    []int
	closing []int
	free    []int
	waiting int
	greedy  bool             // calls always wait
	load    func(g *gateway) // puts calls in now and then; nil: none
	work    func() time.Duration
	leaving bool
}

var _ Upstream = (*gateway)(nil)

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now.Add(d), w.seq, do})
}

// alive schedules do for a gateway's present life.
func (g *gateway) after(d time.Duration, do func()) {
	run := g.run
	g.w.after(d, func() {
		if g.run == run && g.node != nil {
			do()
		}
	})
}

func newWorld(seed uint64, gateways int, slots []int) *world {
	w := &world{
		random: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0), slots: slots, cut: map[[2]int]bool{}, most: make([]int, len(slots)),
		served: make([]int, gateways), hold: 100 * time.Millisecond, delay: time.Millisecond, events: map[string]int{},
		times: Times{
			Tick: 10 * time.Millisecond, Heartbeat: 50 * time.Millisecond, Silence: 300 * time.Millisecond, Turn: 50 * time.Millisecond,
			Refusals: 150 * time.Millisecond,
		},
	}
	for i := range gateways {
		w.gws = append(w.gws, &gateway{w: w, i: i, work: func() time.Duration { return w.upTo(w.hold) }})
	}
	return w
}

func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d))) + 1
}

func (w *world) chance(p float64) bool { return w.random.Float64() < p }

// run lets d pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		w.wasted += time.Duration(w.spare) * e.at.Sub(w.now)
		w.now = e.at
		e.do()
		w.check()
	}
	w.now = end
}

func (w *world) check() {
	waiting, idle := 0, 0
	for k, slots := range w.slots {
		open, busy := 0, 0
		for _, g := range w.gws {
			if g.node != nil {
				open += g.open(k)
				busy += g.busy[k]
			}
		}
		w.most[k] = max(w.most[k], open)
		if open > max(slots, w.allow) && w.over == "" {
			w.over = fmt.Sprintf("at %v endpoint %d has %d connections of %d slots: %v", w.now.Sub(time.Unix(1e9, 0)), k, open, slots, w)
		}
		idle += slots - busy
	}
	for _, g := range w.gws {
		if g.node != nil {
			waiting += g.waiting
		}
	}
	w.spare = min(waiting, idle)
	if w.spare > 0 {
		if w.since.IsZero() {
			w.since = w.now
		}
		w.idle = max(w.idle, w.now.Sub(w.since))
		return
	}
	w.since = time.Time{}
}

func (w *world) String() string {
	out := ""
	for _, g := range w.gws {
		if g.node == nil {
			out += fmt.Sprintf("[%d is down] ", g.i)
			continue
		}
		boss := "itself"
		if g.node.boss != nil {
			boss = g.node.boss.name
		}
		out += fmt.Sprintf("[%d obeys %s static %v alone %v limit %v busy %v free %v closing %v waiting %d] ",
			g.i, boss, g.node.static, g.node.alone, g.limit, g.busy, g.free, g.closing, g.waiting)
	}
	return out
}

// start begins a gateway's next life.
func (g *gateway) start() {
	w := g.w
	n := len(w.slots)
	g.run++
	g.limit, g.busy, g.closing, g.free, g.waiting, g.leaving = make([]int, n), make([]int, n), make([]int, n), make([]int, n), 0, false
	var addresses []string
	for i := range w.gws {
		if i != g.i {
			addresses = append(addresses, fmt.Sprint(i))
		}
	}
	g.node = New(fmt.Sprint("gw-", g.i), w.random.Uint64()|1, w.times, addresses, w.hold, w.now)
	g.node.Share("Users", g)
	var tick func()
	tick = func() {
		g.step()
		g.after(w.times.Tick, tick)
	}
	g.after(w.upTo(w.times.Tick), tick)
	var load func()
	load = func() {
		if g.load != nil && !g.leaving {
			g.load(g)
		}
		g.dispatch()
		g.changed(false)
		g.after(5*time.Millisecond+w.upTo(10*time.Millisecond), load)
	}
	g.after(0, load)
}

// kill ends a gateway's life as SIGKILL does.
func (g *gateway) kill() { g.node = nil }

// leave ends it in order: it takes no call, works off what it has, and says so.
func (g *gateway) leave() {
	g.leaving, g.waiting = true, 0
	var wait func()
	wait = func() {
		for k := range g.limit {
			if g.free[k] > 0 {
				g.shut(k)
			}
			if g.open(k) > 0 {
				g.after(time.Millisecond, wait)
				return
			}
		}
		g.send(g.node.Bye(g.w.now))
		g.node = nil
	}
	wait()
}

func (g *gateway) step() {
	if g.node == nil {
		return
	}
	g.send(g.node.Step(g.w.now))
	for _, e := range g.node.Events() {
		g.w.events[e.Text]++
	}
}

// peer is the gateway of a peer's number.
func (g *gateway) peer(i int) int {
	if i >= g.i {
		return i + 1
	}
	return i
}

func (g *gateway) send(out []Outgoing) {
	w := g.w
	for _, o := range out {
		to := w.gws[g.peer(o.Peer)]
		copies := 1
		if w.chance(w.twice) {
			copies = 2
		}
		raw := o.Message.Append(nil)
		if w.overheard != nil {
			w.overheard(to, g.i, raw)
		}
		for range copies {
			if w.cut[[2]int{g.i, to.i}] || w.chance(w.loss) {
				continue
			}
			w.after(w.upTo(w.delay), func() {
				if to.node == nil { // its host says so, if that comes through
					if !w.cut[[2]int{to.i, g.i}] && !w.chance(w.loss) {
						g.after(w.upTo(w.delay), func() { g.node.Refused(to.number(g.i), w.now) })
					}
					return
				}
				m, err := Parse(raw)
				if err != nil {
					panic(err)
				}
				to.node.Receive(to.from(g.i), m, w.now)
				to.step()
			})
		}
	}
}

// from is the number that gateway i has among the peers.
func (g *gateway) from(i int) int {
	if i > g.i {
		return i - 1
	}
	return i
}

// number is the number that this gateway has among the peers of gateway i.
func (g *gateway) number(i int) int { return g.w.gws[i].from(g.i) }

func (g *gateway) open(k int) int { return g.busy[k] + g.free[k] + g.closing[k] }

var addressOf = []string{"e0", "e1", "e2", "e3"}

// Usage implements Upstream.
func (g *gateway) Usage() cluster.Usage {
	u := cluster.Usage{Waiting: g.waiting}
	for k, slots := range g.w.slots {
		u.Endpoints = append(u.Endpoints, cluster.EndpointUsage{
			Address: addressOf[k], Slots: slots, Limit: g.limit[k], Open: g.open(k), Busy: g.busy[k],
		})
	}
	return u
}

// SetLimits implements Upstream.
func (g *gateway) SetLimits(limits map[string]int) {
	for k := range g.limit {
		if l, ok := limits[addressOf[k]]; ok {
			g.limit[k] = min(l, g.w.slots[k])
			for g.free[k] > 0 && g.open(k) > g.limit[k] {
				g.shut(k)
			}
		}
	}
	g.dispatch()
}

// shut closes a free connection, which takes a moment.
func (g *gateway) shut(k int) {
	g.free[k]--
	g.closing[k]++
	g.after(g.w.upTo(time.Millisecond), func() {
		g.closing[k]--
		g.dispatch()
		g.changed(false)
	})
}

// call puts n calls into the queue.
func (g *gateway) call(n int) {
	g.waiting += n
	g.dispatch()
	g.changed(g.waiting > 0)
}

// changed is what a Runner is told.
func (g *gateway) changed(waiting bool) {
	if g.node != nil && (waiting || g.node.Watches()) {
		g.step()
	}
}

func (g *gateway) dispatch() {
	for {
		if g.greedy && !g.leaving {
			g.waiting = 8
		}
		if g.waiting == 0 {
			return
		}
		best := -1
		for k := range g.limit {
			if g.busy[k]+g.closing[k] < g.limit[k] && (best < 0 || g.busy[k] < g.busy[best]) {
				best = k
			}
		}
		if best < 0 {
			return
		}
		if g.free[best] > 0 {
			g.free[best]--
		}
		g.waiting--
		g.busy[best]++
		g.after(g.work(), func() { g.done(best) })
	}
}

func (g *gateway) done(k int) {
	g.w.served[g.i]++
	g.busy[k]--
	g.free[k]++
	if g.open(k) > g.limit[k] {
		g.shut(k)
	}
	g.dispatch()
	g.changed(false)
}
