package gateway

import (
	"os"

	"github.com/thriftloom/thriftloom/gateway/handover"
	"github.com/thriftloom/thriftloom/scale/process"
)

// adopt returns the replicas of the gateway before this one that an upstream can go on with: those that were started with what its config
// says.
func (g *Gateway) adopt(p *upstreamPlan) (running []process.Running) {
	var rest []handover.Replica
	for _, r := range g.opts.Replicas {
		output, isOutput := r.Output.(*os.File)
		leash, isLeash := r.Leash.(*os.File)
		if r.Set != p.name || r.Config != p.run.Fingerprint() || !isOutput || !isLeash {
			rest = append(rest, r)
			continue
		}
		running = append(running, process.Running{
			Number: r.Number, PID: r.PID, Restarts: r.Restarts, Started: r.Started, Address: r.Address, Since: r.Since, Folder: r.Folder,
			Output: output, Leash: leash,
		})
	}
	g.opts.Replicas = rest
	return running
}

// leaveReplicas closes what was offered and is not wanted: those replicas end with the gateway before this one.
func (g *Gateway) leaveReplicas() {
	(&handover.Offer{Replicas: g.opts.Replicas}).Close()
	g.opts.Replicas = nil
}

// replicas returns what another process can go on with.
func (g *Gateway) replicas() (all []handover.Replica) {
	for _, u := range g.current.Load().upstreams {
		if u.set == nil {
			continue
		}
		p := u.plan.Load()
		for _, r := range u.set.Offer() {
			all = append(all, handover.Replica{
				Set: p.name, Config: p.run.Fingerprint(), Folder: r.Folder, Number: r.Number, PID: r.PID, Started: r.Started, Address: r.Address,
				Restarts: r.Restarts, Since: r.Since, Output: r.Output, Leash: r.Leash,
			})
		}
	}
	return all
}

// adopted are the processes of the gateway before this one that this one goes on with.
func (g *Gateway) adopted() (pids []int) {
	for _, u := range g.current.Load().upstreams {
		if u.set != nil {
			pids = append(pids, u.set.Adopted()...)
		}
	}
	return pids
}

// eachSet calls f for the replicas of each upstream.
func (g *Gateway) eachSet(f func(*process.Set)) {
	for _, u := range g.current.Load().upstreams {
		if u.set != nil {
			f(u.set)
		}
	}
}
