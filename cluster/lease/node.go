// Package lease shares the slots of endpoints among several gateways.
//
// The gateways see each other by small messages. The living one with the lowest name is the arbiter: the others report to it how many
// connections they have and how many of their calls wait, and it orders how many slots each may use. One gateway's limit is raised only
// within what the upper bounds of all the others leave, and a lowered limit counts only when its owner has reported it, with a connection
// counting until it is closed. So the connections of all gateways together are never more than the slots, whatever messages are lost,
// late, doubled or out of order.
//
// A gateway that ends says so, or is known to be gone where its host answers that nobody listens any more: its slots are free at once.
// Of one that just falls silent nobody can know whether it still serves. Each gateway then keeps to a static share, slots / gateways, and
// takes no more than it has until the calls of the others must have ended. Where there are fewer slots than gateways that share is one
// slot: this is the one case where there may be more connections than slots, for a gateway that was cut off would else serve no call.
//
// Node is the state machine: it is driven by times and messages, and does no I/O. Runner drives it over UDP.
package lease

import (
	"cmp"
	"slices"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
)

// Upstream is what is shared: a cluster.
type Upstream interface {
	Usage() cluster.Usage
	SetLimits(limits map[string]int)
}

// Times are those of the protocol.
type Times struct {
	Tick      time.Duration // how often Step is called where nothing happens; an order that is not acknowledged is repeated so often
	Heartbeat time.Duration // between messages to a gateway where nothing happens
	Silence   time.Duration // after which a gateway that was not heard, or that does not hear, is cut off
	Turn      time.Duration // for which a slot that several want stays with one of them
	Refusals  time.Duration // for which a host has to say that nobody listens, with nothing heard, until it is believed: above a round trip
}

// DefaultTimes are the times that gateways use. All gateways need the same.
func DefaultTimes() Times {
	return Times{
		Tick: 20 * time.Millisecond, Heartbeat: 250 * time.Millisecond, Silence: 2 * time.Second, Turn: 50 * time.Millisecond,
		Refusals: 400 * time.Millisecond,
	}
}

// Node is one gateway among its peers. It is not safe for concurrent use.
type Node struct {
	name   string
	inc    uint64 // this run of the gateway
	times  Times
	hold   time.Duration
	start  time.Time
	number uint64
	peers  []*peer
	shared []*group // by id

	boss    *peer // nil: this node itself
	term    uint64
	ack     uint64
	reign   time.Time // since when boss is what it is
	leased  time.Time // when a message was sent that the boss has answered with a lease
	alone   bool      // the lease has run out: this node keeps to its static share
	static  bool      // as the arbiter: somebody is cut off
	wanted  bool      // the boss, or this node as the arbiter, has members that wait
	leveled time.Time
	leaving bool  // it gives up all that it has
	last    []int // what the boss was told last, where it matters at once; nil: all does
	out     []Outgoing
	events  []Event
}

// peer is another gateway, by its address in the config.
type peer struct {
	address  string
	name     string
	inc      uint64    // 0: never heard
	number   uint64    // of its last message
	past     []uint64  // its last incarnations before: what they said may still be on its way
	hello    [2]uint64 // incarnation and number of one that has yet to prove that it is its next run; zero: none
	contact  time.Time // when a message was sent that it has answered
	self     bool      // it is this gateway itself: its own address is among the others'
	gone     bool      // proven to have ended, or not to have begun
	refused  time.Time // since when its host says that nobody listens; zero: it does not
	refusedL time.Time // when it last said so
	sent     time.Time
	reply    bool // it waits to be heard
	told     bool // that somebody waits for a slot
	was      string

	// As its arbiter.
	mine     time.Time // when a message was sent that it has answered as a member of this node's
	term     uint64
	hold     time.Duration
	report   map[uint64]GroupReport // nil: none yet
	joined   time.Time              // since when there is one
	order    uint64
	ordered  map[[2]uint64]int // the order under way, or the last one, by group and endpoint
	pending  bool
	repeated time.Time
}

// group is one upstream, as the arbiter knows it from this node and from the reports of others.
type group struct {
	id      uint64
	name    string
	up      Upstream          // nil: only others have it
	ids     map[string]uint64 // of addresses
	address map[uint64]string // and back
	served  map[uint64]int64  // by incarnation: slot nanoseconds under contention
	rank    []uint64          // incarnations, who has been served least first
	ranked  time.Time
	counted time.Time
	hungry  map[uint64]bool
	linger  time.Duration // of the node's own
	owes    bool          // the node's own has calls that wait, or more connections than its limit
	unused  bool          // nobody has it any more
}

// Outgoing is a message to the peer of that number, in the order of the addresses.
type Outgoing struct {
	Peer    int
	Message *Message
}

// Event is something that an operator may want to know.
type Event struct {
	Text   string // "gateway joined", "gateway left", "gateway cut off", "arbiter", "static share", "shared again"
	Peer   string // its name, or its address where that is not known; "" for this gateway itself
	Reason string
}

