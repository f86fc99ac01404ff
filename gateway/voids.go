package gateway

import (
	"slices"

	"github.com/thriftloom/thriftloom/cluster/lease"
	"github.com/thriftloom/thriftloom/cluster/voids"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// voided is the cache, which other gateways tell what they have made void.
type voided struct{ *cache.State }

var _ lease.Keeper = voided{}

// Void implements lease.Keeper.
func (v voided) Void(ids []voids.ID) {
	all := make([]cache.ID, len(ids))
	for i, id := range ids {
		all[i] = id
	}
	v.State.Void(all)
}

// tellVoid tells the other gateways what this one has made void. It does not wait.
func (g *Gateway) tellVoid(ids []cache.ID) {
	l := g.lender.Load()
	if l == nil {
		return
	}
	all := make([]voids.ID, len(ids))
	for i, id := range ids {
		all[i] = id
	}
	l.runner.Tell(all)
}

// hearVoid has the lender l, nil for none, tell the cache what other gateways make void, where nobody else tells it of any reply that is kept. The
// cache has its stores already.
func (g *Gateway) hearVoid(l *lender, plans map[string]servicePlan) {
	if l == nil {
		return
	}
	for _, p := range plans {
		if slices.ContainsFunc(p.methods, func(m methodPlan) bool { return g.cache.Untold(m.cache) }) {
			l.runner.Keep(voided{g.cache.State})
			return
		}
	}
	l.runner.Keep(nil)
}

// told is what was told and heard; nil where no reply is kept.
func told(v *lease.Voids) *status.Voids {
	if v == nil {
		return nil
	}
	return &status.Voids{
		Told: v.Told, Heard: v.Heard, Repeated: v.Repeated, Silent: v.Silent, Dropped: map[string]int64{"gap": v.Gaps, "silence": v.Silences, "end": v.Ends},
	}
}
