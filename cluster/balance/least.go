package balance

// LeastRequest takes the node with the fewest calls in flight for its weight, at random among equals, of all nodes.
type LeastRequest struct{ stateless }

// Part implements Policy.
func (p LeastRequest) Part() Policy { return p }

// Choose implements Policy.
func (LeastRequest) Choose(nodes []*Node, r Round) *Node {
	var best *Node
	var equals lot
	all := r.scan(nodes)
	for n := all.next(&r); n != nil; n = all.next(&r) {
		switch {
		case best == nil || n.lighter(best):
			best = n
			equals.open(n.Weight(), r)
		case !best.lighter(n) && equals.draw(n.Weight()):
			best = n
		}
	}
	return best
}

// lighter reports whether n would have less to do for its weight than o, each with one more call.
func (n *Node) lighter(o *Node) bool {
	return (n.InFlight+n.Others+1)*o.Weight() < (o.InFlight+o.Others+1)*n.Weight()
}

// TwoChoices takes the one with fewer calls in flight for its weight of two nodes drawn at random, however many nodes there are.
//
// Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.
type TwoChoices struct{ stateless }

// Part implements Policy.
func (p TwoChoices) Part() Policy { return p }

// Choose implements Policy.
func (TwoChoices) Choose(nodes []*Node, r Round) *Node {
	a, b := draw(nodes, r)
	if b != nil && b.lighter(a) {
		return b
	}
	return a
}

// draw returns two nodes that are ready, at random whatever their weights; the second is nil where there is but one, both where there is none.
func draw(nodes []*Node, r Round) (a, b *Node) {
	const tries = 3 // until all are looked at: with half of them ready one draw in eight comes to that
	a = drawOne(nodes, r, nil, tries)
	if a == nil {
		return nil, nil
	}
	return a, drawOne(nodes, r, a, tries)
}

// drawOne returns a node that is ready, and not the one that is drawn already.
func drawOne(nodes []*Node, r Round, not *Node, tries int) *Node {
	if len(nodes) == 0 {
		return nil
	}
	for range tries {
		if n := nodes[r.Random(len(nodes))]; n != not && r.Ready(n) {
			return n
		}
	}
	var found *Node
	var equals lot
	for _, n := range nodes {
		switch {
		case n == not || !r.Ready(n):
		case found == nil:
			found = n
			equals.open(1, r)
		case equals.draw(1):
			found = n
		}
	}
	return found
}
