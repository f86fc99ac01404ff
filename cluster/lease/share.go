package lease

import (
	"cmp"
	"slices"
)

// claim is one member's use of one upstream, as the arbiter knows it: by endpoint, in the order of the upstream's.
type claim struct {
	waiting int
	has     []bool // the member knows the endpoint
	down    []bool // and cannot use it now
	busy    []int
	limit   []int // what it has been given
	rank    int   // who comes first where there is not enough for all: the least
}

// usable reports whether a slot at endpoint k is of use to the member.
func (c *claim) usable(k int) bool { return c.has[k] && !c.down[k] }

// wants returns how many slots the member could use now. A call at an endpoint where its slot is to go does not ask for another one.
func (c *claim) wants() int {
	n := c.waiting
	for k := range c.busy {
		if c.usable(k) {
			n += min(c.busy[k], c.limit[k])
		}
	}
	return n
}

func (c *claim) given(limit []int) (n int) {
	for k := range limit {
		if c.usable(k) {
			n += limit[k]
		}
	}
	return n
}

// allot decides how many slots of each endpoint each member is to have. slots is how many each endpoint has; claims are the members'.
//
// Who wants less than an even part gets what it wants; the others get even parts of the rest, and what cannot be split goes to the least
// in rank (max-min fairness). What nobody wants stays where it is, unless level asks for an even spread of it. No more is moved than has
// to be.
func allot(slots []int, claims []*claim, level bool) [][]int {
	a := &allotment{slots: slots, claims: claims, fair: make([]int, len(claims))}
	total := 0
	for _, c := range claims {
		a.limits = append(a.limits, slices.Clone(c.limit))
	}
	for k := range slots {
		a.fit(k)
		if slices.ContainsFunc(claims, func(c *claim) bool { return c.usable(k) }) {
			total += slots[k]
		}
	}
	a.divide(total)
	order := make([]int, len(claims))
	for m := range order {
		order[m] = m
	}
	slices.SortStableFunc(order, func(x, y int) int { return claims[x].rank - claims[y].rank })
	for moved := true; moved; { // one each in turn, or some where there are many
		moved = false
		for _, m := range order {
			need := a.fair[m] - claims[m].given(a.limits[m])
			if n := max(1, need/8); need > 0 && (a.takeFree(m, n) || a.takeFrom(m, n, a.surplus)) {
				moved = true
			}
		}
	}
	if level {
		a.level(order)
	}
	return a.limits
}

type allotment struct {
	slots  []int
	claims []*claim
	limits [][]int // by member and endpoint
	fair   []int   // by member
}

// fit lowers limits at endpoint k to what it has: it may have fewer slots than before.
func (a *allotment) fit(k int) {
	for over := -a.free(k); over > 0; over = -a.free(k) {
		most := 0
		for m := range a.limits {
			if a.limits[m][k] > a.limits[most][k] {
				most = m
			}
		}
		a.limits[most][k] -= min(a.limits[most][k], max(1, over/len(a.limits)))
	}
}

func (a *allotment) free(k int) int {
	n := a.slots[k]
	for m := range a.limits {
		n -= a.limits[m][k]
	}
	return n
}

// freest is the endpoint where most slots are that nobody has.
func (a *allotment) freest() (best int) {
	for k := range a.slots {
		if a.free(k) > a.free(best) {
			best = k
		}
	}
	return best
}

// divide finds how many of total slots each member is to have at least.
func (a *allotment) divide(total int) {
	left := make([]int, 0, len(a.claims)) // members that still want
	for m := range a.claims {
		left = append(left, m)
	}
	slices.SortStableFunc(left, func(x, y int) int { return a.claims[x].rank - a.claims[y].rank })
	for total > 0 && len(left) > 0 {
		part := max(1, total/len(left))
		next := left[:0:0]
		for _, m := range left {
			n := min(part, a.claims[m].wants()-a.fair[m], total)
			a.fair[m] += n
			total -= n
			if a.fair[m] < a.claims[m].wants() {
				next = append(next, m)
			}
		}
		left = next
	}
}

// surplus is how many slots more than its part member m has.
func (a *allotment) surplus(m int) int { return a.claims[m].given(a.limits[m]) - a.fair[m] }

// takeFree gives member m up to n slots that nobody has, where most are.
func (a *allotment) takeFree(m, n int) bool {
	best, most := -1, 0
	for k := range a.slots {
		if free := a.free(k); free > most && a.claims[m].usable(k) {
			best, most = k, free
		}
	}
	if best >= 0 {
		a.limits[m][best] += min(n, most)
	}
	return best >= 0
}

// takeFrom gives member m up to n slots of the member that can spare most, idle ones where there are any.
func (a *allotment) takeFrom(m, n int, spare func(m int) int) bool {
	donor, at, most, best := -1, -1, 0, [2]int{}
	for d := range a.claims {
		if d == m {
			continue
		}
		spared := spare(d)
		for k := range a.slots {
			left, has, idle := spared, a.limits[d][k], max(0, a.limits[d][k]-a.claims[d].busy[k])
			if !a.claims[d].usable(k) {
				left, idle = has, has
			}
			if has == 0 || left <= 0 || !a.claims[m].usable(k) {
				continue
			}
			if score := [2]int{min(idle, 1), left}; donor < 0 || slices.Compare(score[:], best[:]) > 0 {
				donor, at, best = d, k, score
				most = min(left, cmp.Or(idle, has))
			}
		}
	}
	if donor < 0 {
		return false
	}
	n = min(n, most)
	a.limits[donor][at] -= n
	a.limits[m][at] += n
	return true
}

// level hands out what nobody has, and lets each member have an idle slot where another has two: its next call need not ask for one.
func (a *allotment) level(order []int) {
	idle := func(m int) int { return a.claims[m].given(a.limits[m]) - a.claims[m].wants() }
	for moved := true; moved; {
		moved = false
		slices.SortStableFunc(order, func(x, y int) int { return idle(x) - idle(y) })
		for _, m := range order {
			if a.takeFree(m, max(1, a.free(a.freest())/(2*len(a.claims)))) ||
				idle(m) <= 0 && a.takeFrom(m, 1, func(d int) int { return min(idle(d), a.surplus(d)) - 1 }) {
				moved = true
				break
			}
		}
	}
}