// New returns a node that has heard of nobody yet: it has no slot until it is known who has. hold is the longest that a call may take.
func New(name string, incarnation uint64, times Times, addresses []string, hold time.Duration, now time.Time) *Node {
	n := &Node{name: name, inc: incarnation, times: times, start: now, leased: now}
	n.SetPeers(addresses, hold, now)
	return n
}

// SetPeers changes who the others are, by address, and how long calls may take. Those that stay are not disturbed.
func (n *Node) SetPeers(addresses []string, hold time.Duration, now time.Time) {
	old := n.peers
	n.peers, n.hold = nil, hold
	for _, a := range addresses {
		i := slices.IndexFunc(old, func(p *peer) bool { return p.address == a })
		if i >= 0 {
			n.peers = append(n.peers, old[i])
		} else {
			n.peers = append(n.peers, &peer{address: a, mine: now})
		}
	}
	if n.boss != nil && !slices.Contains(n.peers, n.boss) {
		n.follow(nil, now)
	}
}

// Share adds an upstream, by the name that all gateways call it by; nil takes it out.
func (n *Node) Share(name string, up Upstream) {
	g := n.group(idOf(name))
	g.name, g.up = name, up
	g.ids, g.address = map[string]uint64{}, map[uint64]string{}
	n.last = nil
}

func (n *Node) group(id uint64) *group {
	i, ok := slices.BinarySearchFunc(n.shared, id, func(g *group, id uint64) int { return cmp.Compare(g.id, id) })
	if !ok {
		n.shared = slices.Insert(n.shared, i, &group{id: id, served: map[uint64]int64{}, hungry: map[uint64]bool{}})
	}
	return n.shared[i]
}

// Step does what is due: it finds out who lives, gives or carries out orders, and returns the messages to be sent. It is called after
// Receive and Refused, when an upstream's use has changed, and every Times.Tick.
func (n *Node) Step(now time.Time) []Outgoing {
	n.judge(now)
	n.elect(now)
	if n.boss == nil {
		n.arbitrate(now)
	} else {
		n.obey(now)
	}
	n.talk(now)
	out := n.out
	n.out = nil
	return out
}

// Leave makes the node give up all slots, and take none any more. It returns how many connections there still are: at zero, Bye is due.
func (n *Node) Leave() (open int) {
	n.leaving, n.last = true, nil
	for _, g := range n.shared {
		limits := map[uint64]int{}
		for _, e := range g.usage().Endpoints {
			open += e.Open
			limits[g.ident(e.Address)] = 0
		}
		n.limit(g, limits)
	}
	return open
}

// Bye says that this gateway has ended. It has no connection any more.
func (n *Node) Bye(now time.Time) []Outgoing {
	for i := range n.peers {
		m := n.message(n.peers[i], now)
		m.Bye = true
		n.out = append(n.out, Outgoing{i, m})
	}
	out := n.out
	n.out = nil
	return out
}

// Watches reports whether it matters at once to anybody when a call of this gateway ends: where somebody waits for its slot.
func (n *Node) Watches() bool {
	if n.wanted {
		return true
	}
	for _, g := range n.shared {
		if g.owes {
			return true
		}
	}
	return false
}

// Events returns what has happened since it was asked last.
func (n *Node) Events() []Event {
	out := n.events
	n.events = nil
	return out
}

// Receive takes a message of a peer, and reports whether it is new and fresh: an answer to one of this node's that is not long ago.
func (n *Node) Receive(i int, m *Message, now time.Time) bool {
	p := n.peers[i]
	if m.From == n.inc {
		p.self, p.gone = true, true
		return false
	}
	if m.From == p.inc && m.Number <= p.number || slices.Contains(p.past, m.From) {
		return false // doubled, or late
	}
	echoed := n.start.Add(time.Duration(min(m.EchoNumber, 1<<62)))
	fresh := m.EchoFrom == n.inc && now.Sub(echoed) <= n.times.Silence && !echoed.After(now)
	switch {
	case fresh && m.From != p.inc:
		n.meet(p, m, now)
	case fresh:
	case m.From == p.inc:
		p.number, p.reply = m.Number, true
		return false
	default: // another run of it, or an old message that somebody repeats: the answer to an answer tells
		p.hello, p.reply = [2]uint64{m.From, m.Number}, true
		return false
	}
	p.hello = [2]uint64{}
	p.number, p.name = m.Number, m.Name
	if echoed.After(p.contact) {
		p.contact = echoed
	}
	p.refused, p.refusedL = time.Time{}, time.Time{}
	if p.gone && !m.Bye {
		p.gone, p.mine = false, now
	}
	p.hold = time.Duration(m.HoldMillis) * time.Millisecond
	if m.Bye {
		p.gone, p.report, p.contact, p.pending, p.refusedL = true, nil, time.Time{}, false, now
		return true
	}
	n.asArbiter(p, m, echoed, now)
	n.asMember(p, m, echoed)
	return true
}

