package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/service"
)

// ReloadResult is what came of a reload.
type ReloadResult struct {
	Hash     string   `json:"hash"`
	Changed  bool     `json:"changed"`
	Stale    []string `json:"stale"`    // services that kept their last good version
	Mistakes []string `json:"mistakes"` // why
}

// apply makes cfg what the gateway does. stale are services that keep what they were. Nothing is changed where it returns an error.
// g.changing is held.
func (g *Gateway) apply(cfg *Config, stale []string) error {
	next := g.plan(cfg, stale)
	bound, err := g.bind(next.listeners)
	if err != nil {
		return err
	}
	clusters, gone, err := g.connect(next.upstreams)
	if err != nil {
		for _, l := range bound {
			l.Close()
		}
		return err
	}
	st := &state{config: cfg, hash: next.hash, loaded: time.Now(), stale: stale, plans: map[string]servicePlan{}}
	targets := map[string]*target{}
	sinks := []observe.Sink{g.calls, g.stats, observe.NewAccessLog(g.log, next.sample)}
	for _, p := range next.services {
		t := &target{Service: p.build(clusters, sinks), forward: p.forward}
		targets[p.label] = t
		st.services = append(st.services, t)
		st.plans[p.label] = p
	}
	g.current.Store(st)
	g.serve(next.listeners, bound, targets, st)
	g.retire(gone)
	return nil
}

// connect starts, changes or keeps the upstreams. It returns the clusters by upstream key, and the upstreams that nobody needs any more.
func (g *Gateway) connect(plans []upstreamPlan) (map[string]rpc.Handler, []*upstream, error) {
	clusters, fresh, gone := map[string]rpc.Handler{}, map[string]*upstream{}, []*upstream{}
	for _, p := range plans {
		if u := g.upstreams[p.key]; u != nil && u.plan.Load().sameProcesses(&p) && u.plan.Load().sameWire(&p) {
			continue
		}
		u, err := g.startUpstream(p)
		if err != nil {
			for _, started := range fresh {
				started.halt()
			}
			return nil, nil, err
		}
		fresh[p.key] = u
	}
	wanted := map[string]bool{}
	for _, p := range plans {
		wanted[p.key] = true
		u := g.upstreams[p.key]
		if f := fresh[p.key]; f != nil {
			if u != nil {
				gone = append(gone, u)
			}
			g.upstreams[p.key], u = f, f
		} else {
			u.change(p)
		}
		clusters[p.key] = u.cluster
	}
	for key, u := range g.upstreams {
		if !wanted[key] {
			gone = append(gone, u)
			delete(g.upstreams, key)
		}
	}
	return clusters, gone, nil
}

// retire ends upstreams in the background.
func (g *Gateway) retire(gone []*upstream) {
	for _, u := range gone {
		g.halting.Go(u.halt)
	}
}

// Reload reads the config anew. A service whose section or IDL is broken keeps its last good version; where nothing can be taken over
// the error says why, and all stays as it was.
func (g *Gateway) Reload(_ context.Context) (*ReloadResult, error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	was := g.current.Load()
	cfg, stale, mistakes := g.reread(was.config)
	if cfg == nil {
		g.metrics.reloaded(false)
		g.log.Error("reload failed", "mistakes", mistakes)
		return nil, errors.New(strings.Join(mistakes, "\n"))
	}
	if err := g.apply(cfg, stale); err != nil {
		g.metrics.reloaded(false)
		g.log.Error("reload failed", "error", err)
		return nil, err
	}
	now := g.current.Load()
	g.metrics.reloaded(len(stale) == 0)
	g.log.Info("reloaded", "hash", now.hash, "stale", stale)
	return &ReloadResult{Hash: now.hash, Changed: now.hash != was.hash, Stale: slices.Clone(stale), Mistakes: mistakes}, nil
}

// hashFiles names a version of the config: by its file and all IDLs.
func hashFiles(paths []string) string {
	h := sha256.New()
	for _, p := range paths {
		data, err := os.ReadFile(p)
		fmt.Fprintf(h, "%s %d %v\n", p, len(data), err)
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// build makes the service over its clusters.
func (p *servicePlan) build(clusters map[string]rpc.Handler, sinks []observe.Sink) *service.Service {
	policies := rpc.PerMethod[service.Policy]{Other: p.other.policy(clusters)}
	for _, m := range p.methods {
		policies.Methods = append(policies.Methods, m.policy(clusters))
	}
	return service.New(service.Config{Name: p.label, Schema: p.schema, Policies: policies, Sinks: sinks})
}
