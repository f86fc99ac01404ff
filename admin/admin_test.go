package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/gateway/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGateway has one service, Users, which can be scaled from 1 to 8.
type fakeGateway struct {
	snapshot  any
	notLive   error
	notReady  bool
	reasons   []string
	reloadErr error
	drainErr  error
	did       []string
	ctxErr    error // of the context of the last change
	bounded   bool  // that context had a deadline
}

func (g *fakeGateway) Snapshot() any { return g.snapshot }
func (g *fakeGateway) Live() error   { return g.notLive }

func (g *fakeGateway) Ready(service string) (bool, []string) {
	if service != "" && service != "Users" {
		return false, []string{service + ": unknown service"}
	}
	return !g.notReady, g.reasons
}

func (g *fakeGateway) did1(ctx context.Context, what string) {
	g.did, g.ctxErr = append(g.did, what), ctx.Err()
	_, g.bounded = ctx.Deadline()
}

func (g *fakeGateway) Reload(ctx context.Context, _ bool) (any, error) {
	g.did1(ctx, "reload")
	return map[string]string{"hash": "abc"}, g.reloadErr
}

func (g *fakeGateway) Drain(ctx context.Context) error {
	g.did1(ctx, "drain")
	return g.drainErr
}

func (g *fakeGateway) Scale(service string, n int) (int, error) {
	switch {
	case service != "Users":
		return 0, fmt.Errorf("%s: %w", service, status.ErrUnknownService)
	case n < 1 || n > 8:
		return 0, fmt.Errorf("%d replicas: not between 1 and 8", n)
	}
	g.did = append(g.did, fmt.Sprint("scale ", n))
	return n, nil
}

func (g *fakeGateway) Unscale(service string) (int, error) {
	if service != "Users" {
		return 0, fmt.Errorf("%s: %w", service, status.ErrUnknownService)
	}
	g.did = append(g.did, "unscale")
	return 2, nil
}

