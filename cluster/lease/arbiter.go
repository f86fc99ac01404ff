package lease

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// asArbiter takes the report that a message carries, where it is for this node.
func (n *Node) asArbiter(p *peer, m *Message, echoed, now time.Time) {
	if m.Boss != n.inc || m.Term < p.term || n.boss != nil || echoed.Before(n.reign) {
		p.report = nil // it obeys somebody else, or has not seen that this node gives the orders
		return
	}
	if m.Term > p.term { // no order of an earlier term will be carried out any more
		p.term, p.order, p.pending, p.ordered, p.report = m.Term, 0, false, nil, nil
	}
	if echoed.After(p.mine) {
		p.mine = echoed
	}
	if p.pending && m.Ack == p.order {
		p.pending = false
	}
	if p.report == nil {
		p.joined = now
	}
	p.report = map[uint64]GroupReport{}
	for _, g := range m.Report {
		p.report[g.ID] = g
	}
}

// member reports whether p obeys this node, and is heard.
func (n *Node) member(p *peer, now time.Time) bool {
	return !p.gone && p.report != nil && now.Sub(p.mine) <= n.times.Silence
}

// bound is the most connections that p may have at an endpoint, and the limit it was given last.
func (p *peer) bound(g uint64, e EndpointReport) (bound, limit int) {
	bound, limit = int(max(e.Limit, e.Open)), int(e.Limit)
	if l, ok := p.ordered[[2]uint64{g, e.ID}]; ok && p.pending {
		bound, limit = max(bound, l), l
	}
	return bound, limit
}

func (p *peer) limits() []GroupLimits {
	byGroup := map[uint64][]EndpointLimit{}
	for k, limit := range p.ordered {
		byGroup[k[0]] = append(byGroup[k[0]], EndpointLimit{k[1], uint32(limit)})
	}
	var all []GroupLimits
	for _, id := range slices.Sorted(maps.Keys(byGroup)) {
		slices.SortFunc(byGroup[id], func(a, b EndpointLimit) int { return cmp.Compare(a.ID, b.ID) })
		all = append(all, GroupLimits{id, byGroup[id]})
	}
	return all
}

// party is a member of the arbiter's, itself included, with its use of one upstream.
type party struct {
	peer *peer // nil: the arbiter itself
	inc  uint64
	claim
	bound []int // connections at most
	next  map[[2]uint64]int
}

// arbitrate orders how many slots each member may use.
func (n *Node) arbitrate(now time.Time) {
	n.leased = now // an arbiter needs no lease of another
	n.keepToShare(&n.alone, false, "")
	blocked, static := n.missing(now)
	n.keepToShare(&n.static, static, "a gateway is cut off")
	parties := []*party{{inc: n.inc}}
	for _, p := range n.peers {
		if n.member(p, now) {
			parties = append(parties, &party{peer: p, inc: p.inc, next: map[[2]uint64]int{}})
			for id := range p.report {
				n.group(id)
			}
		}
	}
	level := now.Sub(n.leveled) >= n.times.Heartbeat
	if level {
		n.leveled = now
	}
	n.wanted = false
	for _, g := range n.shared {
		n.divide(g, parties, blocked, static, level, now)
	}
	n.shared = slices.DeleteFunc(n.shared, func(g *group) bool { return g.unused })
	for _, x := range parties[1:] {
		p := x.peer
		if p.pending || len(x.next) == 0 {
			continue
		}
		p.ordered, p.pending, p.repeated = x.next, true, time.Time{}
		p.order++
	}
}

// missing judges those that do not obey: blocked says that somebody may have slots that are not known of, so that none can be given;
// static, that somebody keeps to its static share, so that all have to.
func (n *Node) missing(now time.Time) (blocked, static bool) {
	var joined time.Time
	for _, p := range n.peers {
		if n.member(p, now) && p.joined.After(joined) {
			joined = p.joined
		}
	}
	for _, p := range n.peers {
		switch {
		case p.self, n.member(p, now):
		case p.gone:
			// It may have come back since, and got slots of one that is a member now and gave orders until then.
			blocked = blocked || p.refusedL.Before(joined)
		default:
			silent := now.Sub(p.mine)
			lost := !p.contact.IsZero() && !n.alive(p, now) // it has noticed as well, or is about to
			static = static || lost || silent > n.times.Silence
			blocked = blocked || silent <= n.quarantine()
		}
	}
	return blocked, static
}

// divide decides for one upstream, carries out what concerns this node itself, and notes the others' orders.
func (n *Node) divide(g *group, parties []*party, blocked, static, level bool, now time.Time) {
	ids, slots := n.endpoints(g, parties)
	g.unused = len(ids) == 0 && g.up == nil
	if len(ids) == 0 {
		return
	}
	claims := n.claims(g, parties, ids)
	g.ration(parties, now, n.times.Turn)
	targets := n.portions(slots, len(parties))
	if !static {
		targets = allot(slots, claims, level)
	}
	for _, c := range claims {
		n.wanted = n.wanted || c.waiting > 0
	}
	own, given := parties[0], map[uint64]int{}
	for k, id := range ids {
		if targets[0][k] < own.limit[k] {
			given[id] = targets[0][k]
		}
	}
	if len(given) > 0 { // what this node gives up is there for others at once
		n.limit(g, given)
		n.claims(g, parties, ids)
	}
	taken := map[uint64]int{}
	for k, id := range ids {
		free := slots[k]
		for _, x := range parties {
			free -= x.bound[k]
		}
		if blocked {
			free = 0
		}
		for m, x := range parties {
			limit := x.grant(k, targets[m][k], &free)
			switch {
			case limit == x.limit[k]:
			case x == own:
				taken[id] = limit
			default:
				x.next[[2]uint64{g.id, id}] = limit
			}
		}
	}
	if len(taken) > 0 {
		n.limit(g, taken)
	}
}

