package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/cluster/resolve/dns"
	"github.com/thriftloom/thriftloom/cluster/resolve/file"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/keyring"
	"github.com/thriftloom/thriftloom/internal/secret"
	"github.com/thriftloom/thriftloom/rpc"
)

// Resolvers are the sources of endpoints that pull in much: who runs a gateway hands them in.
type Resolvers struct {
	Etcd   func(resolve.EtcdConfig) resolve.Resolver
	Consul func(resolve.ConsulConfig) resolve.Resolver
}

// resolver makes what asks the source. keys are those of TLS towards it.
func (g *Gateway) resolver(p *sourcePlan, keys *keyring.Source) (resolve.Resolver, error) {
	var secure func() *tls.Config
	if p.tls != nil {
		secure = func() *tls.Config { return keys.Client(p.tls.serverName, p.tls.chainOnly) }
	}
	read := func() (string, error) { return secret.Read(p.secret) }
	switch {
	case p.dns != nil:
		return dns.New(*p.dns), nil
	case p.file != "":
		return file.New(p.file, g.log), nil
	case p.etcd != nil && g.opts.Resolvers.Etcd != nil:
		c := *p.etcd
		c.Password, c.TLS = read, secure
		return g.opts.Resolvers.Etcd(c), nil
	case p.consul != nil && g.opts.Resolvers.Consul != nil:
		c := *p.consul
		c.TLS = secure
		if p.secret != "" {
			c.Token = read
		}
		return g.opts.Resolvers.Consul(c), nil
	}
	return nil, fmt.Errorf("this program is built without a client of etcd or Consul")
}

// openSources makes the resolvers of a plan.
func (g *Gateway) openSources(p *plan, keys keys) (err error) {
	for i := range p.upstreams {
		u := &p.upstreams[i]
		if u.source == nil {
			continue
		}
		if u.source.resolver, err = g.resolver(u.source, keys.source(u.source.tls)); err != nil {
			return fmt.Errorf("upstream %s: %w", u.name, err)
		}
	}
	return nil
}

// following is the source that an upstream follows.
type following struct {
	*resolve.Keeper
	stop  context.CancelFunc
	ended chan struct{}
}

// follow starts to follow the source of a plan; it ends with the upstream's life, or by unfollow. A source before it has ended, and what
// was known then stays in force until this one has answered.
func (g *Gateway) follow(u *upstream, p *upstreamPlan, keeper *resolve.Keeper) {
	f := &following{Keeper: keeper, ended: make(chan struct{})}
	var life context.Context
	life, f.stop = context.WithCancel(u.life)
	c := resolve.KeeperConfig{
		HoldEmpty: p.source.holdEmpty, Max: p.source.most,
		Update:  func(endpoints []rpc.Endpoint) { u.cluster.Update(p.source.share(endpoints)) },
		Changed: func(s resolve.State) { g.tellSource(p.name, s) },
	}
	go func() {
		defer close(f.ended)
		f.Run(life, c, p.source.resolver)
	}()
	u.following.Store(f)
}

// unfollow ends the following of a source, and returns what it was; nil for none.
func (u *upstream) unfollow() *following {
	f := u.following.Swap(nil)
	if f != nil {
		f.stop()
		<-f.ended
	}
	return f
}

// share leaves this gateway its part of each endpoint's slots.
func (p *sourcePlan) share(endpoints []rpc.Endpoint) []rpc.Endpoint {
	for i := range endpoints {
		if e := &endpoints[i]; p.parts > 1 {
			if e.Slots == 0 {
				e.Slots = p.slots
			}
			e.Slots = max(1, e.Slots/p.parts)
		}
	}
	return endpoints
}

// changeEndpoints makes the endpoints what the new plan says: at once where it names them; where it looks them up elsewhere than before, when
// they are found.
func (g *Gateway) changeEndpoints(u *upstream, was, p *upstreamPlan) {
	if p.source == nil {
		u.unfollow()
		u.cluster.Update(p.endpoints)
		return
	}
	if p.source.equal(was.source) {
		return
	}
	keeper := resolve.NewKeeper(was.endpoints)
	if f := u.unfollow(); f != nil {
		keeper = f.Keeper
	}
	g.follow(u, p, keeper)
}

// tellSource logs what a source is now, each kind of news once in a while.
func (g *Gateway) tellSource(upstream string, s resolve.State) {
	level, text, kind := slog.LevelWarn, "a source of endpoints has not answered yet", s.State
	switch {
	case s.State == resolve.Good && s.Problem != "":
		text, kind = "a source of endpoints names some that are not understood: the others are taken", "odd"
	case s.State == resolve.Good:
		level, text = slog.LevelInfo, "a source of endpoints is good"
	case s.State == resolve.Stale:
		text = "a source of endpoints fails or names none: the last good ones stay in force"
	case s.State == resolve.Empty:
		text = "a source of endpoints names none: calls are refused"
	}
	if n, ok := g.quiet.take("source "+upstream+" "+kind, time.Now()); ok {
		g.log.Log(g.life, level, text, "upstream", upstream, "source", s.Source, "endpoints", s.Endpoints, "error", s.Problem, "not_told", n)
	}
}

// source is what the upstream follows, as it is now; nil for nothing.
func (u *upstream) source() *status.Source {
	f := u.following.Load()
	if f == nil {
		return nil
	}
	s := f.State()
	return &status.Source{
		Name: s.Source, State: s.State, Since: s.Since, UpdatedAt: s.Updated, Endpoints: s.Endpoints, Problem: s.Problem, Failures: s.Failures,
	}
}

// sources are the numbers of where endpoints are looked up.
func (m *metrics) sources(clusters []status.Cluster, out chan<- prometheus.Metric) {
	for _, c := range clusters {
		s := c.Source
		if s == nil {
			continue
		}
		stale, updated := 0.0, 0.0
		if s.State != resolve.Good && (s.State != resolve.Waiting || s.Problem != "") {
			stale = 1
		}
		if !s.UpdatedAt.IsZero() {
			updated = float64(s.UpdatedAt.UnixMilli()) / 1000
		}
		out <- prometheus.MustNewConstMetric(m.sourceStale, prometheus.GaugeValue, stale, c.Name)
		out <- prometheus.MustNewConstMetric(m.sourceAt, prometheus.GaugeValue, updated, c.Name)
		out <- prometheus.MustNewConstMetric(m.sourceFails, prometheus.CounterValue, float64(s.Failures), c.Name)
	}
}
