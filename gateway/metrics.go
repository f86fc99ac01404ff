package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// metrics are the gateway's own numbers, besides those of calls. Gauges are read from the parts when somebody asks.
type metrics struct {
	g          *Gateway
	bad        *prometheus.CounterVec
	lost       *prometheus.CounterVec
	missing    *prometheus.CounterVec
	limited    *prometheus.CounterVec
	storeLost  *prometheus.CounterVec
	handshakes *prometheus.CounterVec
	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge

	endpoints, slots, leased, others, members, datagrams, voids, drops, taken, zombies, connections, waiting, refused, shed, overloaded, replicas, ready, clients, info, stale, held,
	crowded, notAfter, oldKeys, sourceStale, sourceAt, sourceFails *prometheus.Desc
}

func newMetrics(g *Gateway) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("thriftloom_"+name, help, labels, nil)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "thriftloom_" + name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "thriftloom_" + name, Help: help})
	}
	m := &metrics{
		g:           g,
		bad:         counter("malformed_messages_total", "Bytes from callers that are no message, by reason.", "reason"),
		lost:        counter("unrouted_calls_total", "Calls that lead to no service, by reason.", "reason"),
		missing:     counter("required_missing_total", "Calls that lack a required field, where required_fields asks for it.", "rpc_method"),
		limited:     counter("limited_total", "Calls that a limit has refused, by what is counted together: service, method, caller, argument, header, or max_in_flight.", "rpc_method", "by"),
		storeLost:   counter("cache_store_lost_total", "Times that a store did not answer in time, again and again, and was not asked any more for a while.", "store"),
		handshakes:  counter("tls_handshake_failures_total", "Callers whose TLS handshake or SASL login failed, by reason.", "listener", "reason"),
		reloadOK:    gauge("config_last_reload_successful", "1 if the last reload took over everything."),
		reloadTime:  gauge("config_last_reload_timestamp_seconds", "When the config was last taken over."),
		endpoints:   desc("upstream_endpoints", "Endpoints by state: up, down, ejected, drained (by weight), draining.", "upstream", "state"),
		slots:       desc("upstream_slots", "Calls that the endpoints may work at; with slots: auto what was learned.", "upstream"),
		leased:      desc("upstream_leased_slots", "Of the slots that this gateway shares with others, those that it may use now.", "upstream"),
		others:      desc("upstream_calls_of_others", "Calls that other gateways have at the endpoints, as far as they tell: with gateways.share view or both.", "upstream"),
		members:     desc("gateways", "Gateways that share slots, by state: self, alive, gone, cut off.", "state"),
		datagrams:   desc("gateway_datagrams_dropped_total", "Datagrams at gateways.listen that were thrown away, by reason.", "reason"),
		voids:       desc("gateway_voids_total", "Cached replies, and groups of them, that are void, as gateways tell each other: told by this one, heard from others, repeated.", "event"),
		drops:       desc("gateway_cache_drops_total", "Times that this gateway has dropped all cached replies, by why another may have made some void: gap, it is not told any more which; silence, nothing was heard for a second; end, it was killed.", "reason"),
		taken:       desc("upstream_slots_taken", "Slots that are taken.", "upstream"),
		zombies:     desc("upstream_zombie_slots", "Taken slots whose caller has its answer or has gone while the peer is still at work.", "upstream"),
		connections: desc("upstream_connections", "Connections to the endpoints.", "upstream"),
		waiting:     desc("queue_calls", "Calls that wait for a slot.", "upstream"),
		refused:     desc("queue_refused_total", "Calls that found the queue full.", "upstream"),
		shed:        desc("shed_total", "Calls that were refused for want of a slot, by priority and reason: full, the queue was full; crowd and waited, the upstream was overloaded; late, too little time was left.", "upstream", "priority", "reason"),
		overloaded:  desc("upstream_overloaded", "1 while more calls come than the upstream answers, and some are refused for it.", "upstream"),
		replicas:    desc("replicas", "Processes that the gateway runs, by state.", "upstream", "state"),
		ready:       desc("ready", "1 if the gateway is ready."),
		clients:     desc("listener_connections", "Callers' connections.", "listener"),
		info:        desc("build_info", "Always 1.", "version"),
		held:        desc("buffered_bytes", "Bytes that connections hold: what came and is not done with, and what waits to be written."),
		crowded:     desc("buffered_refused_total", "How often something was refused because max_buffered_bytes was used up."),
		notAfter:    desc("certificate_not_after_seconds", "When a certificate in force ends, in Unix time: of a file the earliest of its chain, of authorities the latest.", "file"),
		oldKeys:     desc("certificate_stale", "1 where a certificate's file is broken or gone and the last good one stays in force, else 0.", "file"),
		sourceStale: desc("upstream_source_stale", "1 where the source of an upstream's endpoints fails or names none, else 0.", "upstream"),
		sourceAt:    desc("upstream_source_updated_timestamp_seconds", "When the source last confirmed the endpoints in force, in Unix time; 0: never.", "upstream"),
		sourceFails: desc("upstream_source_failures_total", "How often the source of an upstream's endpoints could not be asked, or was broken.", "upstream"),
		stale:       desc("config_stale", "1 for a service that kept its last good version.", "service"),
	}
	m.reloadOK.Set(1)
	m.reloadTime.SetToCurrentTime()
	g.registry.MustRegister(m.bad, m.lost, m.missing, m.limited, m.storeLost, m.handshakes, m.reloadOK, m.reloadTime, m)
	return m
}

