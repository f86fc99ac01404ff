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

	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/service"
)

// ReloadResult is what came of a reload.
type ReloadResult struct {
	Hash     string   `json:"hash"`
	Changed  bool     `json:"changed"`  // the files, or which services are stale
	Stale    []string `json:"stale"`    // services that kept their last good version
	Mistakes []string `json:"mistakes"` // why
	Warnings []string `json:"warnings"` // what is new among those of check, what IDLs break on the wire, what takes a restart
}

// apply makes cfg what the gateway does, but for what is stale, which stays what it was. Nothing is changed where it returns an error.
// g.changing is held.
func (g *Gateway) apply(cfg *Config, stale stale) error {
	was, next := g.current.Load(), g.plan(cfg, stale)
	keys, err := g.openKeys(&next, was.keys)
	if err != nil {
		return err
	}
	for i := range next.upstreams {
		u := &next.upstreams[i]
		u.cluster.Dialer = u.login.dialer(u.tls.dialer(keys.source(u.tls)))
	}
	if err := g.openSources(&next, keys); err != nil {
		return err
	}
	bound, err := g.bind(next.listeners, was.listeners)
	if err != nil {
		return err
	}
	lender, err := g.openLender(next.sharing)
	if err != nil {
		closeBound(bound)
		return err
	}
	stores, err := g.openStores(&next.stores, keys)
	if err != nil {
		closeBound(bound)
		g.dropLender(lender)
		return err
	}
	upstreams, err := g.connect(next.upstreams, was.upstreams)
	if err != nil {
		closeBound(bound)
		g.dropLender(lender)
		closeStores(stores)
		return err
	}
	g.useStores(&next.stores, stores)
	g.budget.Resize(int64(cfg.MaxBufferedBytes))
	st := &state{config: cfg, hash: next.hash, loaded: time.Now(), stale: stale.services, plans: map[string]servicePlan{}, learned: map[string]*learned{}, upstreams: upstreams, keys: keys, adminTLS: next.adminTLS}
	targets := map[string]*target{}
	sinks := []observe.Sink{g.calls, g.stats, observe.NewAccessLog(g.opts.Access, next.sample)}
	for _, p := range next.services {
		st.learned[p.label] = g.learned(was, p.label)
		t := &target{Service: p.build(upstreams, sinks, g, st.learned[p.label]), forward: p.forward, fingerprint: p.schema.Document.Fingerprint()}
		targets[p.label] = t
		st.services = append(st.services, t)
		st.plans[p.label] = p
	}
	g.rollout.settled(next.services)
	st.listeners = g.serve(next.listeners, bound, targets, was, st)
	g.current.Store(st)
	g.lend(lender, next.sharing, upstreams)
	g.hearVoid(lender, st.plans)
	g.retire(was, st)
	return nil
}

func closeBound(bound map[string]*Gate) {
	for _, l := range bound {
		_ = l.Close()
	}
}

// connect starts, changes or keeps the upstreams, and returns all by key. Where it fails nothing is changed.
func (g *Gateway) connect(plans []upstreamPlan, open map[string]*upstream) (map[string]*upstream, error) {
	upstreams := map[string]*upstream{}
	for _, p := range plans {
		if u := open[p.key]; u != nil && u.plan.Load().sameProcesses(&p) && u.plan.Load().sameWire(&p) {
			upstreams[p.key] = u
			continue
		}
		u, err := g.startUpstream(p, open[p.key])
		if err != nil {
			for key, u := range upstreams {
				if open[key] != u {
					g.halting.Go(u.halt)
				}
			}
			return nil, err
		}
		upstreams[p.key] = u
	}
	for _, p := range plans {
		if u := upstreams[p.key]; open[p.key] == u {
			g.change(u, p)
		}
	}
	return upstreams, nil
}

// retire ends in the background what the state st does not have any more.
func (g *Gateway) retire(was, st *state) {
	for id, l := range was.listeners {
		if st.listeners[id] == nil {
			g.halting.Go(func() { l.retire(g.life, st.config.Drain.Timeout) })
		}
	}
	for key, u := range was.upstreams {
		if st.upstreams[key] != u {
			g.halting.Go(func() {
				g.awaitSuccessor(key)
				u.halt()
				g.unshare(key, u.cluster)
			})
		}
	}
}

// awaitSuccessor returns when the upstream that has the key now has answered, so that the one before it is not needed any more; at once
// where none has it.
func (g *Gateway) awaitSuccessor(key string) {
	for g.life.Err() == nil {
		if u := g.current.Load().upstreams[key]; u == nil || u.answered.Load() || u.atZero() {
			return
		}
		wait(g.life, 20*time.Millisecond)
	}
}

// errDraining is the answer to a change that comes too late.
var errDraining = errors.New("the gateway is draining: it changes no more")

// Reload reads the config anew. A service whose section or IDL is broken keeps its last good version, and so does one that would lose
// methods; where nothing can be taken over the error says why, and all stays as it was.
func (g *Gateway) Reload(_ context.Context) (*ReloadResult, error) { return g.reload(false) }

// ForceReload is Reload, but that services lose the methods that their IDLs do not have any more.
func (g *Gateway) ForceReload(_ context.Context) (*ReloadResult, error) { return g.reload(true) }

