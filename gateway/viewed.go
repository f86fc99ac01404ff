package gateway

import (
	"slices"
	"sync"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/lease"
	"github.com/thriftloom/thriftloom/cluster/view"
	"github.com/thriftloom/thriftloom/gateway/status"
)

// viewed is one upstream whose calls are told to other gateways: its cluster, and those before it that still have calls.
type viewed struct {
	mu       sync.Mutex
	clusters []*cluster.Cluster // the newest last
}

var _ lease.Viewed = (*viewed)(nil)

// add makes c the newest.
func (v *viewed) add(c *cluster.Cluster) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Contains(v.clusters, c) {
		v.clusters = append(v.clusters, c)
	}
}

// Calls implements lease.Viewed.
func (v *viewed) Calls(buf []view.Calls) (all []view.Calls, waiting bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all = buf
	newest := v.clusters[len(v.clusters)-1]
	v.clusters = slices.DeleteFunc(v.clusters, func(c *cluster.Cluster) bool {
		begin := len(all)
		var waits bool
		all, waits = c.Calls(all)
		waiting = waiting || waits
		return c != newest && !waits && !slices.ContainsFunc(all[begin:], func(x view.Calls) bool { return x.Calls > 0 })
	})
	return all, waiting
}

// SetOthers implements lease.Viewed.
func (v *viewed) SetOthers(others []view.Calls, sharers int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.clusters {
		c.SetOthers(others, sharers)
	}
}

// watch has the calls of those upstreams told, through the lender l, nil for none, whose config says so. The lender before it tells nothing
// any more. g.lending is held.
func (g *Gateway) watch(l, old *lender, upstreams map[string]*upstream) {
	was := g.views
	g.views = map[string]*viewed{}
	for key, u := range upstreams {
		if l != nil && u.plan.Load().viewed {
			if g.views[key] = was[key]; was[key] == nil {
				g.views[key] = &viewed{}
			}
			g.views[key].add(u.cluster)
		}
	}
	for key := range was {
		if old != nil && (old != l || g.views[key] == nil) {
			old.runner.View(key, nil)
		}
	}
	for key, v := range g.views {
		l.runner.View(key, v)
	}
}

// busy tells the lender that an upstream has a call. It does not wait.
func (g *Gateway) busy() {
	if l := g.lender.Load(); l != nil {
		l.runner.Busy()
	}
}

// word is what a member has said of its calls.
func word(h view.Heard) *status.Word {
	return &status.Word{AgeSeconds: h.Age.Seconds(), Calls: h.Calls, Taken: h.Taken}
}
