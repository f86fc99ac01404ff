package balance

// RoundRobin takes the nodes in turn, each as often as its weight says, spread evenly.
//
// Source: nginx's smooth weighted round robin: each turn adds its weight to every node's credit, and takes the sum off that of the node with
// the most.
type RoundRobin struct {
	stateless
	next   int
	differ bool // weights do
}

// Part implements Policy.
func (*RoundRobin) Part() Policy { return &RoundRobin{} }

// Changed implements Policy.
func (p *RoundRobin) Changed(nodes []*Node) {
	p.differ = false
	for _, n := range nodes {
		p.differ = p.differ || n.Weight() != nodes[0].Weight()
	}
}

// Choose implements Policy.
func (p *RoundRobin) Choose(nodes []*Node, r Round) *Node {
	if !p.differ {
		return p.turn(nodes, r)
	}
	var best *Node
	sum := 0
	for _, n := range nodes {
		if !r.Ready(n) {
			continue
		}
		n.credit += n.Weight()
		sum += n.Weight()
		if best == nil || n.credit > best.credit {
			best = n
		}
	}
	if best != nil {
		best.credit -= sum
	}
	return best
}

// turn returns the next node that is ready.
func (p *RoundRobin) turn(nodes []*Node, r Round) *Node {
	for range nodes {
		if p.next++; p.next >= len(nodes) {
			p.next = 0
		}
		if n := nodes[p.next]; r.Ready(n) {
			return n
		}
	}
	return nil
}

// Random takes a node at random, each as often as its weight says.
type Random struct{ stateless }

// Part implements Policy.
func (p Random) Part() Policy { return p }

// Choose implements Policy.
func (Random) Choose(nodes []*Node, r Round) *Node {
	var found *Node
	var equals lot
	all := r.scan(nodes)
	for n := all.next(&r); n != nil; n = all.next(&r) {
		if weight := n.Weight(); found == nil {
			found = n
			equals.open(weight, r)
		} else if equals.draw(weight) {
			found = n
		}
	}
	return found
}
