package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/rpc"
)

// cacheMetrics are the numbers of the cache, read when somebody asks.
type cacheMetrics struct {
	g *Gateway

	calls, bypassed, age, loads, refreshes, failures, voids, evictions, entries, bytes, max, stores, owed *prometheus.Desc
}

func newCacheMetrics(g *Gateway) *cacheMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("thriftloom_cache_"+name, help, labels, nil)
	}
	return &cacheMetrics{
		g:         g,
		calls:     desc("calls_total", "Calls of methods that are cached, by how they were answered: hit, stored, stale, stale_if_error, coalesced, miss, bypass.", "rpc_method", "result"),
		bypassed:  desc("bypassed_total", "Calls that were made since the cache has no place for them, by reason: header, caller, arguments, size.", "rpc_method", "reason"),
		age:       desc("reply_age_seconds_total", "Time since the loads of the replies that were answered with out of the cache, in all.", "rpc_method"),
		loads:     desc("loads_total", "Calls to the upstream for replies to be kept.", "rpc_method"),
		refreshes: desc("refreshes_total", "Of the loads and looks into the store, those that no caller waited for.", "rpc_method"),
		failures:  desc("load_failures_total", "Loads that ended without a reply.", "rpc_method"),
		voids:     desc("invalidations_total", "Replies, methods and tags that calls of the method have made void.", "rpc_method"),
		evictions: desc("evictions_total", "Replies that had to go from this process before their time, for room.", "rpc_method"),
		entries:   desc("entries", "Replies in this process.", "rpc_method"),
		bytes:     desc("bytes", "Memory of the replies in this process, with all that belongs to them.", "rpc_method"),
		max:       desc("max_bytes", "Memory that replies may take in this process."),
		stores:    desc("store_up", "1 while a store is asked, 0 while it does not answer in time.", "store"),
		owed:      desc("store_owed", "Invalidations that a store has still to be told.", "store"),
	}
}

// Describe implements prometheus.Collector.
func (m *cacheMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.calls, m.bypassed, m.age, m.loads, m.refreshes, m.failures, m.voids, m.evictions, m.entries, m.bytes, m.max, m.stores, m.owed,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *cacheMetrics) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, labels...)
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	for key, c := range m.g.cache.Counts() {
		name := key.String()
		for how, n := range c.Results {
			count(m.calls, float64(n), name, how.String())
		}
		for why, n := range c.Bypassed {
			count(m.bypassed, float64(n), name, cache.Bypasses[why])
		}
		count(m.age, c.Age.Seconds(), name)
		for d, n := range map[*prometheus.Desc]int64{m.loads: c.Loads, m.refreshes: c.Refreshes, m.failures: c.Failures, m.voids: c.Voids, m.evictions: c.Evictions} {
			count(d, float64(n), name)
		}
		gauge(m.entries, float64(c.Entries), name)
		gauge(m.bytes, float64(c.Bytes), name)
	}
	gauge(m.max, float64(m.g.cache.Usage().MaxBytes))
	for name, s := range m.g.cache.Stores() {
		up := 1.0
		if s.Away {
			up = 0
		}
		gauge(m.stores, up, name)
		gauge(m.owed, float64(s.Owed), name)
	}
}

// cached is what the snapshot shows of a method's cache; nil where it has none.
func (g *Gateway) cached(counts map[rpc.MethodKey]cache.MethodCounts, label, name string, p *methodPlan) *status.Cached {
	c, ok := counts[rpc.MethodKey{Service: label, Method: name}]
	if !ok || p.cache == (cache.Policy{}) {
		return nil
	}
	s := &status.Cached{
		TTLSeconds: p.policies.Cache.TTL.Seconds(), HitRatio: c.HitRatio(), Calls: map[string]int64{}, Bypassed: map[string]int64{}, Loads: c.Loads,
		Refreshes: c.Refreshes, Failures: c.Failures, Invalidations: c.Voids, Evictions: c.Evictions, Entries: c.Entries, Bytes: c.Bytes,
		Invalidates: p.policies.Cache.Invalidates, Tags: p.policies.Cache.Tags,
	}
	answered := int64(0)
	for how, n := range c.Results {
		s.Calls[how.String()] = n
		if how == rpc.CacheHit || how == rpc.CacheStored || how == rpc.CacheStale || how == rpc.CacheOnError {
			answered += n
		}
	}
	for why, n := range c.Bypassed {
		s.Bypassed[cache.Bypasses[why]] = n
	}
	if answered > 0 {
		s.MeanAgeSeconds = c.Age.Seconds() / float64(answered)
	}
	return s
}

// cacheInfo is what the snapshot shows of the cache as a whole; nil where no method has one.
func (g *Gateway) cacheInfo(counts map[rpc.MethodKey]cache.MethodCounts) *status.Cache {
	stores := g.cache.Stores()
	if len(counts) == 0 && len(stores) == 0 {
		return nil
	}
	u := g.cache.Usage()
	s := &status.Cache{Entries: u.Entries, Bytes: u.Bytes, MaxBytes: u.MaxBytes, Evictions: u.Evictions, Stores: []status.Store{}}
	for _, name := range []string{"redis", "memcached"} {
		if x, ok := stores[name]; ok {
			s.Stores = append(s.Stores, status.Store{Name: name, Up: !x.Away, Owed: x.Owed, Tracks: x.Tracks})
		}
	}
	return s
}

// CacheReport returns the cache as it is now.
func (g *Gateway) CacheReport() status.CacheReport {
	st, counts := g.current.Load(), g.cache.Counts()
	r := status.CacheReport{Cache: status.Cache{Stores: []status.Store{}}, Methods: []status.CachedMethod{}}
	if all := g.cacheInfo(counts); all != nil {
		r.Cache = *all
	}
	for _, t := range st.services {
		p := st.plans[t.Name()]
		for i, m := range p.schema.Methods {
			if c := g.cached(counts, t.Name(), m.Name, &p.methods[i]); c != nil {
				r.Methods = append(r.Methods, status.CachedMethod{Service: t.Name(), Method: m.Name, Cached: *c})
			}
		}
	}
	return r
}