func (g *Gateway) reload(force bool) (*ReloadResult, error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	switch {
	case g.handing.Load():
		return nil, errHandingOver
	case g.draining.Load():
		return nil, errDraining
	}
	was := g.current.Load()
	l := load(was.config.Resolved.Path, g.opts.Env, was.keys.holds)
	g.read(l)
	var mistakes []string
	for _, m := range l.Mistakes {
		mistakes = append(mistakes, m.String())
	}
	if l.blamed.outside {
		g.metrics.reloaded(false)
		g.log.Error("reload failed", "mistakes", mistakes)
		return nil, errors.New(strings.Join(mistakes, "\n"))
	}
	cfg, stale := l.Config, was.staleIn(l)
	if !force {
		for _, lost := range lostMethods(was.plans, cfg.Resolved.services, stale.services) {
			stale.services = append(stale.services, lost.label)
			mistakes = append(mistakes, lost.mistake(l, ": reload --force takes that over").String())
		}
	}
	var warnings []string
	for _, w := range slices.Concat(was.news(l), l.breaks(was.plans, stale.services), g.restarts(l)) {
		warnings = append(warnings, w.String())
	}
	if err := g.apply(cfg, stale); err != nil {
		g.metrics.reloaded(false)
		g.log.Error("reload failed", "error", err)
		return nil, err
	}
	now := g.current.Load()
	g.metrics.reloaded(len(mistakes) == 0)
	g.log.Info("reloaded", "hash", now.hash, "stale", now.stale, "mistakes", mistakes, "warnings", warnings)
	if g.opts.Reloaded != nil {
		g.opts.Reloaded(cfg)
	}
	changed := now.hash != was.hash || !slices.Equal(now.stale, was.stale)
	return &ReloadResult{Hash: now.hash, Changed: changed, Stale: slices.Clone(now.stale), Mistakes: mistakes, Warnings: warnings}, nil
}

// lost is what a service would not have any more.
type lost struct {
	label   string
	methods []string
	pos     idl.Pos // of the service without them
}

// mistake tells it, at the service in the IDL.
func (x *lost) mistake(l *Loaded, more string) strictyaml.Mistake {
	return l.inIDL(x.label, x.pos, fmt.Sprintf("%s would lose %s%s", x.label, strings.Join(x.methods, ", "), more))
}

// lostMethods finds the methods that callers may be using and that the next version does not have. A service whose section is taken out
// of the file is not among them: that is done on purpose.
func lostMethods(was map[string]servicePlan, next []servicePlan, stale []string) (all []lost) {
	for _, p := range next {
		old, ok := was[p.label]
		if !ok || slices.Contains(stale, p.label) {
			continue
		}
		l := lost{label: p.label, pos: p.schema.Pos}
		for _, m := range old.schema.Methods {
			if p.schema.Method(m.Name) == nil {
				l.methods = append(l.methods, m.Name)
			}
		}
		if len(l.methods) > 0 {
			all = append(all, l)
		}
	}
	return all
}

// hashFiles names a version of the config: by its files and all IDLs. Secrets are left out: they change without it, and nothing that is
// shown is made of them.
func hashFiles(paths, secrets []string) string {
	h := sha256.New()
	for _, p := range paths {
		if slices.Contains(secrets, p) {
			continue
		}
		data, err := os.ReadFile(p)
		fmt.Fprintf(h, "%s %d %v\n", p, len(data), err)
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// build makes the service over its clusters.
func (p *servicePlan) build(upstreams map[string]*upstream, sinks []observe.Sink, g *Gateway, known *learned) *service.Service {
	policy := func(m *methodPlan, method *schema.Method) service.Policy {
		return g.rollout.policy(m.policy(p.schema, method, upstreams), p, m, method, upstreams)
	}
	policies := rpc.PerMethod[service.Policy]{Other: policy(&p.other, nil)}
	for i := range p.methods {
		of := policy(&p.methods[i], p.schema.Methods[i])
		of.Hedge = known.hedge(p, i)
		policies.Methods = append(policies.Methods, of)
	}
	return service.New(service.Config{Name: p.label, Schema: p.schema, Policies: policies, Sinks: sinks, Missing: g.missing, Breaker: known.breaker, Limits: g.limits, Cache: g.cache.State})
}

// limited counts a call that a limit has refused, and tells of it now and then.
func (g *Gateway) limited(call *rpc.Call, by string) {
	g.metrics.limited.WithLabelValues(call.MethodName(), by).Inc()
	if n, ok := g.quiet.take("limit "+call.MethodName()+" "+by, time.Now()); ok {
		g.log.Warn("a limit refuses calls", "method", call.MethodName(), "by", by, "caller", call.Caller.Name, "client.address", call.Caller.Address, "not_told", n)
	}
}

// missing counts a call that lacks a required field, and tells of it now and then.
func (g *Gateway) missing(call *rpc.Call, path string) {
	g.metrics.missing.WithLabelValues(call.MethodName()).Inc()
	if n, ok := g.quiet.take("required "+call.MethodName(), time.Now()); ok {
		g.log.Warn("a call lacks a required field", "method", call.MethodName(), "field", path, "client.address", call.Caller.Address, "not_told", n)
	}
}