// ask sends one request, written as in HTTP/1.1: "POST /path", then headers.
func ask(h http.Handler, request, body string, headers ...string) *httptest.ResponseRecorder {
	method, target, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:9091"
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func metrics(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }

// Every route answers with its status and body.
func TestRoutes(t *testing.T) {
	for _, tt := range []struct {
		request, body string
		status        int
		want          string // in the answer, blanks taken out
		did           string
	}{
		{"GET /livez", "", 200, "live", ""},
		{"GET /readyz", "", 200, "ready", ""},
		{"HEAD /readyz", "", 200, "", ""},
		{"GET /metrics", "", 200, "up1", ""},
		{"GET /", "", 200, "<title>Thriftloom</title>", ""},
		{"GET /ui/app.js", "", 200, `fetch("api/v1/snapshot"`, ""},
		{"GET /ui/style.css", "", 200, "prefers-color-scheme:dark", ""},
		{"GET /ui/favicon.svg", "", 200, "<svg", ""},
		{"GET /ui/nothing.js", "", 404, "", ""},
		{"GET /elsewhere", "", 404, "", ""},
		{"GET /api/v1/elsewhere", "", 404, `{"error":"nosuchpath"}`, ""},
		{"GET /api/v1/snapshot", "", 200, `"version":"v0.1"`, ""},
		{"POST /api/v1/reload", "", 200, `{"hash":"abc"}`, "reload"},
		{"POST /api/v1/drain", "", 200, `{"draining":true}`, "drain"},
		{"GET /api/v1/cache", "", 200, `"stores":[{"name":"redis","up":true,"owed":0,"tracks":true}],"methods":[{"service":"Users","method":"getUser",`, ""},
		{"POST /api/v1/services/Users/scale", `{"replicas": 4}`, 200, `{"service":"Users","replicas":4}`, "scale 4"},
		{"DELETE /api/v1/services/Users/scale", "", 200, `{"service":"Users","replicas":2}`, "unscale"},
		{"POST /api/v1/services/Users/scale", `{"replicas": 9}`, 422, `{"error":"9replicas:notbetween1and8"}`, ""},
		{"POST /api/v1/services/Users/scale", `{"replicas": -1}`, 422, `{"error":"-1replicas:notbetween1and8"}`, ""},
		{"POST /api/v1/services/Nobody/scale", `{"replicas": 4}`, 404, `{"error":"Nobody:unknownservice"}`, ""},
		{"DELETE /api/v1/services/Nobody/scale", "", 404, `{"error":"Nobody:unknownservice"}`, ""},
	} {
		g := &fakeGateway{snapshot: status.Snapshot{Version: "v0.1"}}
		w := ask(NewHandler(Config{Loopback: true, Metrics: http.HandlerFunc(metrics)}, g), tt.request, tt.body)
		got := strings.Join(strings.Fields(w.Body.String()), "")
		if w.Code != tt.status || !strings.Contains(got, tt.want) || strings.Join(g.did, ",") != tt.did {
			t.Errorf("%s %s: %d %s, did %q; want %d %s, %q", tt.request, tt.body, w.Code, got, g.did, tt.status, tt.want, tt.did)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self';") {
			t.Errorf("%s: Content-Security-Policy is %q", tt.request, csp)
		}
	}
}

// A path that is there with another method is 405, and Allow says which it has. Nothing is changed by a GET.
func TestMethodNotAllowed(t *testing.T) {
	g := &fakeGateway{}
	h := NewHandler(Config{Loopback: true}, g)
	for request, allow := range map[string]string{
		"GET /api/v1/reload":                "POST",
		"HEAD /api/v1/drain":                "POST",
		"POST /api/v1/cache":                "DELETE, GET",
		"GET /api/v1/cache/get":             "POST",
		"GET /api/v1/services/Users/scale":  "DELETE, POST",
		"PUT /api/v1/services/Users/scale":  "DELETE, POST",
		"OPTIONS /api/v1/reload":            "POST",
		"POST /api/v1/snapshot":             "GET",
		"POST /livez":                       "GET",
		"DELETE /":                          "GET",
		"GET /api/v1/services/Nobody/scale": "DELETE, POST",
	} {
		if w := ask(h, request, ""); w.Code != 405 || w.Header().Get("Allow") != allow {
			t.Errorf("%s: %d, Allow %q; want 405, %q", request, w.Code, w.Header().Get("Allow"), allow)
		}
	}
	if len(g.did) > 0 {
		t.Errorf("did %q", g.did)
	}
}

// The body of a change is one JSON value, with known keys, of a bounded size; else nothing is changed and the answer says what is wrong.
func TestStrictBody(t *testing.T) {
	const spaces = 1<<20 + 1
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"empty", ``, 400, "body: empty"},
		{"not JSON", `replicas=4`, 400, "body: invalid character"},
		{"cut", `{"replicas": 4`, 400, "body: unexpected EOF"},
		{"no key", `{}`, 400, `\"replicas\" is missing`},
		{"null", `null`, 400, `\"replicas\" is missing`},
		{"a key too many", `{"replicas": 4, "force": true}`, 400, `unknown field \"force\"`},
		{"a fraction", `{"replicas": 4.5}`, 400, "cannot unmarshal number 4.5"},
		{"a text", `{"replicas": "4"}`, 400, "cannot unmarshal string"},
		{"two values", `{"replicas": 4}{"replicas": 5}`, 400, "more than one value"},
		{"something after", `{"replicas": 4} x`, 400, "more than one value"},
		{"too large before", strings.Repeat(" ", spaces) + `{"replicas": 4}`, 413, "more than 1048576 bytes"},
		{"too large after", `{"replicas": 4}` + strings.Repeat(" ", spaces), 413, "more than 1048576 bytes"},
	} {
		g := &fakeGateway{}
		w := ask(NewHandler(Config{Loopback: true}, g), "POST /api/v1/services/Users/scale", tt.body)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || len(g.did) > 0 {
			t.Errorf("%s: %d %s, did %q", tt.name, w.Code, w.Body, g.did)
		}
	}
}

