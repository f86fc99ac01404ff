package balance

// plenty is the part of a zone's endpoints that has to be up for the zone to keep all of its calls: with fewer, each would get more than 1.4
// times what it had.
//
// Source: Envoy's priorities, whose overprovisioning factor of 1.4 comes to that.
const plenty = 0.7

// census is what a picker knows of its endpoints, or of part of them, together. It is counted anew when one has come, gone or changed its state.
type census struct {
	stale bool    // of all of them
	turn  int     // how often all were counted, when this was
	panic bool    // fewer than half are up, and some are only ejected: one that fails some calls is better than none
	near  float64 // the part of the calls that looks in the own zone first; zero: nothing is up there, or all endpoints are in it
}

// Place says in which zone the picker's own calls come in. An endpoint there is taken before any other while it has a free slot; "" is
// nowhere, and all endpoints are the same.
func (p *Picker) Place(zone string) {
	p.zone, p.census.stale = zone, true
}

// recount takes the census of all nodes; those of parts are taken when they are looked at next.
func (p *Picker) recount() {
	p.count(&p.part, p.census.turn+1)
}

// count takes the census of a part.
func (p *Picker) count(in *part, turn int) {
	all, up, ejected, near, nearUp := 0, 0, 0, 0, 0
	for _, n := range in.nodes {
		n.near = p.zone != "" && n.Endpoint.Zone == p.zone
		state := n.State()
		if state == Drained {
			continue
		}
		all++
		if n.near {
			near++
		}
		switch state {
		case Ejected:
			ejected++
		case Up:
			up++
			if n.near {
				nearUp++
			}
		}
	}
	in.census = census{turn: turn, panic: ejected > 0 && 2*up < all}
	if near > 0 && near < all {
		in.census.near = min(1, float64(nearUp)/float64(near)/plenty)
	}
}

// staysNear reports whether a call looks in the own zone first, where something is up in it. Where much of the zone is out, as many calls do as
// its rest can take.
func (p *Picker) staysNear(in *part) bool {
	const parts = 1 << 16
	near := in.census.near
	return near == 1 || float64(p.random(parts)) < near*parts
}
