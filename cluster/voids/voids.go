// Package voids tells gateways which of the replies that they keep are void, since one of them has made them so.
//
// Each gateway numbers what it makes void and sends it to the others at once, in small datagrams that may be lost, late, doubled or out of
// order, and again until they say that it has come. It remembers the last Remembered. What a gateway has not heard and cannot be told any more
// (a gap in the numbers, the end of a gateway that has not said that all was told) may be any reply: then it has to drop all that it
// keeps.
//
// Who keeps replies has to know that it misses nothing. A message says how much the sender has made void by then, and which message of the
// receiver it answers: so the receiver knows, by its own clock alone, up to when it has heard everything. Where one of the others has not vouched
// for Times.Patience, all is dropped, and again as often: no reply that was made void elsewhere is kept for longer, whatever becomes of
// the network, of processes and of clocks. Of a gateway that was silent for less, or comes back, nothing is dropped if the numbers prove that
// nothing was missed.
//
// Ledger is the state machine: it is driven by times and messages, and does no I/O. Package lease carries its messages.
package voids

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Times are those of a ledger. Gateways may have different ones, but for Patience, which is to be several Heartbeats of all.
type Times struct {
	Repeat    time.Duration // after which what was not acknowledged is told again; twice as long each time, up to Heartbeat
	Heartbeat time.Duration // between messages to a gateway where nothing happens, of who keeps replies
	Patience  time.Duration // for which replies are kept where another gateway does not vouch that none of them is void
	Forget    time.Duration // after which nothing more is repeated to a gateway that acknowledges nothing: it has dropped all
	Late      time.Duration // after which a message is not taken any more if a newer one has come
}

// DefaultTimes are the times that gateways use: what was lost is there with the next try or the one after it, within 30 ms, and twenty messages in
// a row have to be lost before anything is dropped for it.
func DefaultTimes() Times {
	return Times{
		Repeat: 10 * time.Millisecond, Heartbeat: 50 * time.Millisecond, Patience: time.Second, Forget: 2 * time.Second, Late: 400 * time.Millisecond,
	}
}

const (
	// Remembered is how many IDs a gateway remembers to tell them again: 128 KiB.
	Remembered = 8192
	// window is how many of them are on their way to one gateway at a time: as much as the buffer of a socket takes from several.
	window = 2048
)

// Ledger is what one gateway has told and heard. Tell is safe for concurrent use, with the other methods too; these are not.
type Ledger struct {
	times   Times
	inc     uint64 // this run of the gateway
	start   time.Time
	number  uint64 // of the last message
	peers   []*peer
	keeps   bool      // this gateway keeps replies: it has to know
	dropped time.Time // when all was dropped last
	drop    bool      // all is to be dropped
	follows time.Time // since when another run serves in this one's place; zero: none does
	bye     uint64    // the number of the first message that says goodbye; zero: it goes on
	out     []Outgoing
	counts  Counts

	mu   sync.Mutex
	head uint64 // the number of the last ID
	ids  []ID   // the last Remembered, each at the rest of its number; nil: there was none yet
}

// peer is another gateway, by its address in the config.
type peer struct {
	address string
	begun   bool   // there may have been a run; else the others were told of it before it begins
	run     uint64 // zero: none is known yet
	ended   bool   // it is known to have ended, or not to have begun

	// What it is told.
	base   uint64        // the lowest number that is repeated
	acked  uint64        // all up to this number has come
	sent   uint64        // all up to this number was sent, since it was begun to repeat it
	most   uint64        // … at any time
	since  time.Time     // when it was begun to tell what was not acknowledged, or something last was
	repeat time.Time     // when that is told again
	wait   time.Duration // … and how long after that once more
	spoke  time.Time     // when anything was sent
	reply  bool          // it waits for an answer
	echo   uint64        // the last message that has come there

	// What it has told.
	number  uint64    // of its last message
	next    uint64    // the first ID that has not come
	early   []span    // of those behind it that have, in order
	at      time.Time // of its last message
	vouched time.Time // all that it had made void by then is known
	closed  time.Time // when it had said goodbye and all had come; zero: it has not
}

// span is IDs from a number up to below another.
type span struct{ first, end uint64 }

// maxSpans bounds what is known of IDs that have come before their turn.
const maxSpans = 64

