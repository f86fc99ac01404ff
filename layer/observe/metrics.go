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

	bound sync.Map // of labels to a bound handle: binding costs ten times what counting does
}

// callLabels are the labels of one series of calls.
type callLabels struct{ method, code, exception string }

// attemptLabels are the labels of one series of attempts.
type attemptLabels struct{ method, cluster, outcome, code string }

// boundCall is a series of calls with its handles.
type boundCall struct {
	seconds prometheus.Observer
	in, out prometheus.Counter
}

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
		retries: counter("thriftloom_retries_total", "Attempts after the first, by what became of the attempt before.", "rpc_method", "reason"),
		callers: counter("thriftloom_caller_calls_total", "Calls by caller, as far as callers say who they are.", "caller", "service"),
		bytes:   counter("thriftloom_body_bytes_total", "Bytes of arguments (in) and results (out).", "rpc_method", "direction"),
	}
	r.MustRegister(m.calls, m.attempts, m.inFlight, m.retries, m.callers, m.bytes)
	return m
}

// Begun counts the call in.
func (m *Metrics) Begun(call *rpc.Call) { m.gauge(call.Service).Inc() }

// Ended counts the call and its attempts.
func (m *Metrics) Ended(r *rpc.Record) {
	call, method := r.Call, r.Call.MethodName()
	m.gauge(call.Service).Dec()
	exception := ""
	if r.Reply != nil {
		exception = r.Reply.ExceptionType(call.Method)
	}
	b := m.call(callLabels{method, r.Code(), exception})
	b.seconds.Observe(r.Took.Seconds())
	b.in.Add(float64(len(call.Body)))
	if r.Reply != nil {
		b.out.Add(float64(len(r.Reply.Body)))
	}
	m.caller(call)
	for i, a := range r.Attempts() {
		m.attempt(method, a)
		if i > 0 {
			m.retries.WithLabelValues(method, r.Attempts()[i-1].Outcome.String()).Inc()
		}
	}
}

// Late counts an attempt that outlived its call.
func (m *Metrics) Late(call *rpc.Call, a rpc.Attempt) { m.attempt(call.MethodName(), a) }

func (m *Metrics) call(l callLabels) *boundCall {
	if b, ok := m.bound.Load(l); ok {
		return b.(*boundCall)
	}
	failed := ""
	if l.code != "OK" {
		failed = l.code
	}
	b, _ := m.bound.LoadOrStore(l, &boundCall{
		seconds: m.calls.WithLabelValues(l.method, l.code, l.exception, failed),
		in:      m.bytes.WithLabelValues(l.method, "in"),
		out:     m.bytes.WithLabelValues(l.method, "out"),
	})
	return b.(*boundCall)
}

func (m *Metrics) attempt(method string, a rpc.Attempt) {
	l := attemptLabels{method, a.Cluster, a.Outcome.String(), "OK"}
	failed := ""
	if a.Err != nil {
		l.code = a.Err.Code.String()
		failed = l.code
	}
	o, ok := m.bound.Load(l)
	if !ok {
		o, _ = m.bound.LoadOrStore(l, m.attempts.WithLabelValues(l.method, l.code, l.cluster, l.outcome, failed))
	}
	o.(prometheus.Observer).Observe(a.Took.Seconds())
}

// gaugeKey and callerKey are keys of Metrics.bound.
type (
	gaugeKey  string
	callerKey struct{ caller, service string }
	callerCap struct{}
)

func (m *Metrics) gauge(service string) prometheus.Gauge {
	if g, ok := m.bound.Load(gaugeKey(service)); ok {
		return g.(prometheus.Gauge)
	}
	g, _ := m.bound.LoadOrStore(gaugeKey(service), m.inFlight.WithLabelValues(service))
	return g.(prometheus.Gauge)
}

func (m *Metrics) caller(call *rpc.Call) {
	if call.Caller.Name == "" {
		return
	}
	k := callerKey{call.Caller.Name, call.Service}
	c, ok := m.bound.Load(k)
	if !ok {
		seen, _ := m.bound.LoadOrStore(callerCap{}, new(counted))
		if !seen.(*counted).take(maxCallers) {
			k.caller = "_OTHER"
		}
		c, _ = m.bound.LoadOrStore(k, m.callers.WithLabelValues(k.caller, k.service))
	}
	c.(prometheus.Counter).Inc()
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
