// Package view tells gateways that share endpoints what each of them has in flight there.
//
// Each gateway says, of its own endpoints, how many calls it works at, in small datagrams that may be lost, late, doubled or out of order: what
// has changed at the next tick, what has not now and again. A word holds for Times.Expiry from when it came, so that what a gateway said
// last takes no endpoint from anybody for longer than that, whatever has become of it. Where nobody has a call nothing is sent.
//
// View is the state machine: it is driven by times and messages, and does no I/O. Package lease carries its messages.
package view

import (
	"cmp"
	"slices"
	"time"
)

// Times are those of a view. Gateways may have different ones.
type Times struct {
	Tick    time.Duration // how often Tell is called while calls are in flight: what has changed is told so often
	Refresh time.Duration // after which a number above 0 that has not changed is told again
	Expiry  time.Duration // after which a word of a peer that was not repeated counts for nothing
}

// DefaultTimes are the times that gateways use: a word survives the loss of two in a row. In the simulation 16 gateways that tell each other
// every 10 ms see no more than without a view (p99 108 ms, 94 without, 85 with 5 ms): calls take about as long, and the word comes too late.
func DefaultTimes() Times {
	return Times{Tick: 5 * time.Millisecond, Refresh: 50 * time.Millisecond, Expiry: 150 * time.Millisecond}
}

// MaxEndpoints bounds the endpoints of one gateway; words about more are not understood, and nothing is told of them.
const MaxEndpoints = 4096

// zeros is how often it is told that there is no call any more: once may be lost, and would leave the endpoint taken until the word expires.
const zeros = 2

// Calls is how many calls there are at an address of an upstream.
type Calls struct {
	Address string
	Calls   int
}

// View is what one gateway knows and tells. It is not safe for concurrent use.
type View struct {
	times     Times
	inc       uint64 // this run of the gateway
	start     time.Time
	number    uint64 // of the last message
	upstreams map[string]*upstream
	all       map[ID]*endpoint
	order     []*endpoint // of all, as they were met: what is told, in this order
	peers     []peer
	told      bool // all that there is to tell has been told
	sweeps    time.Time
}

// upstream is one by the name that all gateways call it by.
type upstream struct {
	name      string
	endpoints map[string]*endpoint // by address
	round     uint64               // counts Own's
	met       int                  // endpoints in this round
	line      []*endpoint          // in the order of Own, which seldom changes; nil: one that is not known
	news      []*endpoint          // whose others have changed since Others
}

// endpoint is one address of an upstream.
type endpoint struct {
	id     ID
	at     *upstream
	own    Calls
	round  uint64
	last   int       // told last
	lastAt time.Time // when; zero: never
	silent int       // how often it may still be left unsaid that there is no call
	others int       // sum of the words
	fresh  bool      // it is among the news
	words  []word    // by peer
}

// word is what a peer has said last of an endpoint.
type word struct {
	calls  int
	number uint64
	at     time.Time
}

// peer is another gateway.
type peer struct {
	number uint64 // the highest that came
	at     time.Time
	taken  int64
}

// New returns a view of so many peers. inc is this run of the gateway, which began at start.
func New(inc uint64, start time.Time, times Times, peers int) *View {
	return &View{
		times: times, inc: inc, start: start, told: true, upstreams: map[string]*upstream{}, all: map[ID]*endpoint{}, peers: make([]peer, peers),
	}
}

// SetPeers begins anew with so many peers: what was heard is forgotten, until it is said again.
func (v *View) SetPeers(n int) {
	v.peers = make([]peer, n)
	for _, e := range v.order {
		e.words = make([]word, n)
		e.set(0)
	}
}

// Forget drops what peer i has said: it has ended, or is about to begin anew.
func (v *View) Forget(i int) {
	v.peers[i] = peer{}
	for _, e := range v.order {
		e.set(e.others - e.words[i].calls)
		e.words[i] = word{}
	}
}

// Own says what this gateway has in flight at the endpoints of an upstream: all of them, those without a call too. An address may be
// there several times.
func (v *View) Own(name string, calls []Calls) {
	u := v.upstreams[name]
	if u == nil {
		u = &upstream{name: name, endpoints: map[string]*endpoint{}}
		v.upstreams[name] = u
	}
	u.round++
	u.met = 0
	u.line = slices.Grow(u.line, max(0, len(calls)-len(u.line)))[:len(calls)]
	for i, c := range calls {
		e := u.line[i]
		if e == nil || e.own.Address != c.Address {
			e = v.endpoint(u, c.Address)
			u.line[i] = e
		}
		if e == nil {
			continue
		}
		if e.round != u.round {
			e.round, e.own.Calls = u.round, 0
			u.met++
		}
		e.own.Calls += c.Calls
	}
	v.prune(u)
}

// Drop takes an upstream out. What the others have in flight there is of no interest any more.
func (v *View) Drop(name string) {
	if v.upstreams[name] != nil {
		v.Own(name, nil)
		delete(v.upstreams, name)
	}
}

// endpoint returns the endpoint of an address, a new one where there was none; nil where there are too many.
func (v *View) endpoint(u *upstream, address string) *endpoint {
	if e := u.endpoints[address]; e != nil {
		return e
	}
	id := IDOf(u.name, address)
	if len(v.order) == MaxEndpoints || v.all[id] != nil {
		return nil
	}
	e := &endpoint{id: id, at: u, own: Calls{Address: address}, words: make([]word, len(v.peers))}
	u.endpoints[address], v.all[id] = e, e
	v.order = append(v.order, e)
	return e
}