// grant returns the limit at endpoint k that the party can be given of what it is to have, and takes what it needs for that out of free:
// what the upper bounds of all leave.
func (x *party) grant(k, target int, free *int) int {
	switch {
	case !x.has[k]:
		return x.limit[k]
	case target <= x.limit[k]:
		return target
	}
	limit := max(x.limit[k], min(target, x.bound[k]+max(0, *free)))
	if x.peer == nil || !x.peer.pending { // else no order goes out now
		*free -= max(0, limit-x.bound[k])
	}
	return limit
}

// claims fills in what the parties make of the upstream.
func (n *Node) claims(g *group, parties []*party, ids []uint64) (all []*claim) {
	for _, x := range parties {
		n.use(g, x, ids)
		all = append(all, &x.claim)
	}
	return all
}

// portions are the static shares of the parties.
func (n *Node) portions(slots []int, parties int) [][]int {
	each := make([]int, len(slots))
	for k := range slots {
		each[k] = n.portion(slots[k])
	}
	return slices.Repeat([][]int{each}, parties)
}

// endpoints returns the upstream's endpoints, in order, with their slots: the least that a member says.
func (n *Node) endpoints(g *group, parties []*party) (ids []uint64, slots []int) {
	least := map[uint64]int{}
	note := func(id uint64, slots int) {
		if had, ok := least[id]; !ok || had == 0 || slots > 0 && slots < had {
			least[id] = slots
		}
	}
	for _, e := range g.usage().Endpoints {
		note(g.ident(e.Address), e.Slots)
	}
	for _, x := range parties[1:] {
		for _, e := range x.peer.report[g.id].Endpoints {
			note(e.ID, int(e.Slots))
		}
	}
	ids = slices.Sorted(maps.Keys(least))
	for _, id := range ids {
		slots = append(slots, least[id])
	}
	return ids, slots
}

// use fills in what a party makes of the upstream.
func (n *Node) use(g *group, x *party, ids []uint64) {
	rank := x.rank
	x.claim = claim{
		rank: rank, has: make([]bool, len(ids)), down: make([]bool, len(ids)), busy: make([]int, len(ids)), limit: make([]int, len(ids)),
	}
	x.bound = make([]int, len(ids))
	if x.peer == nil {
		u := g.usage()
		x.waiting = u.Waiting
		for _, e := range u.Endpoints {
			k, _ := slices.BinarySearch(ids, g.ident(e.Address))
			x.has[k], x.down[k], x.busy[k], x.limit[k], x.bound[k] = e.Slots > 0 && !n.leaving, e.Down, e.Busy, e.Limit, max(e.Limit, e.Open)
		}
		if n.leaving {
			x.waiting = 0
		}
		return
	}
	r := x.peer.report[g.id]
	x.waiting = int(r.Waiting)
	for _, e := range r.Endpoints {
		k, _ := slices.BinarySearch(ids, e.ID)
		x.has[k], x.down[k], x.busy[k] = e.Slots > 0, e.Down, int(e.Busy)
		x.bound[k], x.limit[k] = x.peer.bound(g.id, e)
	}
}

// ration ranks the parties: of those that want more than there is, the one comes first that has had least. A rank holds for a Turn.
func (g *group) ration(parties []*party, now time.Time, turn time.Duration) {
	took := now.Sub(g.counted)
	g.counted = now
	least, any := int64(0), false
	for _, x := range parties {
		if served, ok := g.served[x.inc]; ok && g.hungry[x.inc] && (!any || served < least) {
			least, any = served, true
		}
	}
	changed := len(g.rank) != len(parties)
	for _, x := range parties {
		changed = changed || !slices.Contains(g.rank, x.inc)
		hungry := x.waiting > 0
		switch {
		case hungry && g.hungry[x.inc]:
			for _, limit := range x.limit {
				g.served[x.inc] += int64(took) * int64(limit)
			}
		case hungry: // who was content meanwhile has saved nothing up
			g.served[x.inc] = max(g.served[x.inc], least)
			changed = true
		}
		g.hungry[x.inc] = hungry
	}
	if changed || now.Sub(g.ranked) >= turn {
		g.ranked = now
		gone := func(inc uint64) bool {
			return !slices.ContainsFunc(parties, func(x *party) bool { return x.inc == inc })
		}
		maps.DeleteFunc(g.served, func(inc uint64, _ int64) bool { return gone(inc) })
		maps.DeleteFunc(g.hungry, func(inc uint64, _ bool) bool { return gone(inc) })
		g.rank = g.rank[:0]
		byServed := slices.Clone(parties)
		slices.SortStableFunc(byServed, func(a, b *party) int { return cmp.Compare(g.served[a.inc], g.served[b.inc]) })
		for _, x := range byServed {
			g.rank = append(g.rank, x.inc)
		}
	}
	for _, x := range parties {
		x.rank = slices.Index(g.rank, x.inc)
	}
}
