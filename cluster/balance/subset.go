package balance

import (
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// part is some of the nodes, or all, with what chooses among them.
type part struct {
	nodes  []*Node
	policy Policy
	census census
}

// Bounds of what a picker remembers of subsets. Past one all are forgotten, and found anew: callers may choose labels.
const (
	maxSubsets = 256
	maxShare   = 16 // times the nodes that there are, in all subsets together
)

// subsets are those that calls have asked for since the nodes last changed. Of values that no node has none is remembered. The zero value knows
// none.
type subsets struct {
	having map[label][]*Node // the nodes with each label, in their order; nil: not known yet
	known  map[rpc.Labels]*part
	size   int // nodes in them
}

type label struct{ name, value string }

// pickSubset picks for a call that goes to some nodes only. p.census is not stale.
func (p *Picker) pickSubset(call *rpc.Call, now time.Duration) (*Node, error) {
	in, err := p.subset(call.Subset.Labels), ErrNoEndpoint
	if in != nil {
		var n *Node
		if n, err = p.pick(in, call, now); n != nil {
			return n, nil
		}
	}
	switch {
	case !call.Subset.Refuse && (in == nil || in.lost()):
		return p.pick(&p.part, call, now)
	case err != ErrBusy && call.Subset.Refuse:
		return nil, ErrSubset
	}
	return nil, err
}

// lost reports whether none is up or only doubted, or fails some of its calls: each is drained, or down for good.
func (in *part) lost() bool {
	for _, n := range in.nodes {
		if !n.Endpoint.Drained && !n.Lost() {
			return false
		}
	}
	return true
}

// subset returns the nodes that have all of the labels; nil where none has. It allocates where they are asked for the first time.
func (p *Picker) subset(labels rpc.Labels) *part {
	in := p.subsets.known[labels]
	if in == nil {
		nodes := p.having(labels)
		if len(nodes) == 0 {
			return nil
		}
		in = p.remember(labels, nodes)
	}
	if in.census.turn != p.census.turn {
		p.count(in, p.census.turn)
	}
	return in
}

// having returns the nodes that have all of the labels.
func (p *Picker) having(labels rpc.Labels) []*Node {
	s := &p.subsets
	if s.having == nil {
		s.having = map[label][]*Node{}
		for _, n := range p.nodes {
			for name, value, rest, ok := n.Endpoint.Labels.Next(); ok; name, value, rest, ok = rest.Next() {
				s.having[label{name, value}] = append(s.having[label{name, value}], n)
			}
		}
	}
	var fewest []*Node
	count := 0
	for name, value, rest, ok := labels.Next(); ok; name, value, rest, ok = rest.Next() {
		with := s.having[label{name, value}]
		if len(with) == 0 {
			return nil
		}
		if count++; count == 1 || len(with) < len(fewest) {
			fewest = with
		}
	}
	if count == 1 {
		return fewest
	}
	var all []*Node
	for _, n := range fewest {
		if n.Endpoint.Labels.Have(labels) {
			all = append(all, n)
		}
	}
	return all
}

func (p *Picker) remember(labels rpc.Labels, nodes []*Node) *part {
	s := &p.subsets
	if s.known == nil || len(s.known) >= maxSubsets || s.size+len(nodes) > maxShare*len(p.nodes) {
		s.known, s.size = map[rpc.Labels]*part{}, 0
	}
	in := &part{nodes: nodes, policy: p.policy.Part(), census: census{turn: -1}}
	in.policy.Changed(nodes)
	s.known[labels] = in
	s.size += len(nodes)
	return in
}

// where returns the nodes that a call may go to now.
func (p *Picker) where(call *rpc.Call) *part {
	if call.Subset.Labels != "" {
		if in := p.subset(call.Subset.Labels); in != nil && (call.Subset.Refuse || !in.lost()) {
			return in
		}
	}
	return &p.part
}

// Lane returns the labels that a call is to wait under: calls that wait under the same may take the same slots. It is "" for a call that may
// go to any node, and where no node has what the call asks for: so there are no more of them than there are subsets with a node in it.
func (p *Picker) Lane(call *rpc.Call) rpc.Labels {
	if call.Subset.Labels == "" || p.subset(call.Subset.Labels) == nil {
		return ""
	}
	return call.Subset.Labels
}

// Slots returns how many calls the nodes that wait under a lane may have together.
func (p *Picker) Slots(lane rpc.Labels) (sum int) {
	in := &p.part
	if lane != "" {
		if in = p.subset(lane); in == nil {
			return 0
		}
	}
	for _, n := range in.nodes {
		sum += n.Slots
	}
	return sum
}
