package gateway

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/layer/canary"
	"github.com/thriftloom/thriftloom/layer/faults"
	"github.com/thriftloom/thriftloom/layer/mirror"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/service"
)

// rollout is what mirrors, canaries and faults keep beyond a reload. Safe for concurrent use.
type rollout struct {
	log *slog.Logger

	mu     sync.Mutex
	counts map[rpc.MethodKey]*rolloutCounts
	rooms  map[roomKey]*mirror.Room
	trials map[trialKey]*canary.Trial // of the config in force
	used   map[trialKey]bool          // by the config that is about to be
}

// rolloutCounts is the counts of one method.
type rolloutCounts struct {
	mirror mirror.Counts
	canary canary.Counts
	faults faults.Counts
}

// roomKey is a service with an upstream that its calls are copied to, by its key.
type roomKey struct{ service, upstream string }

// trialKey is a service with a canary, by the upstream's key and the text of the block: a block that was changed begins anew.
type trialKey struct{ service, upstream, block string }

func newRollout(log *slog.Logger) *rollout {
	return &rollout{
		log: log, counts: map[rpc.MethodKey]*rolloutCounts{}, rooms: map[roomKey]*mirror.Room{}, trials: map[trialKey]*canary.Trial{},
		used: map[trialKey]bool{},
	}
}

// policy adds to the policy of a method, nil for those that the IDL does not have, what its plan says of mirrors, canaries and faults.
func (r *rollout) policy(to service.Policy, p *servicePlan, m *methodPlan, method *schema.Method, upstreams map[string]*upstream) service.Policy {
	if m.mirror == nil && m.canary == nil && m.faults == nil {
		return to
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := rpc.MethodKey{Service: p.label, Method: "_OTHER"}
	if method != nil {
		key.Method = method.Name
	}
	counts := r.counts[key]
	if counts == nil {
		counts = &rolloutCounts{}
		r.counts[key] = counts
	}
	if x := m.mirror; x != nil {
		to.Mirror = mirror.Policy{
			To: keyed{m, asService{upstreams[x.upstream], p.schema.Name}}, Percent: x.percent, Timeout: x.timeout, MaxInFlight: x.most,
			Room: r.room(roomKey{p.label, x.upstream}), Counts: &counts.mirror,
		}
		if x.diff && method != nil && !method.Oneway {
			to.Mirror.Diff = mirror.NewDiff(method, x.ignore)
		}
	}
	if x := m.canary; x != nil {
		to.Canary = canary.Policy{
			To: asService{upstreams[x.upstream], p.schema.Name}, Percent: x.percent, By: x.by, Match: x.match, Counts: &counts.canary,
			Trial: r.trial(p.label, x),
		}
	}
	if m.faults != nil {
		to.Faults = *m.faults
		to.Faults.Counts = &counts.faults
	}
	return to
}

// keyed gives copies the key by which their upstream may choose an endpoint: the layer that does so for calls stands below the mirror.
type keyed struct {
	plan *methodPlan
	to   rpc.Handler
}

// Handle hands the copy on.
func (k keyed) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	return k.to.Handle(ctx, k.plan.affinity.Keyed(call))
}

// room returns the room of a mirror. r.mu is held.
func (r *rollout) room(key roomKey) *mirror.Room {
	if r.rooms[key] == nil {
		r.rooms[key] = mirror.NewRoom()
	}
	return r.rooms[key]
}

// trial returns the trial of a canary; nil where nothing ends it. r.mu is held.
func (r *rollout) trial(label string, x *canaryPlan) *canary.Trial {
	if x.abortAbove == 0 {
		return nil
	}
	key := trialKey{label, x.upstream, x.block}
	r.used[key] = true
	if r.trials[key] == nil {
		r.trials[key] = canary.NewTrial(x.abortAbove, func(failed, others float64) {
			r.log.Error("the canary has ended: it fails more than the main upstream; it begins again when its block is changed",
				"service", label, "upstream", upstreamName(x.upstream), "failed_percent", failed, "main_failed_percent", others)
		})
	}
	return r.trials[key]
}

// upstreamName returns the name of a shared upstream.
func upstreamName(key string) string { return strings.TrimPrefix(key, sharedPrefix) }

// settled forgets the trials that the config in force has not asked for, and says where calls fail on purpose.
func (r *rollout) settled(services []servicePlan) {
	r.mu.Lock()
	maps.DeleteFunc(r.trials, func(k trialKey, _ *canary.Trial) bool { return !r.used[k] })
	clear(r.used)
	r.mu.Unlock()
	for _, p := range services {
		var methods []string
		for i, m := range p.methods {
			if m.faults != nil {
				methods = append(methods, p.schema.Methods[i].Name)
			}
		}
		if p.other.faults != nil {
			methods = append(methods, "_OTHER")
		}
		if len(methods) > 0 {
			r.log.Warn("faults are on: calls wait and fail on purpose", "service", p.label, "methods", methods)
		}
	}
}

// answers reports whether callers are answered by an upstream: not where it gets copies alone.
func (st *state) answers(key string) bool {
	for _, p := range st.plans {
		for _, m := range p.all() {
			if m.upstream == key || m.canary != nil && m.canary.upstream == key {
				return true
			}
		}
	}
	return false
}

// close ends the copies under way.
func (r *rollout) close() {
	r.mu.Lock()
	rooms := slices.Collect(maps.Values(r.rooms))
	r.mu.Unlock()
	for _, room := range rooms {
		room.Close()
	}
}

// show adds to what is shown of a method what there is of mirrors, canaries and faults.
func (r *rollout) show(to *status.Method, label string, m *methodPlan) {
	if m.mirror == nil && m.canary == nil && m.faults == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.counts[rpc.MethodKey{Service: label, Method: to.Name}]
	if counts == nil {
		return
	}
	if x := m.mirror; x != nil {
		to.Mirror = showMirror(counts.mirror.Report())
		to.Mirror.To, to.Mirror.Percent = upstreamName(x.upstream), x.percent
	}
	if x := m.canary; x != nil {
		to.Canary = &status.Canary{
			To: upstreamName(x.upstream), Percent: x.percent, Calls: counts.canary.Canary.Load(), MainCalls: counts.canary.Main.Load(),
			Ended: r.trials[trialKey{label, x.upstream, x.block}].Stopped(),
		}
	}
	if m.faults != nil {
		f := &counts.faults
		to.Faults = &status.Faults{Delayed: f.Delayed.Load(), Aborted: f.Aborted.Load(), Excepted: f.Excepted.Load()}
	}
}

func showMirror(r mirror.Report) *status.Mirror {
	n := r.Results
	s := &status.Mirror{
		Same: n[mirror.Same], Differ: n[mirror.Differ], Answered: n[mirror.Answered], MirrorFailed: n[mirror.MirrorFailed],
		MainFailed: n[mirror.MainFailed], Dropped: n[mirror.Dropped], MorePaths: r.MorePaths,
	}
	for path, calls := range r.Paths {
		s.Paths = append(s.Paths, status.MirrorPath{Path: path, Calls: calls})
	}
	slices.SortFunc(s.Paths, func(a, b status.MirrorPath) int {
		if a.Calls != b.Calls {
			return int(b.Calls - a.Calls)
		}
		return strings.Compare(a.Path, b.Path)
	})
	return s
}