// Probes say in plain text how it stands, with the reasons; those of a ready gateway are shown on demand.
func TestProbes(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		gateway       fakeGateway
		status        int
		want          string
	}{
		{"not live", "GET /livez", fakeGateway{notLive: errors.New("loop stuck for 30s")}, 503, "not live\n- loop stuck for 30s\n"},
		{"not ready", "GET /readyz", fakeGateway{notReady: true, reasons: []string{"draining", "b"}}, 503, "not ready\n- draining\n- b\n"},
		{"ready", "GET /readyz", fakeGateway{reasons: []string{"Reports: no endpoint is up"}}, 200, "ready\n"},
		{"verbose", "GET /readyz?verbose", fakeGateway{reasons: []string{"Reports: no endpoint is up"}}, 200, "ready\n- Reports: no endpoint is up\n"},
		{"one service", "GET /readyz?service=Users", fakeGateway{}, 200, "ready\n"},
		{"no such service", "GET /readyz?service=X", fakeGateway{}, 503, "not ready\n- X: unknown service\n"},
	} {
		w := ask(NewHandler(Config{ReadOnly: true}, &tt.gateway), tt.request, "")
		if w.Code != tt.status || w.Body.String() != tt.want || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %q", tt.name, w.Code, w.Body)
		}
	}
}

// The health listener has the probes and nothing else, from anywhere, whatever the token.
func TestReadOnly(t *testing.T) {
	g := &fakeGateway{}
	h := NewHandler(Config{ReadOnly: true, Token: fixed("secret"), Metrics: http.HandlerFunc(metrics)}, g)
	for request, status := range map[string]int{
		"GET /livez": 200, "GET /readyz": 200, "GET /metrics": 200, "POST /readyz": 405,
		"GET /": 404, "GET /ui/app.js": 404, "GET /api/v1/snapshot": 404, "POST /api/v1/reload": 404,
		"POST /api/v1/services/Users/scale": 404, "DELETE /api/v1/cache": 404,
	} {
		if w := ask(h, request, "", "Host: gateway.example:9902", "Authorization: Bearer secret"); w.Code != status {
			t.Errorf("%s: %d, want %d", request, w.Code, status)
		}
	}
	if len(g.did) > 0 {
		t.Errorf("did %q", g.did)
	}
}

// What goes wrong inside the gateway reaches the asker as a status and a text.
func TestGatewayErrors(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		gateway       fakeGateway
		status        int
		want          string
	}{
		{"reload refused", "POST /api/v1/reload", fakeGateway{reloadErr: errors.New("t.yaml:3:1: services: unknown key")}, 422, "t.yaml:3:1"},
		{"drain failed", "POST /api/v1/drain", fakeGateway{drainErr: errors.New("drains already")}, 500, "drains already"},
		{"snapshot that is no JSON", "GET /api/v1/snapshot", fakeGateway{snapshot: status.Totals{P50Seconds: math.NaN()}}, 500, "unsupported value"},
	} {
		w := ask(NewHandler(Config{Loopback: true}, &tt.gateway), tt.request, "")
		var answer struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != tt.status || !strings.Contains(answer.Error, tt.want) {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
}

// A change that has begun is not broken off because the asker goes away; a reload is bounded, a drain bounds itself.
func TestChangeOutlivesAsker(t *testing.T) {
	for path, bounded := range map[string]bool{"/api/v1/reload": true, "/api/v1/drain": false} {
		g := &fakeGateway{}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := httptest.NewRequestWithContext(ctx, "POST", path, nil)
		r.Host = "localhost"
		NewHandler(Config{Loopback: true}, g).ServeHTTP(httptest.NewRecorder(), r)
		if len(g.did) != 1 || g.ctxErr != nil || g.bounded != bounded {
			t.Errorf("%s: did %q, context error %v, bounded %v", path, g.did, g.ctxErr, g.bounded)
		}
	}
}

// audited sends a request and returns the audit line that it leaves.
func audited(request, body, header string) string {
	var out bytes.Buffer
	audit := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}}))
	ask(NewHandler(Config{Token: fixed("s3cret"), Audit: audit}, &fakeGateway{}), request, body, header)
	return strings.TrimSpace(out.String())
}