// Outgoing is a message to the peer of that number, in the order of the addresses.
type Outgoing struct {
	Peer    int
	Message *Message
}

// Counts are what was counted since the ledger began.
type Counts struct {
	Told     int64 // IDs that this gateway has made void
	Heard    int64 // IDs that others have; some that come out of order count twice
	Repeated int64 // IDs that were sent to a peer once more
	Gaps     int64 // times that all was dropped since something was not heard and is not repeated any more
	Silences int64 // … since a peer was silent
	Ends     int64 // … since a peer ended without saying that all was told
}

// New returns a ledger without peers. inc is this run of the gateway, which began at start.
func New(inc uint64, start time.Time, times Times) *Ledger {
	return &Ledger{times: times, inc: inc, start: start, dropped: start}
}

// SetPeers changes who the others are, by address. Those that stay are not disturbed; those that are new have not begun, but for the first ones.
func (l *Ledger) SetPeers(addresses []string, now time.Time) {
	old := l.peers
	l.peers = nil
	for _, a := range addresses {
		i := slices.IndexFunc(old, func(p *peer) bool { return p.address == a })
		if i >= 0 {
			l.peers = append(l.peers, old[i])
		} else {
			l.peers = append(l.peers, &peer{address: a, base: 1, next: 1, vouched: now, begun: old == nil})
		}
	}
	for _, p := range old {
		if !slices.Contains(l.peers, p) {
			l.buried(p, now)
		}
	}
}

// SetKeeps says whether this gateway keeps replies. Where it begins to it has none yet.
func (l *Ledger) SetKeeps(keeps bool, now time.Time) {
	if keeps && !l.keeps {
		l.dropped = now
	}
	l.keeps = keeps
}

// SetFollowed says whether another run of the gateway serves in this one's place: neither knows what the other makes void.
func (l *Ledger) SetFollowed(followed bool, now time.Time) {
	if l.follows = (time.Time{}); followed {
		l.follows = now
	}
}

// Met says which run peer i is at, zero where none is known, the number of that run's last message, which says how long ago it began, and whether
// the peer is known to have ended. It is to be told so for as long as that is known.
func (l *Ledger) Met(i int, run, number uint64, ended bool, now time.Time) {
	p := l.peers[i]
	if ended || run != 0 && run != p.run {
		l.buried(p, now)
	}
	if p.ended && !ended {
		p.closed = time.Time{}
	}
	if p.ended = ended; ended {
		p.vouched = now
	}
	if run == 0 || run == p.run {
		return
	}
	began := now.Add(-time.Duration(number))
	l.missed(p, began, now)
	if began.After(p.vouched) {
		p.vouched = began
	}
	next := peer{address: p.address, begun: true, run: run, vouched: p.vouched, base: 1, next: 1}
	l.mu.Lock()
	if l.head > Remembered {
		next.base = l.head + 1
	}
	l.mu.Unlock()
	*p = next
}

// unnoticed is for how long nothing can be known of a gateway that was not there before: it takes longer to begin, serve and end.
const unnoticed = 250 * time.Millisecond

// buried drops all where a run that has ended may have made void what nobody was told.
func (l *Ledger) buried(p *peer, now time.Time) {
	switch {
	case p.ended || !p.closed.IsZero():
	case p.run != 0:
		l.lose(&l.counts.Ends, now)
	default:
		l.missed(p, now, now)
	}
}

// missed drops all where a run that was never heard may have begun and ended before a time.
func (l *Ledger) missed(p *peer, before, now time.Time) {
	if p.begun && before.Sub(p.vouched) > unnoticed && before.Sub(l.dropped) > unnoticed {
		l.lose(&l.counts.Ends, now)
	}
}

// lose has all be dropped.
func (l *Ledger) lose(why *int64, now time.Time) {
	if l.keeps {
		*why++
		l.drop, l.dropped = true, now
	}
}

// Lost reports whether all that is kept has to be dropped, since it was asked last.
func (l *Ledger) Lost() bool {
	lost := l.drop
	l.drop = false
	return lost
}

// Tell says what this gateway has made void. It does not wait.
func (l *Ledger) Tell(ids []ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids == nil {
		l.ids = make([]ID, Remembered)
	}
	for _, id := range ids {
		l.head++
		l.ids[l.head%Remembered] = id
	}
}