func (m *metrics) unrouted(reason string) { m.lost.WithLabelValues(reason).Inc() }

func (m *metrics) reloaded(whole bool) {
	m.reloadOK.Set(0)
	if whole {
		m.reloadOK.Set(1)
		m.reloadTime.SetToCurrentTime()
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.endpoints, m.slots, m.leased, m.others, m.members, m.datagrams, m.voids, m.drops, m.taken, m.zombies, m.connections, m.waiting, m.refused, m.shed, m.overloaded, m.replicas,
		m.ready,
		m.clients, m.info, m.stale, m.held, m.crowded, m.notAfter, m.oldKeys,
		m.sourceStale, m.sourceAt, m.sourceFails,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := m.g.Snapshot()
	for _, c := range s.Clusters {
		states := map[string]int{"up": 0, "down": 0, "ejected": 0, "drained": 0, "draining": 0}
		var slots, leased, others, taken, zombies, connections int
		for _, e := range c.Endpoints {
			states[e.State]++
			slots, leased, others, taken, zombies, connections = slots+e.Slots, leased+e.LeasedSlots, others+e.Others, taken+e.InFlight, zombies+e.Zombies, connections+e.Connections
		}
		for state, n := range states {
			gauge(m.endpoints, float64(n), c.Name, state)
		}
		gauge(m.slots, float64(slots), c.Name)
		if c.Leased {
			gauge(m.leased, float64(leased), c.Name)
		}
		if c.Viewed {
			gauge(m.others, float64(others), c.Name)
		}
		gauge(m.taken, float64(taken), c.Name)
		gauge(m.zombies, float64(zombies), c.Name)
		gauge(m.connections, float64(connections), c.Name)
		gauge(m.waiting, float64(c.QueueCalls), c.Name)
		out <- prometheus.MustNewConstMetric(m.refused, prometheus.CounterValue, float64(c.Refused), c.Name)
		overloaded := 0.0
		if c.Overloaded {
			overloaded = 1
		}
		gauge(m.overloaded, overloaded, c.Name)
		for _, s := range c.Shed {
			for reason, n := range map[string]int64{"full": s.Full, "crowd": s.Crowd, "waited": s.Waited, "late": s.Late} {
				out <- prometheus.MustNewConstMetric(m.shed, prometheus.CounterValue, float64(n), c.Name, s.Priority, reason)
			}
		}
	}
	m.sources(s.Clusters, out)
	m.sharing(s.Gateways, out)
	replicas := map[[2]string]int{}
	for _, r := range s.Replicas {
		replicas[[2]string{r.Service, r.State}]++
	}
	for k, n := range replicas {
		gauge(m.replicas, float64(n), k[0], k[1])
	}
	for _, l := range s.Listeners {
		gauge(m.clients, float64(l.Connections), l.Address)
	}
	for _, c := range s.Certificates {
		gauge(m.notAfter, float64(c.NotAfter.Unix()), c.File)
		stale := 0.0
		if c.Problem != "" {
			stale = 1
		}
		gauge(m.oldKeys, stale, c.File)
	}
	for _, label := range s.Config.Stale {
		gauge(m.stale, 1, label)
	}
	ready := 0.0
	if ok, _ := m.g.Ready(""); ok {
		ready = 1
	}
	gauge(m.ready, ready)
	gauge(m.held, float64(m.g.budget.Held()))
	out <- prometheus.MustNewConstMetric(m.crowded, prometheus.CounterValue, float64(m.g.budget.Refused()))
	gauge(m.info, 1, m.g.opts.Version)
}

// sharing is the numbers of those who lend each other slots.
func (m *metrics) sharing(s *status.Gateways, out chan<- prometheus.Metric) {
	if s == nil {
		return
	}
	states := map[string]int{"self": 0, "alive": 0, "gone": 0, "cut off": 0}
	for _, member := range s.Members {
		states[member.State]++
	}
	for state, n := range states {
		out <- prometheus.MustNewConstMetric(m.members, prometheus.GaugeValue, float64(n), state)
	}
	for reason, n := range s.Dropped {
		out <- prometheus.MustNewConstMetric(m.datagrams, prometheus.CounterValue, float64(n), reason)
	}
	if v := s.Voids; v != nil {
		for event, n := range map[string]int64{"told": v.Told, "heard": v.Heard, "repeated": v.Repeated} {
			out <- prometheus.MustNewConstMetric(m.voids, prometheus.CounterValue, float64(n), event)
		}
		for reason, n := range v.Dropped {
			out <- prometheus.MustNewConstMetric(m.drops, prometheus.CounterValue, float64(n), reason)
		}
	}
}
