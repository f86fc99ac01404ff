package memcached

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/thriftloom/thriftloom/layer/cache"
)

// ring says which node keeps what: the one whose point comes next after that of the ID, or, where that is left out, the next of another one. So
// what a node that is lost had goes to all others, and nothing else moves.
//
// A point is a quarter of the SHA-256 of the server's name and a number: evenly spread whatever names look alike. An ID is half of a SHA-256, so
// its first half is its point. The ring is not changed once it is made.
// Source: libketama, of last.fm, https://github.com/RJ/ketama, which takes four points out of each MD5 in the same way.
type ring []point

type point struct {
	at   uint64
	node int
}

// pointsPerWeight are those of a node of weight 1: with so many the parts of ten nodes differ by about 6 %.
const pointsPerWeight = 256

func newRing(servers []server) ring {
	var r ring
	for node, s := range servers {
		for i := range s.Weight * pointsPerWeight / 4 {
			h := sha256.Sum256([]byte(s.Name() + "-" + strconv.Itoa(i)))
			for at := 0; at < len(h); at += 8 {
				r = append(r, point{binary.BigEndian.Uint64(h[at:]), node})
			}
		}
	}
	slices.SortFunc(r, func(a, b point) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.node, b.node)) })
	return r
}

// walk visits the nodes, each once, in the order in which they stand in for each other for id, until visit returns false.
func (r ring) walk(id cache.ID, visit func(node int) bool) {
	at := binary.BigEndian.Uint64(id[:8])
	start, _ := slices.BinarySearchFunc(r, at, func(p point, at uint64) int { return cmp.Compare(p.at, at) })
	var seen uint64 // a bit a node
	for i := range r {
		p := r[(start+i)%len(r)]
		if bit := uint64(1) << p.node; seen&bit == 0 {
			if seen |= bit; !visit(p.node) {
				return
			}
		}
	}
}
