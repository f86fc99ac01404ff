package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/thriftloom/thriftloom/layer/mirror"
)

// The metrics of mirrors, canaries and faults. They are counted as long as the process lives.
var (
	mirrorTotal = prometheus.NewDesc("thriftloom_mirror_total",
		"Copies of calls by what became of them: same, differ, answered (not compared), mirror_failed, main_failed, dropped.", []string{"rpc_method", "result"}, nil)
	canaryCalls = prometheus.NewDesc("thriftloom_canary_calls_total",
		"Calls of methods with a canary, by where they went: canary, main.", []string{"rpc_method", "to"}, nil)
	canaryEnded = prometheus.NewDesc("thriftloom_canary_ended",
		"1 where a canary has ended because it failed (canary.abort_above), else 0.", []string{"service", "upstream"}, nil)
	faultsInjected = prometheus.NewDesc("thriftloom_faults_injected_total",
		"Calls that waited or failed on purpose, by fault: delay, abort, exception.", []string{"rpc_method", "fault"}, nil)
)

// Describe implements prometheus.Collector.
func (r *rollout) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{mirrorTotal, canaryCalls, canaryEnded, faultsInjected} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (r *rollout) Collect(out chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, c := range r.counts {
		method := key.String()
		counter := func(d *prometheus.Desc, n int64, label string) {
			if n > 0 {
				out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), method, label)
			}
		}
		report := c.mirror.Report()
		for _, result := range mirror.Results {
			counter(mirrorTotal, report.Results[result], string(result))
		}
		counter(canaryCalls, c.canary.Canary.Load(), "canary")
		counter(canaryCalls, c.canary.Main.Load(), "main")
		counter(faultsInjected, c.faults.Delayed.Load(), "delay")
		counter(faultsInjected, c.faults.Aborted.Load(), "abort")
		counter(faultsInjected, c.faults.Excepted.Load(), "exception")
	}
	ended := map[[2]string]float64{} // of several blocks of a service to one upstream
	for key, t := range r.trials {
		at := [2]string{key.service, upstreamName(key.upstream)}
		ended[at] += 0
		if t.Stopped() {
			ended[at] = 1
		}
	}
	for at, v := range ended {
		out <- prometheus.MustNewConstMetric(canaryEnded, prometheus.GaugeValue, v, at[0], at[1])
	}
}
