package balance

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"sort"
	"time"
)

// Hash assigns calls to nodes by their Affinity, the same on every gateway, so that each node sees few of all keys. A node that is not ready, or has more than its part of the
// calls in flight, passes a call on to one that the same key chooses next; the lightest node takes what nobody else does, and calls without
// a key.
//
// Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016; Chen, Coleman, Shrivastava, "Revisiting
// Consistent Hashing with Bounded Loads", 2019: to jump anew from a full node spreads better than to take its neighbour.
type Hash struct {
	table lookup
	bound float64
	sum   int  // of the nodes' weights
	stale bool // the table is of other nodes: the next call that needs it builds it, once for all that have changed
}

// lookup finds the node of a hash.
type lookup interface {
	build(nodes []*Node)
	find(hash uint64) *Node // nil: there are none
	empty() lookup          // another one of the kind
}

// jumps bounds how many nodes a key chooses until the lightest takes the call.
const jumps = 8

// NewRing returns a Hash over a ring with 160 points for a node of weight 1: little moves when a node comes or goes. No node has more
// than bound times its part of the calls in flight; zero: no bound.
func NewRing(bound float64) *Hash { return &Hash{table: &ring{}, bound: bound} }

// NewMaglev returns a Hash over Maglev's table: it finds faster than a ring and spreads more evenly, and moves a few more keys when a node comes
// or goes.
func NewMaglev(bound float64) *Hash { return &Hash{table: &maglev{}, bound: bound} }

// Part implements Policy. A key has a table of its own in each part: of a few nodes, a table of all would find none.
func (h *Hash) Part() Policy { return &Hash{table: h.table.empty(), bound: h.bound} }

// Changed implements Policy.
func (h *Hash) Changed(nodes []*Node) {
	h.sum = 0
	for _, n := range nodes {
		h.sum += n.Weight()
	}
	h.stale = true
}

// Choose implements Policy.
func (h *Hash) Choose(nodes []*Node, r Round) *Node {
	key := r.Call.Affinity
	if key == 0 {
		return LeastRequest{}.Choose(nodes, r)
	}
	if h.stale {
		h.table.build(nodes)
		h.stale = false
	}
	most := h.most(nodes)
	for range jumps {
		key = mix(key)
		if n := h.table.find(key); n != nil && r.Ready(n) && float64(n.InFlight+n.Others) < math.Ceil(most*float64(n.Weight())) {
			return n
		}
	}
	return LeastRequest{}.Choose(nodes, r)
}

// most is how many calls in flight a node of weight 1 may have.
func (h *Hash) most(nodes []*Node) float64 {
	if h.bound == 0 {
		return math.MaxInt32
	}
	calls := 1
	for _, n := range nodes {
		calls += n.InFlight + n.Others
	}
	return h.bound * float64(calls) / float64(h.sum)
}

// Done implements Policy.
func (*Hash) Done(*Node, Result, time.Duration) {}

// mix spreads the bits of a key. Source: SplitMix64's finalizer (Steele, Lea, Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashOf is the same on every gateway.
func hashOf(name string, n uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, n))
	return mix(h.Sum64())
}

// ring is points on a circle; a hash belongs to the node of the next one.
//
// Source: Karger et al., "Consistent Hashing and Random Trees", 1997.
type ring struct{ points []point }

type point struct {
	at   uint64
	node *Node
}

const pointsPerWeight = 160

func (*ring) empty() lookup { return &ring{} }

func (t *ring) build(nodes []*Node) {
	old := map[*Node]int{}
	for _, p := range t.points {
		old[p.node]++
	}
	want := map[*Node]int{}
	for _, n := range nodes {
		want[n] = min(n.Weight(), 100) * pointsPerWeight
	}
	t.points = slices.DeleteFunc(t.points, func(p point) bool { return want[p.node] != old[p.node] })
	kept := len(t.points)
	for _, n := range nodes {
		if want[n] != old[n] {
			for i := range want[n] {
				t.points = append(t.points, point{hashOf(n.Endpoint.Name, uint64(i)), n})
			}
		}
	}
	if len(t.points) != kept {
		slices.SortFunc(t.points, func(a, b point) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.node.Endpoint.Name, b.node.Endpoint.Name))
		})
	}
}

func (t *ring) find(hash uint64) *Node {
	if len(t.points) == 0 {
		return nil
	}
	i := sort.Search(len(t.points), func(i int) bool { return t.points[i].at >= hash })
	return t.points[i%len(t.points)].node
}

// maglev is a table in which each node has its part of the entries, in an order of its own.
//
// Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016.
type maglev struct{ entries []*Node }

// The size of the table is a prime, a hundred times the number of nodes at least, so that their parts differ by one in a hundred.
const (
	maglevSmall = 8209
	maglevSize  = 65537
)

func (*maglev) empty() lookup { return &maglev{} }

func (t *maglev) build(nodes []*Node) {
	t.entries = nil
	sorted := slices.SortedFunc(slices.Values(nodes), func(a, b *Node) int { return cmp.Compare(a.Endpoint.Name, b.Endpoint.Name) })
	sorted = slices.DeleteFunc(sorted, func(n *Node) bool { return n.Weight() == 0 })
	if len(sorted) == 0 {
		return
	}
	size := uint64(maglevSmall)
	if len(nodes)*100 > maglevSmall {
		size = maglevSize
	}
	type turn struct{ at, skip uint64 }
	turns := make([]turn, len(sorted))
	for i, n := range sorted {
		turns[i] = turn{hashOf(n.Endpoint.Name, 0) % size, hashOf(n.Endpoint.Name, 1)%(size-1) + 1}
	}
	t.entries = make([]*Node, size)
	for left := size; ; {
		for i, n := range sorted {
			for range min(n.Weight(), 100) {
				for t.entries[turns[i].at] != nil {
					turns[i].at = (turns[i].at + turns[i].skip) % size
				}
				t.entries[turns[i].at] = n
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

func (t *maglev) find(hash uint64) *Node {
	if t.entries == nil {
		return nil
	}
	return t.entries[hash%uint64(len(t.entries))]
}
