package balance

// busy is the part of the slots beyond which none is to spare for a hedge: Thrift has no cancel, so the attempt that loses is worked at to its
// end, and at high load that work would make other calls late.
const busy = 0.6

// spare reports whether the endpoints that are up have slots for attempts that nobody needs.
func (in *part) spare() bool {
	taken, slots := 0, 0
	for _, n := range in.nodes {
		if n.State() == Up {
			taken, slots = taken+n.InFlight+n.Others, slots+n.limit
		}
	}
	return float64(taken) <= busy*float64(slots)
}