// prune lets go of endpoints that the upstream has no more.
func (v *View) prune(u *upstream) {
	if u.met == len(u.endpoints) {
		return
	}
	gone := func(e *endpoint) bool { return e.at == u && e.round != u.round }
	v.order = slices.DeleteFunc(v.order, func(e *endpoint) bool {
		if !gone(e) {
			return false
		}
		delete(u.endpoints, e.own.Address)
		delete(v.all, e.id)
		return true
	})
	clear(u.line[len(u.line):cap(u.line)])
	u.news = slices.DeleteFunc(u.news, gone)
}

// Tell returns the messages that are due, for all peers alike, and lets go of words that are too old. It is called after Own, every Times.Tick,
// until Quiet.
func (v *View) Tell(now time.Time) []Message {
	v.sweep(now)
	var due []Word
	v.told = true
	for _, e := range v.order {
		if e.own.Calls != e.last {
			e.silent = zeros
		}
		switch {
		case e.own.Calls > 0:
			v.told = false
			if e.own.Calls == e.last && now.Sub(e.lastAt) < v.times.Refresh {
				continue
			}
		case e.silent > 0:
			e.silent--
			v.told = v.told && e.silent == 0
		default:
			continue
		}
		e.last, e.lastAt = e.own.Calls, now
		due = append(due, Word{e.id, min(e.own.Calls, MaxCalls)})
	}
	var out []Message
	for words := range slices.Chunk(due, MaxWords) {
		v.number = max(v.number+1, uint64(now.Sub(v.start)))
		out = append(out, Message{From: v.inc, Number: v.number, Words: words})
	}
	return out
}

// sweep lets go of words that are too old, a few times within Expiry.
func (v *View) sweep(now time.Time) {
	if now.Sub(v.sweeps) < v.times.Expiry/8 {
		return
	}
	v.sweeps = now
	for _, e := range v.order {
		if e.others == 0 {
			continue
		}
		for i := range e.words {
			if w := &e.words[i]; w.calls > 0 && now.Sub(w.at) >= v.times.Expiry {
				e.set(e.others - w.calls)
				w.calls = 0
			}
		}
	}
}

// Quiet reports whether there is nothing to be told and nothing to let go of: Tell need not be called until there is a call, or a word.
func (v *View) Quiet() bool {
	return v.told && !slices.ContainsFunc(v.order, func(e *endpoint) bool { return e.others > 0 })
}

// Receive takes a message of peer i, and reports whether it told anything new. A word that is older than what is known of its endpoint, or
// that comes later than it would have held, changes nothing; nor does one about an endpoint that this gateway does not have.
func (v *View) Receive(i int, m *Message, now time.Time) bool {
	p := &v.peers[i]
	if m.Number+uint64(v.times.Expiry) <= p.number {
		return false
	}
	taken := m.Number > p.number
	if taken {
		p.number, p.at = m.Number, now
	}
	for _, w := range m.Words {
		e := v.all[w.ID]
		if e == nil {
			continue
		}
		had := &e.words[i]
		if m.Number <= had.number {
			continue
		}
		e.set(e.others + w.Calls - had.calls)
		*had = word{w.Calls, m.Number, now}
		taken = true
	}
	if taken {
		p.taken++
	}
	return taken
}

// set changes the sum of an endpoint's words.
func (e *endpoint) set(others int) {
	if others == e.others {
		return
	}
	e.others = others
	if !e.fresh {
		e.fresh = true
		e.at.news = append(e.at.news, e)
	}
}

// Others appends to buf what all the others have in flight, of those endpoints of an upstream where that has changed since it was asked last.
func (v *View) Others(name string, buf []Calls) []Calls {
	u := v.upstreams[name]
	if u == nil {
		return buf
	}
	for _, e := range u.news {
		e.fresh = false
		buf = append(buf, Calls{e.own.Address, e.others})
	}
	u.news = u.news[:0]
	return buf
}

// Repeat has Others tell everything again that it has told of an upstream.
func (v *View) Repeat(name string) {
	for _, e := range v.order {
		if e.at.name == name && e.others > 0 && !e.fresh {
			e.fresh = true
			e.at.news = append(e.at.news, e)
		}
	}
}

// Names appends the upstreams of which Others has something to tell, in order.
func (v *View) Names(buf []string) []string {
	for name, u := range v.upstreams {
		if len(u.news) > 0 {
			buf = append(buf, name)
		}
	}
	slices.SortFunc(buf, cmp.Compare[string])
	return buf
}

// Heard is what is known of a peer's words.
type Heard struct {
	Age   time.Duration // of its last message; below zero: none has come
	Taken int64         // messages that told something new
	Calls int           // what it has in flight, by its words that hold
}

// Heard returns what is known of peer i.
func (v *View) Heard(i int, now time.Time) Heard {
	p := v.peers[i]
	h := Heard{Age: -1, Taken: p.taken}
	if !p.at.IsZero() {
		h.Age = now.Sub(p.at)
	}
	for _, e := range v.order {
		h.Calls += e.words[i].calls
	}
	return h
}
