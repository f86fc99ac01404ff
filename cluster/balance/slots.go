package balance

import "math"

// Slots takes, of the nodes that have a free slot, the one that is expected to answer first, by its latency beside the fleet's and by the calls
// that it has; at random among equals, each as often as its weight says, and more often where it has had less than its part. Of latencies it
// takes the median: a mean would follow the few calls that take long, where the median follows the node.
type Slots struct{ stateless }

// crowd is by how many buckets of speed a call takes longer beside so many others: as if they shared the node's speed, as threads of Python do.
var crowd = func() (buckets [1024]int8) {
	for calls := range buckets {
		buckets[calls] = int8(math.Round(octave * math.Log2(float64(calls+1))))
	}
	return buckets
}()

// Part implements Policy.
func (s Slots) Part() Policy { return s }

// Choose implements Policy.
func (Slots) Choose(nodes []*Node, r Round) *Node {
	var best *Node
	var equals lot
	least, all := 0, r.scan(nodes)
	for all.left > 0 && all.ready > 0 { // what next does, without a call of a function for each node
		n := nodes[all.at]
		all.pass()
		if !r.Ready(n) {
			continue
		}
		all.ready--
		weight := n.Weight()
		calls := n.InFlight + n.Others
		if weight > 1 { // a division for each node costs a fifth of a pick
			calls /= weight
		}
		bucket := n.slowness(&r) + int(crowd[min(calls, len(crowd)-1)])
		switch {
		case best == nil || bucket < least:
			best, least = n, bucket
			equals.open(int(n.lots), r)
		case bucket == least && equals.draw(int(n.lots)):
			best = n
		}
	}
	return best
}
