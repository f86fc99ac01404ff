package gateway_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// count returns how many lines have a text in them.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// sourced is a gateway whose one upstream is looked up.
type sourced struct {
	*running
	log *lines
}

// startSourced runs a gateway whose upstream is that block, before a file endpoints.yaml with these endpoints.
func startSourced(t *testing.T, upstream string, endpoints ...string) *sourced {
	t.Helper()
	s := &sourced{running: prepare(t), log: &lines{}}
	s.opts.Log = slog.New(slog.NewTextHandler(s.log, nil))
	s.names(endpoints...)
	s.write("thriftloom.yaml", sourceConfig(upstream))
	s.begin()
	return s
}

func sourceConfig(upstream string) string {
	return fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 20s, queue: {max_wait: 20s}, upstream: {%s}}}\n", upstream)
}

// names replaces the file in one step.
func (s *sourced) names(endpoints ...string) {
	s.t.Helper()
	s.write("endpoints.new", "endpoints: ["+strings.Join(endpoints, ", ")+"]")
	s.move("endpoints.new")
}

func (s *sourced) move(from string) {
	s.t.Helper()
	if err := os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, "endpoints.yaml")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sourced) source() status.Source {
	s.t.Helper()
	x := s.Snapshot().Clusters[0].Source
	if x == nil {
		s.t.Fatal("the upstream has no source")
	}
	return *x
}

func (s *sourced) await(what string, ok func(x status.Source) bool) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return ok(s.source()) })
}

// metric returns the value of a metric of the upstream Users.
func (s *sourced) metric(name string) (v float64) {
	s.t.Helper()
	all, err := s.Registry().Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			if f.GetType() == dto.MetricType_COUNTER {
				return m.GetCounter().GetValue()
			}
			return m.GetGauge().GetValue()
		}
	}
	s.t.Fatalf("no metric %s", name)
	return 0
}

// A file of endpoints is followed: what is new gets calls, what is gone gets none, and a call in flight there is answered. One that breaks
// changes nothing, and snapshot, log and metrics say so.
func TestFileSource(t *testing.T) {
	begun, answer := make(chan struct{}, 1), make(chan struct{})
	slow, _, _ := peer(t, func(m transport.Message) fakepeer.Answer {
		if m.Head.Name == "report" {
			begun <- struct{}{}
			<-answer
		}
		return named("slow")(m)
	})
	other, _, _ := peer(t, named("other"))
	s := startSourced(t, "file: endpoints.yaml, server: threaded", slow, slow) // an address that is there twice is one endpoint
	eventually(t, "readiness", func() bool { ok, _ := s.Ready(""); return ok })
	c := dial(t, s.Addresses()[0])
	c.expect("ping", "slow")
	if x := s.source(); x.State != resolve.Good || x.Endpoints != 1 || !strings.HasPrefix(x.Name, "file /") || x.UpdatedAt.IsZero() {
		t.Errorf("the source: %+v", x)
	}

	flying, done := dial(t, s.Addresses()[0]), make(chan string)
	go func() { done <- flying.call("report") }()
	<-begun
	s.names(other)
	s.await("the other endpoint", func(status.Source) bool { return c.call("ping") == "other" })
	for range 20 {
		c.expect("ping", "other")
	}
	close(answer)
	if got := <-done; got != "slow" {
		t.Errorf("the call in flight: %s", got)
	}

	before := s.source()
	s.write("endpoints.new", "endpoints: [\"127.0.0.1\"]")
	s.move("endpoints.new")
	s.await("it is stale", func(x status.Source) bool { return x.State == resolve.Stale })
	if x := s.source(); x.Endpoints != 1 || !x.UpdatedAt.Equal(before.UpdatedAt) || x.Failures == 0 || !strings.Contains(x.Problem, `endpoints.yaml:1:13: endpoints[0]: address "127.0.0.1": want host:port`) {
		t.Errorf("stale: %+v", x)
	}
	if s.metric("thriftloom_upstream_source_stale") != 1 || s.metric("thriftloom_upstream_source_failures_total") == 0 || s.metric("thriftloom_upstream_source_updated_timestamp_seconds") == 0 {
		t.Error("the metrics do not say so")
	}
	c.expect("ping", "other")
	if ok, reasons := s.Ready("Users"); !ok {
		t.Error(reasons)
	}
	s.names(other, slow)
	s.await("it is good again", func(x status.Source) bool { return x.State == resolve.Good && x.Endpoints == 2 })
	if s.metric("thriftloom_upstream_source_stale") != 0 {
		t.Error("the metrics do not say so")
	}
	if s.log.count("the last good ones stay in force") != 1 || s.log.count("a source of endpoints is good") == 0 {
		t.Error("the log does not say so")
	}
}

// A source that names none is doubted for as long as hold_empty says; then calls are refused at once.
func TestEmptySource(t *testing.T) {
	only, _, _ := peer(t, named("only"))
	s := startSourced(t, "file: endpoints.yaml, hold_empty: 24h", only)
	eventually(t, "readiness", func() bool { ok, _ := s.Ready(""); return ok })
	c := dial(t, s.Addresses()[0])
	s.names()
	s.await("it is held", func(x status.Source) bool { return x.State == resolve.Stale && x.Endpoints == 1 })
	c.expect("ping", "only")
	s.write("thriftloom.yaml", sourceConfig("file: endpoints.yaml, hold_empty: 0s"))
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.await("it is empty", func(x status.Source) bool { return x.State == resolve.Empty && x.Endpoints == 0 })
	if got := c.call("ping"); !strings.Contains(got, "UNAVAILABLE") {
		t.Errorf("with no endpoint: %s", got)
	}
	s.names(only)
	s.await("it is good", func(x status.Source) bool { return x.State == resolve.Good })
	c.expect("ping", "only")
}

