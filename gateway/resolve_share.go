package gateway

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// share leaves this gateway its share of the upstream's slots.
func (l *loader) share(node *yaml.Node, path string, u *Upstream, p *upstreamPlan) {
	n := l.cfg.Gateways.N
	if u.Gateways > 0 {
		n = u.Gateways
	}
	if p.run != nil {
		if u.Gateways > 1 {
			l.Addf(strictyaml.At(node, "gateways"), path+".gateways", "replicas of `run` are this gateway's own: nobody shares them")
		}
		return
	}
	if n <= 1 {
		return
	}
	odd := map[int]bool{} // numbers of slots that cannot be split evenly
	part := func(slots int) int {
		if slots%n != 0 {
			odd[slots] = true
		}
		return max(1, slots/n)
	}
	for i, e := range p.endpoints {
		if e.Slots > 0 {
			p.endpoints[i].Slots = part(e.Slots)
		} else if p.cluster.Slots > 0 {
			p.endpoints[i].Slots = part(p.cluster.Slots)
		}
	}
	at, key := strictyaml.At(node, "gateways"), path+".gateways"
	if u.Gateways == 0 {
		key = path
	}
	for _, slots := range slices.Sorted(maps.Keys(odd)) {
		if slots < n {
			l.warnf(at, key, "%d gateways share endpoints with slots: %d; each takes 1, which together is more", n, slots)
		} else {
			l.warnf(at, key, "%d gateways share endpoints with slots: %d; each takes %d, which leaves %d unused", n, slots, slots/n, slots%n)
		}
	}
}
