package lease

import (
	"math/bits"
	"slices"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
)

// asMember takes what a message of the boss says to this node.
func (n *Node) asMember(p *peer, m *Message, echoed time.Time) {
	if p != n.boss || m.Boss != m.From {
		return
	}
	if !m.Lease {
		n.last = nil // it waits for a report
		return
	}
	if echoed.After(n.leased) {
		n.leased = echoed
	}
	n.wanted = m.Wanted
	if m.OrderTerm != n.term || m.Order <= n.ack {
		return
	}
	n.ack = m.Order
	for _, g := range m.Limits {
		limits := map[uint64]int{}
		for _, e := range g.Endpoints {
			limits[e.ID] = int(e.Limit)
		}
		n.limit(n.group(g.ID), limits)
	}
	n.last = nil // to be acknowledged at once
}

// limit gives the node's own upstream its limits, by endpoint.
func (n *Node) limit(g *group, limits map[uint64]int) {
	if g.up == nil {
		return
	}
	named := map[string]int{}
	for id, limit := range limits {
		if n.leaving {
			limit = 0
		}
		if address, ok := g.address[id]; ok {
			named[address] = limit
		}
	}
	if len(named) > 0 {
		g.up.SetLimits(named)
	}
}

// usage returns the use of the node's own upstream.
func (g *group) usage() cluster.Usage {
	if g.up == nil {
		return cluster.Usage{}
	}
	u := g.up.Usage()
	g.linger, g.owes = u.Linger, u.Waiting > 0
	for _, e := range u.Endpoints {
		g.ident(e.Address)
		g.owes = g.owes || e.Open > e.Limit
	}
	return u
}

// ident is an address as messages carry it.
func (g *group) ident(address string) uint64 {
	id, ok := g.ids[address]
	if !ok {
		id = idOf(address)
		g.ids[address], g.address[id] = id, address
	}
	return id
}

// obey keeps to the static share once the boss has not been heard for long, and takes it when no other can have it any more.
func (n *Node) obey(now time.Time) {
	silent := now.Sub(n.leased)
	n.keepToShare(&n.alone, silent > n.times.Silence, "the arbiter does not answer")
	if !n.alone {
		return
	}
	for _, g := range n.shared {
		limits := map[uint64]int{}
		for _, e := range g.usage().Endpoints {
			portion := n.portion(e.Slots)
			if silent > n.quarantine() || e.Limit > portion {
				limits[g.ident(e.Address)] = portion
			}
		}
		n.limit(g, limits)
	}
}

// keepToShare sets whether this node keeps to its static share, for a reason, and tells of a change.
func (n *Node) keepToShare(is *bool, now bool, reason string) {
	switch {
	case *is == now:
		return
	case now:
		n.events = append(n.events, Event{Text: "static share", Reason: reason})
	default:
		n.events = append(n.events, Event{Text: "shared again"})
	}
	*is = now
}

// quarantine is how long a gateway has to be silent until its connections are no more than its static share: it has noticed, later than
// this one by a multiple of Silence, and the calls that it had under way have ended, however long a call of any gateway may take.
func (n *Node) quarantine() time.Duration {
	d := n.longest()
	for _, p := range n.peers {
		d = max(d, p.hold)
	}
	return d + 4*n.times.Silence
}

// longest is how long a connection of this gateway may be with one call.
func (n *Node) longest() time.Duration {
	linger := time.Duration(0)
	for _, g := range n.shared {
		linger = max(linger, g.linger)
	}
	return n.hold + linger
}

// reports is this node's use of all that it shares. While it has no lease it may help itself to its static share.
func (n *Node) reports() []GroupReport {
	var all []GroupReport
	for _, g := range n.shared {
		if g.up == nil {
			continue
		}
		u := g.usage()
		r := GroupReport{ID: g.id, Waiting: uint32(u.Waiting)}
		if n.leaving {
			r.Waiting = 0
		}
		for _, e := range u.Endpoints {
			if n.leaving {
				e.Slots = 0
			}
			if n.alone {
				e.Limit = max(e.Limit, n.portion(e.Slots))
			}
			r.Endpoints = append(r.Endpoints, EndpointReport{
				ID: g.ident(e.Address), Slots: uint32(e.Slots), Limit: uint32(e.Limit), Open: uint32(e.Open), Busy: uint32(e.Busy), Down: e.Down,
			})
		}
		all = append(all, r)
	}
	return all
}

// urgent is what of a report the boss has to know at once: who begins or ceases to wait, or has far more that wait; what is in use beyond
// the limit; and, while others wait, what is idle.
func (n *Node) urgent(reports []GroupReport) []int {
	out := []int{len(reports)}
	for _, g := range reports {
		out = append(out, bits.Len32(g.Waiting))
		for _, e := range g.Endpoints {
			idle := 0
			if n.wanted {
				idle = int(e.Limit) - int(e.Busy)
			}
			out = append(out, int(e.Slots), int(max(e.Open, e.Limit)), max(0, idle))
		}
	}
	return out
}

// talk makes the messages that are due.
func (n *Node) talk(now time.Time) {
	var reports []GroupReport
	urgent := false
	if n.boss != nil {
		reports = n.reports()
		if u := n.urgent(reports); !slices.Equal(u, n.last) {
			n.last, urgent = u, true
		}
	}
	for i, p := range n.peers {
		order := n.boss == nil && p.pending && now.Sub(p.repeated) >= n.times.Tick
		wanted := n.boss == nil && n.wanted && !p.told && n.member(p, now)
		reply := p.reply && now.Sub(p.sent) >= n.times.Tick
		if !order && !wanted && !reply && !(urgent && p == n.boss) && now.Sub(p.sent) < n.times.Heartbeat {
			continue
		}
		m := n.message(p, now)
		if p == n.boss {
			m.Report = reports
		}
		if order {
			p.repeated = now
		}
		p.sent, p.reply, p.told = now, false, m.Wanted
		n.out = append(n.out, Outgoing{i, m})
	}
}

// message is what peer p is told, but for the report.
func (n *Node) message(p *peer, now time.Time) *Message {
	n.number = max(n.number+1, uint64(now.Sub(n.start)))
	m := &Message{
		Name: n.name, From: n.inc, Number: n.number, EchoFrom: p.inc, EchoNumber: p.number, Boss: n.inc, Term: n.term, Ack: n.ack,
		HoldMillis: uint32(n.longest().Milliseconds()),
	}
	if n.boss != nil {
		m.Boss = n.boss.inc
	}
	if p.hello[0] != 0 { // once: who is alive is answered by the next message again
		m.EchoFrom, m.EchoNumber = p.hello[0], p.hello[1]
		p.hello = [2]uint64{}
		return m
	}
	if n.boss != nil {
		return m
	}
	m.Lease = n.member(p, now)
	m.Wanted = n.wanted
	if p.pending {
		m.OrderTerm, m.Order, m.Limits = p.term, p.order, p.limits()
	}
	return m
}