// Where a reload lets the same endpoints be looked up elsewhere, their connections stay; until the new source has answered, what was known
// before is in force.
func TestSourceByReload(t *testing.T) {
	stays, p, _ := peer(t, named("stays"))
	s := startSourced(t, fmt.Sprintf("endpoints: [%q], server: gunicorn-gevent", stays), stays)
	eventually(t, "readiness", func() bool { ok, _ := s.Ready(""); return ok })
	c := dial(t, s.Addresses()[0])
	c.expect("ping", "stays")
	connections := p.Connections.Load()
	if s.Snapshot().Clusters[0].Source != nil {
		t.Error("endpoints that are named have a source")
	}
	for i, x := range []struct{ upstream, state string }{
		{"file: endpoints.yaml", resolve.Good}, {"file: absent.yaml", resolve.Stale}, {"file: ./endpoints.yaml", resolve.Good},
	} {
		s.write("thriftloom.yaml", sourceConfig(x.upstream+", server: gunicorn-gevent"))
		if _, err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.await(x.state, func(got status.Source) bool { return got.State == x.state && got.Endpoints == 1 })
		c.expect("ping", "stays")
		if n := s.Snapshot().Clusters[0].Endpoints[0].Calls; n != int64(2+i) {
			t.Errorf("%s: %d calls are counted, want %d", x.upstream, n, 2+i)
		}
	}
	s.write("thriftloom.yaml", sourceConfig(fmt.Sprintf("endpoints: [%q], server: gunicorn-gevent", stays)))
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.expect("ping", "stays")
	if n := p.Connections.Load(); n > connections+1 { // one may have been idle for too long on a busy machine
		t.Errorf("%d connections, and %d before", n, connections)
	}
}

// A reload does not ask for what a broken file of endpoints says: the service goes on with the rest of its new config.
func TestReloadWithBrokenFile(t *testing.T) {
	only, _, _ := peer(t, named("only"))
	s := startSourced(t, "file: endpoints.yaml", only)
	eventually(t, "readiness", func() bool { ok, _ := s.Ready(""); return ok })
	s.write("endpoints.yaml", "endpoints: [{}]")
	s.write("thriftloom.yaml", sourceConfig("file: endpoints.yaml, slots: 7"))
	got, err := s.Reload(t.Context())
	if err != nil || len(got.Stale) != 0 || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "endpoints.yaml:1:13: endpoints[0]") {
		t.Errorf("the reload: %+v, %v", got, err)
	}
	if e := s.Snapshot().Clusters[0].Endpoints[0]; e.Slots != 7 {
		t.Errorf("%d slots", e.Slots)
	}
	l := gateway.Load(filepath.Join(s.dir, "thriftloom.yaml"), nil)
	if len(l.Mistakes) != 1 {
		t.Errorf("at a start: %v", l.Mistakes)
	}
}

// Endpoints that are looked up are shared among gateways as named ones are.
func TestSharedSource(t *testing.T) {
	s := startSourced(t, "file: endpoints.yaml, slots: 9, gateways: 3", "127.0.0.1:1", "{address: \"127.0.0.2:1\", slots: 4}", "{address: \"127.0.0.3:1\", slots: 2}")
	s.await("three endpoints", func(x status.Source) bool { return x.Endpoints == 3 })
	for i, want := range []int{3, 1, 1} {
		if e := s.Snapshot().Clusters[0].Endpoints[i]; e.Slots != want {
			t.Errorf("%s has %d slots, want %d", e.Name, e.Slots, want)
		}
	}
}

// Sources that are handed in get what the config says of them; where they are not, the gateway does not start.
func TestHandedIn(t *testing.T) {
	only, _, _ := peer(t, named("only"))
	r := prepare(t)
	r.write("secret", "hush\n")
	r.write("thriftloom.yaml", sourceConfig("consul: {service: users, token_file: secret}"))
	l := gateway.Load(filepath.Join(r.dir, "thriftloom.yaml"), nil)
	bare := gateway.New(l.Config, r.opts)
	if err := bare.Start(); err == nil || !strings.Contains(err.Error(), "built without") {
		t.Errorf("without: %v", err)
	}
	var got resolve.ConsulConfig
	r.opts.Resolvers.Consul = func(c resolve.ConsulConfig) resolve.Resolver {
		got = c
		return resolve.Static{{Address: only, Name: only}}
	}
	r.begin()
	eventually(t, "readiness", func() bool { ok, _ := r.Ready(""); return ok })
	dial(t, r.Addresses()[0]).expect("ping", "only")
	token, err := got.Token()
	if got.Address != "127.0.0.1:8500" || got.Service != "users" || got.Health != "passing" || token != "hush" || err != nil || got.TLS != nil {
		t.Errorf("handed in: %+v, %q, %v", got, token, err)
	}
}