// meet begins anew with another run of a peer: the one before has ended, for two cannot have one address.
func (n *Node) meet(p *peer, m *Message, now time.Time) {
	if p.past = append(p.past, p.inc); len(p.past) > 16 { // more than fit into the time for which a message is fresh
		p.past = p.past[1:]
	}
	p.inc, p.name, p.number, p.contact, p.mine = m.From, m.Name, 0, time.Time{}, now
	p.report, p.term, p.order, p.pending, p.ordered = nil, 0, 0, false, nil
	if p == n.boss { // the new one counts its orders anew
		n.follow(nil, now)
	}
}

// Run returns which run of peer i messages about calls are taken from, and the number of its last message; zero where it has ended, or was
// never heard.
func (n *Node) Run(i int) (incarnation, number uint64) {
	if p := n.peers[i]; !p.gone {
		return p.inc, p.number
	}
	return 0, 0
}

// Gone reports whether peer i is known to have ended, or not to have begun.
func (n *Node) Gone(i int) bool { return n.peers[i].gone }

// Living returns how many gateways are there, this one included.
func (n *Node) Living(now time.Time) int {
	living := 1
	for _, p := range n.peers {
		if n.alive(p, now) {
			living++
		}
	}
	return living
}

// Refused takes what a peer's host says: nobody listens at its address.
func (n *Node) Refused(i int, now time.Time) {
	p := n.peers[i]
	if p.refused.IsZero() {
		p.refused = now
	}
	p.refusedL = now
}

// Doubts reports whether peer i was not heard for so long that its host had better be asked whether anybody listens.
func (n *Node) Doubts(i int, now time.Time) bool {
	p := n.peers[i]
	return !p.self && now.Sub(p.contact) > 2*n.times.Heartbeat
}

func (n *Node) alive(p *peer, now time.Time) bool {
	return !p.gone && p.inc != 0 && !p.contact.IsZero() && now.Sub(p.contact) <= n.times.Silence
}

// judge finds out who is gone: the word of its host, said for a while with nothing heard meanwhile, and not taken back by silence.
func (n *Node) judge(now time.Time) {
	for _, p := range n.peers {
		if !p.refused.IsZero() && now.Sub(p.refusedL) > n.times.Silence {
			p.refused = time.Time{}
		}
		switch {
		case !p.gone && !p.refused.IsZero() && p.refusedL.Sub(p.refused) >= n.times.Refusals:
			p.gone, p.report, p.contact, p.pending = true, nil, time.Time{}, false
		case p.gone && !p.self && now.Sub(p.refusedL) > n.times.Silence:
			p.gone, p.mine = false, now
		}
		state := "cut off"
		switch {
		case p.gone:
			state = "gone"
		case n.alive(p, now):
			state = "alive"
		}
		n.tell(p, state)
	}
}

// tell notes what has become of a peer.
func (n *Node) tell(p *peer, state string) {
	if p.was == state || p.self {
		return
	}
	first := p.was == ""
	p.was = state
	who := cmp.Or(p.name, p.address)
	switch {
	case state == "alive":
		n.events = append(n.events, Event{Text: "gateway joined", Peer: who})
	case first:
	case state == "gone":
		n.events = append(n.events, Event{Text: "gateway left", Peer: who})
	default:
		n.events = append(n.events, Event{Text: "gateway cut off", Peer: who, Reason: "it is silent, and nothing proves that it has ended"})
	}
}

// elect finds the arbiter: of those that are alive the one with the lowest name.
func (n *Node) elect(now time.Time) {
	var boss *peer
	name, inc := n.name, n.inc
	for _, p := range n.peers {
		if n.alive(p, now) && (p.name < name || p.name == name && p.inc < inc) {
			boss, name, inc = p, p.name, p.inc
		}
	}
	if boss == n.boss && n.term > 0 {
		return
	}
	n.follow(boss, now)
	n.events = append(n.events, Event{Text: "arbiter", Peer: name})
}

// follow makes boss the arbiter; nil is this node itself. What was reported to it in an earlier reign is worth nothing: others may have
// given orders since.
func (n *Node) follow(boss *peer, now time.Time) {
	n.boss, n.term, n.ack, n.last, n.reign, n.wanted = boss, n.term+1, 0, nil, now, false
	for _, p := range n.peers {
		p.report, p.mine, p.sent = nil, now, time.Time{} // all are told at once
	}
}

// portion is the static share of an endpoint's slots.
func (n *Node) portion(slots int) int {
	gateways := 1
	for _, p := range n.peers {
		if !p.self {
			gateways++
		}
	}
	return min(slots, max(1, slots/gateways))
}

// Member is what a node knows of one gateway.
type Member struct {
	Name    string // "" where it was never heard
	Address string // "" for the node itself
	State   string // "self", "alive", "gone" or "cut off"
}

// Members returns who shares, and the name of the arbiter; static says that this node keeps to its static share.
func (n *Node) Members() (members []Member, arbiter string, static bool) {
	members, arbiter, static = []Member{{n.name, "", "self"}}, n.name, n.static
	for _, p := range n.peers {
		if !p.self {
			members = append(members, Member{p.name, p.address, cmp.Or(p.was, "cut off")})
		}
	}
	if n.boss != nil {
		arbiter, static = n.boss.name, n.alone
	}
	return members, arbiter, static
}
