package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/layer/breaker"
	"github.com/thriftloom/thriftloom/layer/hedge"
	"github.com/thriftloom/thriftloom/rpc"
)

// learned is what the layers of one service have learned. It outlives a reload; its identity is the service's label.
type learned struct {
	hedges  *hedge.State
	breaker *breaker.Breaker
}

// learned returns what a service has learned, nothing where it is new.
func (g *Gateway) learned(was *state, label string) *learned {
	if l := was.learned[label]; l != nil {
		return l
	}
	return &learned{hedges: hedge.NewState(), breaker: &breaker.Breaker{Opened: func(method, caller string, wait time.Duration) {
		if n, ok := g.quiet.take("breaker "+label+"."+method, time.Now()); ok {
			g.log.Warn("a caller's calls of a method fail at several endpoints: they are refused for a while",
				"method", rpc.MethodKey{Service: label, Method: method}.String(), "caller", caller, "wait", wait, "not_told", n)
		}
	}}}
}

// hedge is what one of the service's methods may do, by index.
func (l *learned) hedge(p *servicePlan, i int) hedge.Policy {
	if !p.hedges(i) {
		return hedge.Policy{}
	}
	c := p.methods[i].policies.Hedge
	return hedge.Policy{Method: l.hedges.Method(p.schema.Methods[i].Name), Delay: c.Delay, Percent: c.Percent}
}

// breaks reports whether a method of the service has a breaker.
func (p *servicePlan) breaks() bool {
	for _, m := range p.methods {
		if m.policies.Breaker.On {
			return true
		}
	}
	return false
}

// broken is what the snapshot shows of a service's breaker; nil where it has none.
func (l *learned) broken(p *servicePlan, now time.Time) *status.Breaker {
	if !p.breaks() {
		return nil
	}
	s := l.breaker.Snapshot(now)
	return &status.Breaker{Refused: s.Refused, Open: byMethod(s.Open)}
}

const namedCallers = 10 // of a method, in the snapshot: who is meant; the breaker knows thousands

// byMethod returns a row for each method, of pairs that are in the order of methods.
func byMethod(open []breaker.Open) []status.Broken {
	rows := []status.Broken{}
	for _, o := range open {
		if n := len(rows); n == 0 || rows[n-1].Method != o.Method {
			rows = append(rows, status.Broken{Method: o.Method, Since: o.Since, Next: o.Next})
		}
		r := &rows[len(rows)-1]
		if r.Callers++; r.Callers <= namedCallers {
			r.Names = append(r.Names, o.Caller)
		}
		if o.Since.Before(r.Since) {
			r.Since = o.Since
		}
		if o.Next.Before(r.Next) {
			r.Next = o.Next
		}
	}
	return rows
}

// hedged is what the snapshot shows of a method's hedges; nil where it has none.
func (l *learned) hedged(p *servicePlan, i int) *status.Hedges {
	if !p.hedges(i) {
		return nil
	}
	counts, delay := l.hedges.Method(p.schema.Methods[i].Name).Snapshot()
	if fixed := p.methods[i].policies.Hedge.Delay; fixed > 0 {
		delay = fixed
	}
	return &status.Hedges{
		DelaySeconds: delay.Seconds(), Sent: counts.Sent, Won: counts.Won, OverBudget: counts.OverBudget, Busy: counts.Busy,
	}
}

// learnedMetrics are the numbers of hedges and breakers, read when somebody asks. It implements prometheus.Collector.
type learnedMetrics struct {
	g                                         *Gateway
	hedges, won, unsent, open, refused, tries *prometheus.Desc
}

func newLearnedMetrics(g *Gateway) *learnedMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("thriftloom_"+name, help, labels, nil)
	}
	return &learnedMetrics{
		g:       g,
		hedges:  desc("hedges_total", "Second attempts that were made since the first was late, and have ended.", "rpc_method"),
		won:     desc("hedges_won_total", "Second attempts whose reply came first.", "rpc_method"),
		unsent:  desc("hedges_refused_total", "Calls that were late and had no second attempt, by reason: budget, busy (no slot to spare).", "rpc_method", "reason"),
		open:    desc("breaker_open", "Callers of methods whose calls are refused, since they end their handlers wherever they are made.", "service"),
		refused: desc("breaker_refused_total", "Calls that were refused by a breaker.", "service"),
		tries:   desc("upstream_tries_refused_total", "Retries and hedges that were not made, since the upstream's budget was used up.", "upstream"),
	}
}

// Describe implements prometheus.Collector.
func (m *learnedMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.hedges, m.won, m.unsent, m.open, m.refused, m.tries} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *learnedMetrics) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	st, now := m.g.current.Load(), time.Now()
	for label, p := range st.plans {
		l := st.learned[label]
		if b := l.broken(&p, now); b != nil {
			open := 0
			for _, x := range b.Open {
				open += x.Callers
			}
			out <- prometheus.MustNewConstMetric(m.open, prometheus.GaugeValue, float64(open), label)
			count(m.refused, b.Refused, label)
		}
		for i, method := range p.schema.Methods {
			if h := l.hedged(&p, i); h != nil {
				name := rpc.MethodKey{Service: label, Method: method.Name}.String()
				count(m.hedges, h.Sent, name)
				count(m.won, h.Won, name)
				count(m.unsent, h.OverBudget, name, "budget")
				count(m.unsent, h.Busy, name, "busy")
			}
		}
	}
	for _, u := range st.upstreams {
		count(m.tries, u.budget.Refused(), u.plan.Load().name)
	}
}
