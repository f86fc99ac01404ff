package observe

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thriftloom/thriftloom/rpc"
)

// buckets of the two histograms, in seconds: OpenTelemetry's for calls between services begin at 5 ms, where a Thrift call is long over.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Metrics is a sink that counts for Prometheus, under OpenTelemetry's names as its exporter spells them.
type Metrics struct {
	calls    *prometheus.HistogramVec
	attempts *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	retries  *prometheus.CounterVec
	callers  *prometheus.CounterVec
	bytes    *prometheus.CounterVec

	// Handles, bound to their labels: binding costs ten times what counting does.
	methods table[rpc.MethodKey, *methodHandles]
	series  table[callLabels, prometheus.Observer]
	tries   table[attemptLabels, prometheus.Observer]
	known   table[callerLabels, prometheus.Counter]
	met     counted // callers with a series of their own
}

// methodHandles are the handles of a method, with its name.
type methodHandles struct {
	name     string
	inFlight prometheus.Gauge // of the service
	in, out  prometheus.Counter
	ok       prometheus.Observer // calls that end with a result
}

// callLabels are the labels of one series of calls.
type callLabels struct {
	method          rpc.MethodKey
	code, exception string
}

// attemptLabels are the labels of one series of attempts.
type attemptLabels struct {
	method  rpc.MethodKey
	cluster string
	outcome rpc.Outcome
	code    string
}

// callerLabels are the labels of one caller's calls.
type callerLabels struct{ caller, service string }

// maxCallers bounds how many callers have a series of their own; the others share "_OTHER".
const maxCallers = 1000

// NewMetrics makes the metrics and registers them with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: buckets, ConstLabels: prometheus.Labels{"rpc_system_name": "thrift"},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		calls: histogram("rpc_server_call_duration_seconds",
			"How long calls took, from the whole request to the answer. A declared exception is OK with its type.",
			"rpc_method", "rpc_status_code", "thrift_exception_type", "error_type"),
		attempts: histogram("rpc_client_call_duration_seconds",
			"How long attempts at endpoints took, from the slot to the outcome.",
			"rpc_method", "rpc_status_code", "thriftloom_upstream", "thriftloom_outcome", "error_type"),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "thriftloom_calls_in_flight", Help: "Calls that have begun and not ended."},
			[]string{"service"}),
		retries: counter("thriftloom_retries_total", "Attempts after the first, hedges left out, by what became of the attempt before.", "rpc_method", "reason"),
		callers: counter("thriftloom_caller_calls_total", "Calls by caller, as far as callers say who they are.", "caller", "service"),
		bytes:   counter("thriftloom_body_bytes_total", "Bytes of arguments (in) and results (out).", "rpc_method", "direction"),
	}
	r.MustRegister(m.calls, m.attempts, m.inFlight, m.retries, m.callers, m.bytes)
	return m
}

// Begun counts the call in.
func (m *Metrics) Begun(call *rpc.Call) { m.method(call.MethodKey()).inFlight.Inc() }

// Ended counts the call and its attempts.
func (m *Metrics) Ended(r *rpc.Record) {
	call, key := r.Call, r.Call.MethodKey()
	method := m.method(key)
	method.inFlight.Dec()
	series := method.ok
	if r.Err != nil || r.Reply != nil && r.Reply.Exception != 0 {
		exception := ""
		if r.Reply != nil {
			exception = r.Reply.ExceptionType(call.Method)
		}
		series = m.call(callLabels{key, r.Code(), exception})
	}
	series.Observe(r.Took.Seconds())
	method.in.Add(float64(len(call.Body)))
	if r.Reply != nil {
		method.out.Add(float64(len(r.Reply.Body)))
	}
	m.caller(call)
	attempts, tries := r.Attempts(), 0
	for i := range attempts {
		m.attempt(key, &attempts[i])
		if attempts[i].Hedge {
			continue
		}
		if tries++; tries > 1 {
			m.retries.WithLabelValues(method.name, attempts[i-1].Outcome.String()).Inc()
		}
	}
}

// Late counts an attempt that outlived its call.
func (m *Metrics) Late(call *rpc.Call, a rpc.Attempt) { m.attempt(call.MethodKey(), &a) }

func (m *Metrics) method(k rpc.MethodKey) *methodHandles {
	return m.methods.get(k, func() *methodHandles {
		name := k.String()
		return &methodHandles{
			name: name, inFlight: m.inFlight.WithLabelValues(k.Service), ok: m.call(callLabels{k, "OK", ""}),
			in: m.bytes.WithLabelValues(name, "in"), out: m.bytes.WithLabelValues(name, "out"),
		}
	})
}

func (m *Metrics) call(l callLabels) prometheus.Observer {
	return m.series.get(l, func() prometheus.Observer {
		failed := ""
		if l.code != "OK" {
			failed = l.code
		}
		return m.calls.WithLabelValues(l.method.String(), l.code, l.exception, failed)
	})
}

func (m *Metrics) attempt(k rpc.MethodKey, a *rpc.Attempt) {
	l := attemptLabels{k, a.Cluster, a.Outcome, ""}
	if a.Err != nil {
		l.code = a.Err.Code.String()
	}
	m.tries.get(l, func() prometheus.Observer {
		code := l.code
		if code == "" {
			code = "OK"
		}
		return m.attempts.WithLabelValues(l.method.String(), code, l.cluster, l.outcome.String(), l.code)
	}).Observe(a.Took.Seconds())
}

func (m *Metrics) caller(call *rpc.Call) {
	if call.Caller.Name == "" {
		return
	}
	l := callerLabels{call.Caller.Name, call.Service}
	c, ok := m.known.find(l)
	if !ok {
		if !m.met.take(maxCallers) {
			l.caller = "_OTHER"
		}
		c = m.known.get(l, func() prometheus.Counter { return m.callers.WithLabelValues(l.caller, l.service) })
	}
	c.Inc()
}

// counted is a counter with an end.
type counted struct {
	mu sync.Mutex
	n  int
}

// take counts one and reports whether the bound allows it.
func (c *counted) take(bound int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n <= bound
}