// Step returns the messages that are due. It is called after Tell, Receive and Met, and after Wait.
func (l *Ledger) Step(now time.Time) []Outgoing {
	l.judge(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.peers {
		if p.run != 0 && !p.ended {
			l.tell(i, p, now)
		}
	}
	out := l.out
	l.out = nil
	return out
}

// judge drops all where somebody has not vouched for too long.
func (l *Ledger) judge(now time.Time) {
	since := now
	for _, p := range l.peers {
		if l.due(p, now) && p.vouched.Before(since) {
			since = p.vouched
		}
	}
	if !l.follows.IsZero() && l.follows.Before(since) {
		since = l.follows
	}
	if since.Before(l.dropped) {
		since = l.dropped
	}
	if now.Sub(since) >= l.times.Patience {
		l.lose(&l.counts.Silences, now)
	}
}

// due reports whether a peer has to vouch: unless it has ended. A goodbye is believed for a while, in which its end is found out.
func (l *Ledger) due(p *peer, now time.Time) bool {
	return !p.ended && (p.closed.IsZero() || now.Sub(p.closed) > l.times.Forget)
}

// tell sends a peer what is due. l.mu is held.
func (l *Ledger) tell(i int, p *peer, now time.Time) {
	l.forget(p, now)
	if p.most > p.acked && !now.Before(p.repeat) {
		p.sent = p.acked
		p.wait = min(2*p.wait, l.times.Heartbeat)
		p.repeat = now.Add(p.wait)
	}
	for n := l.room(p); n > 0; n = l.room(p) {
		if p.most <= p.acked {
			p.since, p.wait, p.repeat = now, l.times.Repeat, now.Add(l.times.Repeat)
		}
		l.say(i, p, now, n)
	}
	switch quiet := now.Sub(p.spoke); {
	case p.reply:
		l.say(i, p, now, 0)
	case l.bye > 0 && p.number > 0 && !l.heardBye(p) && quiet >= l.times.Repeat:
		l.say(i, p, now, 0)
	case l.keeps && quiet >= l.times.Heartbeat:
		l.say(i, p, now, 0)
		l.out[len(l.out)-1].Message.Asks = true
	}
}

// forget gives up what cannot be repeated any more, or is repeated in vain.
func (l *Ledger) forget(p *peer, now time.Time) {
	if l.head > Remembered {
		p.base = max(p.base, l.head-Remembered+1)
	}
	if p.most > p.acked && now.Sub(p.since) >= l.times.Forget {
		p.base = max(p.base, p.most+1)
	}
	p.acked = max(p.acked, p.base-1)
	p.sent = max(p.sent, p.acked)
	p.most = max(p.most, p.acked)
}

// room is how many IDs the next message to a peer has. l.mu is held.
func (l *Ledger) room(p *peer) uint64 {
	return min(MaxIDs, l.head-p.sent, window-(p.sent-p.acked))
}

// say sends a peer a message with the next n IDs. l.mu is held.
func (l *Ledger) say(i int, p *peer, now time.Time, n uint64) {
	l.number = max(l.number+1, uint64(now.Sub(l.start)))
	m := &Message{
		From: l.inc, Number: l.number, EchoFrom: p.run, EchoNumber: p.number, Ack: p.next - 1, Head: l.head, Base: p.base,
		Followed: !l.follows.IsZero(), Bye: l.bye > 0,
	}
	if n > 0 {
		m.First = p.sent + 1
		m.IDs = make([]ID, n)
	}
	for k := range m.IDs {
		m.IDs[k] = l.ids[(m.First+uint64(k))%Remembered]
	}
	l.counts.Repeated += int64(min(n, p.most-p.sent))
	p.sent += n
	p.most = max(p.most, p.sent)
	p.spoke, p.reply = now, false
	l.out = append(l.out, Outgoing{i, m})
}

// Wait returns how long nothing is due, if nothing happens; below zero: for ever.
func (l *Ledger) Wait(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := time.Duration(-1)
	until := func(at time.Time) {
		if d := max(0, at.Sub(now)); wait < 0 || d < wait {
			wait = d
		}
	}
	if l.keeps && len(l.peers) > 0 {
		until(now.Add(l.times.Heartbeat))
	}
	for _, p := range l.peers {
		if p.run == 0 || p.ended {
			continue
		}
		if p.reply || l.room(p) > 0 {
			return 0
		}
		if p.most > p.acked {
			until(p.repeat)
		}
		if l.keeps {
			until(p.spoke.Add(l.times.Heartbeat))
		}
	}
	return wait
}

// Receive takes a message of peer i. It returns what that makes void, and whether the message told anything new.
func (l *Ledger) Receive(i int, m *Message, now time.Time) (void []ID, taken bool) {
	p := l.peers[i]
	known := p.run != 0 && !p.ended && m.From == p.run && m.EchoFrom == l.inc // what another run of this gateway is told has other bounds
	if !known || m.EchoNumber > l.number || m.Number+uint64(l.times.Late) < p.number {
		return nil, false
	}
	if taken = m.Number > p.number; taken {
		p.number, p.at = m.Number, now
	}
	if m.Base > p.next {
		l.lose(&l.counts.Gaps, now)
		p.next = m.Base
		p.advance()
	}
	void = p.hear(m)
	l.counts.Heard += int64(len(void))
	p.reply = p.reply || len(m.IDs) > 0 || m.Bye || m.Asks && !l.keeps // else it is told soon enough
	p.answered(m, l.times, now)
	if p.next <= m.Head {
		return void, taken || len(void) > 0
	}
	if at := l.start.Add(time.Duration(m.EchoNumber)); !m.Followed && at.After(p.vouched) {
		p.vouched = at
	}
	if m.Bye && p.closed.IsZero() {
		p.closed = now
	}
	return void, taken || len(void) > 0
}

// hear returns those IDs of a message that have not come yet.
func (p *peer) hear(m *Message) []ID {
	late := min(p.next-min(p.next, m.First), uint64(len(m.IDs)))
	void, s := m.IDs[late:], span{m.First + late, m.First + uint64(len(m.IDs))}
	if len(void) == 0 || slices.ContainsFunc(p.early, func(e span) bool { return e.first <= s.first && s.end <= e.end }) {
		return nil
	}
	i, _ := slices.BinarySearchFunc(p.early, s, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	p.early = slices.Insert(p.early, i, s)
	p.advance()
	return void
}

// advance joins what has come, and moves next up to what has not.
func (p *peer) advance() {
	joined := p.early[:0]
	for _, s := range p.early {
		switch last := len(joined) - 1; {
		case s.first <= p.next:
			p.next = max(p.next, s.end)
		case last >= 0 && s.first <= joined[last].end:
			joined[last].end = max(joined[last].end, s.end)
		case last < maxSpans-1: // what lies beyond is told again
			joined = append(joined, s)
		}
	}
	p.early = joined
}

// answered takes in what of this gateway's has come there.
func (p *peer) answered(m *Message, times Times, now time.Time) {
	p.echo = max(p.echo, m.EchoNumber)
	if m.Ack > p.acked && m.Ack <= p.most {
		p.acked = m.Ack
		p.sent = max(p.sent, p.acked)
		p.since, p.wait, p.repeat = now, times.Repeat, now.Add(times.Repeat)
	}
}

// Close says goodbye from now on: nothing more is made void here. It goes on until Parted.
func (l *Ledger) Close() { l.bye = l.number + 1 }

// Parted reports whether all who listen have heard everything, and the goodbye.
func (l *Ledger) Parted(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(l.peers, func(p *peer) bool {
		return p.run != 0 && !p.ended && now.Sub(p.at) < l.times.Patience && !l.heardBye(p)
	})
}

// heardBye reports whether a peer has heard everything, and the goodbye. l.mu is held.
func (l *Ledger) heardBye(p *peer) bool { return p.echo >= l.bye && p.acked == l.head }

// Counts returns what was counted.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.Told = int64(l.head)
	return c
}

// Age returns how long ago it was up to which peer i has vouched for what is kept; below zero: its present run has not yet.
func (l *Ledger) Age(i int, now time.Time) time.Duration {
	if p := l.peers[i]; p.number > 0 && !p.ended {
		return now.Sub(p.vouched)
	}
	return -1
}

// Silent returns how many peers have not vouched for Times.Patience: while there are any, nothing is kept for longer than that.
func (l *Ledger) Silent(now time.Time) (n int) {
	for _, p := range l.peers {
		if l.due(p, now) && now.Sub(p.vouched) >= l.times.Patience {
			n++
		}
	}
	return n
}
