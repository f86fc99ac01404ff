package balance

// plenty is the part of a zone's endpoints that has to be up for the zone to keep all of its calls: with fewer, each would get more than 1.4
// times what it had.
//
// Source: Envoy's priorities, whose overprovisioning factor of 1.4 comes to that.
const plenty = 0.7

// census is what a picker knows of its endpoints together. It is counted anew when one has come, gone or changed its state.
type census struct {
	stale bool
	panic bool    // fewer than half are up, and some are only ejected: one that fails some calls is better than none
	near  float64 // the part of the calls that looks in the own zone first; zero: nothing is up there, or all endpoints are in it
}

// Place says in which zone the picker's own calls come in. An endpoint there is taken before any other while it has a free slot; "" is
// nowhere, and all endpoints are the same.
func (p *Picker) Place(zone string) {
	p.zone, p.census.stale = zone, true
}

// count takes the census.
func (p *Picker) count() {
	all, up, ejected, near, nearUp := 0, 0, 0, 0, 0
	for _, n := range p.nodes {
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
	p.census = census{panic: ejected > 0 && 2*up < all}
	if near > 0 && near < all {
		p.census.near = min(1, float64(nearUp)/float64(near)/plenty)
	}
}

// staysNear reports whether a call looks in the own zone first. Where much of the zone is out, as many calls do as its rest can take.
func (p *Picker) staysNear() bool {
	const parts = 1 << 16
	switch near := p.census.near; near {
	case 0:
		return false
	case 1:
		return true
	default:
		return float64(p.random(parts)) < near*parts
	}
}
