package balance

// window is how many nodes that are ready a scan compares, from a random place on: of so many the best is as good as of all, and a pick in a
// fleet of thousands takes no longer.
const window = 64

// scan goes over the nodes that are ready in a round, window of them at most.
type scan struct {
	nodes []*Node
	at    int // of the next one
	left  int // to be looked at
	ready int // that may still be compared
}

func (r *Round) scan(nodes []*Node) scan {
	s := scan{nodes: nodes, left: len(nodes), ready: window}
	if len(nodes) > window {
		s.at = r.Random(len(nodes))
	}
	return s
}

// pass goes on to the next node.
func (s *scan) pass() {
	if s.at++; s.at == len(s.nodes) {
		s.at = 0
	}
	s.left--
}

// next returns one more that is ready in the round; nil where there is none.
func (s *scan) next(r *Round) *Node {
	for s.left > 0 && s.ready > 0 {
		n := s.nodes[s.at]
		s.pass()
		if r.Ready(n) {
			s.ready--
			return n
		}
	}
	return nil
}

// lot draws among equals while they are met, each with its chance.
type lot struct {
	state uint32
	sum   int // of the weights
}

// open begins with the first one.
func (l *lot) open(weight int, r Round) {
	if l.state == 0 {
		l.state = uint32(r.Random(1<<31-1)) | 1
	}
	l.sum = weight
}

// draw reports whether the next one, which is as good, takes the place of those before.
//
// Source: reservoir sampling (Vitter, 1985), with Marsaglia's xorshift of 32 bits, since a scan draws often.
func (l *lot) draw(weight int) bool {
	l.sum += weight
	l.state ^= l.state << 13
	l.state ^= l.state >> 17
	l.state ^= l.state << 5
	return uint64(l.state)*uint64(l.sum)>>32 < uint64(weight)
}
