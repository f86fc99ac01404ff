package observe

import (
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/internal/quantile"
	"github.com/thriftloom/thriftloom/rpc"
)

// Stats is a sink that keeps what snapshots show: counts, rates and quantiles by method. It outlives a reload.
type Stats struct {
	methods table[rpc.MethodKey, *methodStats]
}

// methodStats is one method's numbers.
type methodStats struct {
	mu       sync.Mutex
	inFlight int
	calls    int64
	errors   int64
	byCode   map[string]int64
	took     quantile.Sketch
	seconds  [rateSeconds + 1]second
}

// second counts the calls that ended in one second.
type second struct{ at, calls int64 }

// rateSeconds is over how many whole seconds a rate is taken.
const rateSeconds = 5

// NewStats returns empty stats.
func NewStats() *Stats { return &Stats{} }

func (s *Stats) of(call *rpc.Call) *methodStats {
	return s.methods.get(call.MethodKey(), func() *methodStats { return &methodStats{byCode: map[string]int64{}} })
}

// Begun counts the call in.
func (s *Stats) Begun(call *rpc.Call) {
	m := s.of(call)
	m.mu.Lock()
	m.inFlight++
	m.mu.Unlock()
}

// Ended counts the call.
func (s *Stats) Ended(r *rpc.Record) {
	m := s.of(r.Call)
	now := r.Call.Start.Add(r.Took).Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight--
	m.calls++
	if r.Err != nil {
		m.errors++
		m.byCode[r.Code()]++
	}
	m.took.Add(r.Took)
	sec := &m.seconds[now%int64(len(m.seconds))]
	if sec.at != now {
		*sec = second{at: now}
	}
	sec.calls++
}

// Late is not counted.
func (s *Stats) Late(*rpc.Call, rpc.Attempt) {}

// MethodStats is a method's numbers at one moment.
type MethodStats struct {
	Calls, Errors  int64
	ErrorsByCode   map[string]int64
	InFlight       int
	CallsPerSecond float64 // over the last five whole seconds
	P50, P99       time.Duration

	sketch quantile.Sketch
}

// Method returns the numbers of one method; zero where it was not called.
func (s *Stats) Method(k rpc.MethodKey, now time.Time) MethodStats {
	m, ok := s.methods.find(k)
	if !ok {
		return MethodStats{}
	}
	return m.snapshot(now)
}

// Total returns the numbers of all methods together.
func (s *Stats) Total(now time.Time) MethodStats {
	total := MethodStats{ErrorsByCode: map[string]int64{}}
	for _, m := range s.methods.all() {
		one := m.snapshot(now)
		total.Calls += one.Calls
		total.Errors += one.Errors
		total.InFlight += one.InFlight
		total.CallsPerSecond += one.CallsPerSecond
		for code, n := range one.ErrorsByCode {
			total.ErrorsByCode[code] += n
		}
		total.sketch.Merge(&one.sketch)
	}
	total.P50, total.P99 = total.sketch.Quantile(0.5), total.sketch.Quantile(0.99)
	return total
}

func (m *methodStats) snapshot(now time.Time) MethodStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := MethodStats{
		Calls: m.calls, Errors: m.errors, InFlight: m.inFlight, ErrorsByCode: map[string]int64{},
		P50: m.took.Quantile(0.5), P99: m.took.Quantile(0.99), sketch: m.took,
	}
	for code, n := range m.byCode {
		s.ErrorsByCode[code] = n
	}
	for _, sec := range m.seconds { // the second that runs is not whole
		if age := now.Unix() - sec.at; age >= 1 && age <= rateSeconds {
			s.CallsPerSecond += float64(sec.calls) / rateSeconds
		}
	}
	return s
}
