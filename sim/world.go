// Package sim runs the product's pickers in virtual time, over fleets that fail, stall and differ.
//
// A run is a Scenario, a Contender and a seed; the same three give the same Outcome. Calls come one by one as in a Poisson process, each to
// one of the gateways at random, and are worked at by replicas that know nothing of each other. Nothing is measured by the clock of the
// machine, so that a run of two minutes takes a second, and a busy machine changes no figure.
package sim

import (
	"math/rand/v2"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// world is one run.
type world struct {
	scenario  *Scenario
	contender Contender
	random    *rand.Rand
	now       time.Duration
	events    events
	gateways  []*gateway
	replicas  []*replica
	due       []deadline // in order: all calls have the same time
	free      []*call    // those that are over, to be used again
	outcome   Outcome
	replaced  int // replicas, from the first on
}

// call is one call of a caller, all of its attempts included.
type call struct {
	gateway *gateway
	arrived time.Duration
	work    time.Duration // on a replica of speed 1
	sleep   time.Duration // before that, whatever the replica does besides
	method  int
	caller  bool          // it is one of so many callers', who call again when they have their answer
	number  uint64        // of the call that this memory serves now
	node    *balance.Node // of the attempt in flight
	replica *replica
	picked  time.Duration // when the attempt began
	mark    balance.Mark
	tries   int
	waiting bool          // in the gateway's queue
	since   time.Duration // when it was last sent there
	over    bool          // the caller has its answer
	request rpc.Call

	left  time.Duration // of work
	came  time.Duration // to the replica
	crowd int           // that were there then
}

// deadline is when a call's time is over.
type deadline struct {
	at     time.Duration
	call   *call
	number uint64
}

// gateway is one of those that share the replicas: a picker and the queue before it.
type gateway struct {
	picker *balance.Picker
	nodes  []*balance.Node // by replica
	of     map[*balance.Node]*replica
	sight  *sight // nil: it knows its own calls alone
	queue  []*call
	head   int
}

const epoch = 1_000_000_000 // seconds; pickers are given instants

func (w *world) instant() time.Time { return time.Unix(epoch, 0).Add(w.now) }

// Run plays a scenario with a contender.
func Run(s *Scenario, c Contender, seed uint64) Outcome {
	w := &world{scenario: s, contender: c, random: rand.New(rand.NewPCG(seed, 0x7472696674))}
	for i := range s.Replicas {
		w.replicas = append(w.replicas, &replica{index: i, speed: 1, workers: max(1, s.Workers), shared: s.Shared})
	}
	for range max(1, s.Gateways) {
		w.gateways = append(w.gateways, w.newGateway())
	}
	if s.Script != nil {
		s.Script(w)
	}
	if c.View.Tick > 0 {
		w.gossip()
	}
	if c.Auto {
		w.every(time.Second, w.note)
	}
	for range s.Callers {
		w.after(w.exponential(meanWork), w.callAgain)
	}
	if s.Load > 0 {
		w.after(w.exponential(1/s.rate()), w.arrive)
	}
	for s.Lasts > 0 && w.now < s.Lasts || s.Lasts == 0 && w.outcome.Calls < s.calls() {
		w.step()
	}
	w.outcome.Duration = w.now
	return w.outcome
}

func (w *world) newGateway() *gateway {
	g := &gateway{of: map[*balance.Node]*replica{}}
	g.picker = balance.New(w.contender.Policy(w, g), w.random.IntN)
	g.picker.Lenient = !w.contender.Strict
	for _, r := range w.replicas {
		e := rpc.Endpoint{Name: r.name(), Slots: w.contender.slots(w.scenario), Auto: w.contender.Auto, Weight: 1}
		if w.scenario.Weights != nil {
			e.Weight = w.scenario.Weights(r.index)
		}
		n := g.picker.Add(e)
		g.nodes = append(g.nodes, n)
		g.of[n] = r
	}
	return g
}

// step goes on to the next thing that happens.
func (w *world) step() {
	if len(w.due) > 0 && (w.events.Len() == 0 || w.due[0].at <= w.events.next()) {
		d := w.due[0]
		w.due = w.due[1:]
		w.now = d.at
		if d.call.number == d.number && !d.call.over {
			w.expire(d.call)
		}
		return
	}
	e := w.events.pop()
	w.now = e.at
	switch {
	case e.do != nil:
		e.do()
	case e.replica.turn == e.turn:
		w.finish(e.replica)
	}
}

// after has do done in a while.
func (w *world) after(d time.Duration, do func()) { w.events.push(event{at: w.now + d, do: do}) }

// every has do done again and again.
func (w *world) every(d time.Duration, do func()) {
	var again func()
	again = func() {
		do()
		w.after(d, again)
	}
	w.after(d, again)
}

// exponential draws a time with the mean of so many seconds.
func (w *world) exponential(mean float64) time.Duration {
	return time.Duration(w.random.ExpFloat64() * mean * float64(time.Second))
}

// arrive is a call, and the next one.
func (w *world) arrive() {
	w.begin(w.newCall())
	rate := w.scenario.rate()
	if ramp := w.scenario.Ramp; w.now < ramp {
		rate *= float64(w.now+time.Second) / float64(ramp+time.Second)
	}
	w.after(w.exponential(1/rate), w.arrive)
}

// callAgain is a call of one who has had the answer to the last one.
func (w *world) callAgain() {
	c := w.newCall()
	c.caller = true
	w.begin(c)
}

func (w *world) begin(c *call) {
	s := w.scenario
	c.gateway = w.gateways[w.random.IntN(len(w.gateways))]
	c.arrived = w.now
	if s.Handler != nil {
		c.method, c.work, c.sleep = s.Handler(w.random, w.now)
	} else {
		c.work = s.work(w.random)
	}
	w.due = append(w.due, deadline{w.now + s.timeout(), c, c.number})
	w.outcome.Arrived++
	w.send(c)
}

func (w *world) newCall() *call {
	if n := len(w.free); n > 0 {
		c := w.free[n-1]
		w.free = w.free[:n-1]
		*c = call{number: c.number + 1}
		return c
	}
	return &call{}
}

// send makes an attempt, or has the call wait for its turn.
func (w *world) send(c *call) {
	g := c.gateway
	c.since = w.now
	if g.head < len(g.queue) || !w.try(c) {
		c.waiting = true
		g.queue = append(g.queue, c)
	}
}

// try makes an attempt; false if no replica may have it now.
func (w *world) try(c *call) bool {
	g := c.gateway
	n, err := g.picker.Pick(&c.request, w.instant())
	if err == balance.ErrBusy && g.sight != nil && w.now-c.since >= balance.Patience {
		n, err = g.picker.Insist(&c.request, len(w.gateways), w.instant())
	}
	if err == balance.ErrBusy {
		return false
	}
	if err != nil {
		w.end(c, false)
		return true
	}
	c.node, c.replica, c.picked, c.mark, c.waiting = n, g.of[n], w.now, n.Mark(), false
	c.tries++
	c.replica.arrives(w, c)
	return true
}

// drain gives what has become free to those that wait.
func (w *world) drain(g *gateway) {
	for g.head < len(g.queue) {
		c := g.queue[g.head]
		if !c.over && !w.try(c) {
			return
		}
		if c.over && c.node == nil {
			w.free = append(w.free, c)
		}
		g.queue[g.head] = nil
		g.head++
	}
	g.queue, g.head = g.queue[:0], 0
}

// answered is the end of an attempt, as the gateway sees it.
func (w *world) answered(c *call, o rpc.Outcome) {
	g := c.gateway
	if c.over { // the caller's time was over before, and the attempt with it
		g.picker.Free(c.node, balance.Result{Outcome: o, Method: c.method, Began: c.mark}, w.instant())
		w.free = append(w.free, c)
		w.drain(g)
		return
	}
	g.picker.Done(c.node, balance.Result{Outcome: o, Took: w.now - c.picked, Method: c.method, Call: &c.request, Began: c.mark}, w.instant())
	failed := rpc.Classes[o].Failure
	w.outcome.attempted(c.replica.index, c.picked, w.now-c.picked, failed)
	again := failed && w.scenario.Idempotent && c.tries < 3
	if again {
		c.request.Avoid = c.node.Endpoint.Name
		c.node = nil
		w.send(c)
	} else {
		w.end(c, !failed)
		w.free = append(w.free, c)
	}
	w.drain(g)
}

// expire is the end of a call's time.
func (w *world) expire(c *call) {
	if c.node != nil {
		c.gateway.picker.Done(c.node, balance.Result{Outcome: rpc.ReplyTimeout, Held: true, Call: &c.request}, w.instant())
		w.outcome.attempted(c.replica.index, c.picked, w.now-c.picked, true)
	}
	w.outcome.TimedOut++
	w.end(c, false)
}

// end gives the caller its answer.
func (w *world) end(c *call, ok bool) {
	c.over = true
	w.outcome.ended(c.arrived, w.now-c.arrived, ok, w.scenario.warm())
	if c.caller {
		w.after(0, w.callAgain)
	}
}

// note writes down what the first gateway has learned.
func (w *world) note() {
	g := w.gateways[0]
	now := make([]int, len(g.nodes))
	for i, n := range g.nodes {
		now[i], _ = n.Learned()
	}
	w.outcome.Learned = append(w.outcome.Learned, now)
}