// Every change leaves one audit line, done, failed or refused: who, what, outcome, and no secret. Reading leaves none.
func TestAudit(t *testing.T) {
	for _, tt := range []struct {
		request, body, header, want string
	}{
		{"POST /api/v1/services/Users/scale", `{"replicas": 4}`, "Authorization: Bearer s3cret",
			`action=scale outcome=done status=200 remote=192.0.2.1:1234 by=token service=Users replicas=4`},
		{"POST /api/v1/services/Users/scale", `{"replicas": 9}`, "Authorization: Bearer s3cret",
			`action=scale outcome=failed status=422 remote=192.0.2.1:1234 by=token service=Users replicas=9 error="9 replicas: not between 1 and 8"`},
		{"POST /api/v1/drain", ``, "Authorization: Bearer s3cret", `action=drain outcome=done status=200 remote=192.0.2.1:1234 by=token`},
		{"POST /api/v1/reload", ``, "Authorization: Bearer s3cret2",
			`action="POST /api/v1/reload" outcome="refused: the token is missing or wrong" status=401 remote=192.0.2.1:1234 by="wrong token"`},
		{"GET /api/v1/snapshot", ``, "Authorization: Bearer s3cret", ``},
	} {
		if got := audited(tt.request, tt.body, tt.header); got != tt.want || strings.Contains(got, "s3cret") {
			t.Errorf("%s:\n%s\nwant\n%s", tt.request, got, tt.want)
		}
	}
}

// The snapshot's keys are the documented ones.
func TestSnapshotJSON(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	got, err := json.Marshal(status.Snapshot{
		Config: status.ConfigInfo{LoadedAt: at, Stale: []string{"Users"}}, Listeners: []status.Listener{{}}, Replicas: []status.Replica{{Since: at}},
		Certificates: []status.Certificate{{NotAfter: at, Read: at}},
		Services: []status.Service{{
			Stack: []status.Layer{{}}, Methods: []status.Method{{}}, Breaker: &status.Breaker{Open: []status.Broken{{Names: []string{"web"}, Since: at, Next: at}}},
		}},
		Clusters: []status.Cluster{{Endpoints: []status.Endpoint{{Address: "a"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":"","config":{"path":"","hash":"","loaded_at":"2026-03-01T12:00:00Z","stale":["Users"]},"uptime_seconds":0,"draining":false,` +
		`"listeners":[{"address":"","services":null,"connections":0}],` +
		`"services":[{"name":"","idl_service":"","idl_fingerprint":"","stack":[{"name":"","why":""}],"unknown_methods":"","upstream":"",` +
		`"methods":[{"name":"","calls":0,"errors":0,"in_flight":0,"p50_seconds":0,"p99_seconds":0,"timeout_seconds":0,"idempotent":false,"upstream":"","priority":"","max_in_flight":0,"limits":null,"allow":null}],` +
		`"breaker":{"refused":0,"open":[{"method":"","callers":0,"names":["web"],"since":"2026-03-01T12:00:00Z","next":"2026-03-01T12:00:00Z"}]}}],` +
		`"clusters":[{"name":"","queue_calls":0,"queue_max":0,"refused":0,"leased":false,"viewed":false,"overloaded":false,"target_seconds":0,"shed":null,` +
		`"endpoints":[{"name":"","address":"a","state":"","slots":0,"slots_learned":false,"leased_slots":0,"in_flight":0,"others":0,"zombies":0,` +
		`"connections":0,"calls":0,"failures":0,"last_error_code":"","p50_seconds":0,"p99_seconds":0,` +
		`"learned_idle_seconds":0,"learned_age_seconds":0}]}],` +
		`"replicas":[{"service":"","name":"","pid":0,"state":"","restarts":0,"since":"2026-03-01T12:00:00Z","last_exit":"","last_output":null}],` +
		`"totals":{"calls":0,"errors":0,"in_flight":0,"queue":0,"calls_per_second":0,"p50_seconds":0,"p99_seconds":0},` +
		`"certificates":[{"file":"","ca":false,"names":null,"not_after":"2026-03-01T12:00:00Z","read":"2026-03-01T12:00:00Z"}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
