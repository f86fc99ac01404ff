package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/tracking"
)

var doc = schema.MustParse(`
	exception NotFound { 1: string why }
	service Users { string getUser(1: string secret) throws (1: NotFound missing) }
`)

func call() *rpc.Call {
	return &rpc.Call{
		ID: 0xabc, Service: "Users", Name: "getUser", Method: doc.Service("Users").Method("getUser"), Body: []byte("the secret argument"),
		Start: time.Now(), Caller: rpc.Caller{Name: "web", Address: "10.0.0.1:5"},
	}
}

// answering is a handler that makes one attempt and answers so.
func answering(reply *rpc.Reply, err *rpc.Error) rpc.Handler {
	return rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		c.Record.Add(rpc.Attempt{Cluster: "Users", Endpoint: "users-1", Outcome: rpc.OutcomeOf(reply, err), Err: err, Took: time.Millisecond})
		if err != nil {
			return nil, err
		}
		return reply, nil
	})
}

// A declared exception is OK with its type; an error has its code; each call and each attempt is counted once, a caller by its name.
func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	m := NewMetrics(r)
	for _, h := range []rpc.Handler{
		answering(&rpc.Reply{Body: []byte("12345")}, nil),
		answering(&rpc.Reply{Exception: 1}, nil),
		answering(nil, &rpc.Error{Code: rpc.HandlerFailed, Reach: rpc.Unknown, Outcome: rpc.ClosedNoReply}),
	} {
		_, _ = Layer(m).Wrap(h).Handle(t.Context(), call())
	}
	unknown := call()
	unknown.Method, unknown.Name = nil, "made up by the caller"
	_, _ = Layer(m).Wrap(answering(&rpc.Reply{}, nil)).Handle(t.Context(), unknown)
	got, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range got {
		for _, x := range f.GetMetric() {
			var labels []string
			for _, l := range x.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if x.GetHistogram() != nil {
				lines = append(lines, f.GetName()+" "+strings.Join(labels, " ")+" n="+time.Duration(x.GetHistogram().GetSampleCount()).String())
			}
		}
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"rpc_server_call_duration_seconds error_type= rpc_method=Users/getUser rpc_status_code=OK rpc_system_name=thrift thrift_exception_type= n=1ns",
		"rpc_server_call_duration_seconds error_type= rpc_method=Users/getUser rpc_status_code=OK rpc_system_name=thrift thrift_exception_type=NotFound n=1ns",
		"rpc_server_call_duration_seconds error_type=HANDLER_FAILED rpc_method=Users/getUser rpc_status_code=HANDLER_FAILED rpc_system_name=thrift thrift_exception_type= n=1ns",
		"rpc_server_call_duration_seconds error_type= rpc_method=Users/_OTHER rpc_status_code=OK",
		"rpc_client_call_duration_seconds error_type=HANDLER_FAILED rpc_method=Users/getUser rpc_status_code=HANDLER_FAILED rpc_system_name=thrift thriftloom_outcome=closed_no_reply thriftloom_upstream=Users n=1ns",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(text, "made up") {
		t.Error("a name from the wire became a label")
	}
	if t.Failed() {
		t.Log(text)
	}
	if n := testutil.ToFloat64(m.callers.WithLabelValues("web", "Users")); n != 4 {
		t.Errorf("calls of web: %v", n)
	}
	if n := testutil.ToFloat64(m.inFlight.WithLabelValues("Users")); n != 0 {
		t.Errorf("in flight at the end: %v", n)
	}
}

// A hedge is no retry: it was made though the attempt before had not failed.
func TestHedgesAreNoRetries(t *testing.T) {
	for _, tt := range []struct {
		name     string
		attempts []rpc.Attempt
		want     float64
	}{
		{"the hedge wins", []rpc.Attempt{{Hedge: true, Outcome: rpc.Success}}, 0},
		{"both fail, then a retry", []rpc.Attempt{{Hedge: true, Outcome: rpc.ClosedNoReply}, {Outcome: rpc.ClosedNoReply}, {Outcome: rpc.Success}}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			m := NewMetrics(prometheus.NewRegistry())
			_, _ = Layer(m, NewAccessLog(slog.New(slog.NewJSONHandler(&out, nil)), 1)).Wrap(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
				for _, a := range tt.attempts {
					c.Record.Add(a)
				}
				return &rpc.Reply{}, nil
			})).Handle(t.Context(), call())
			if got := testutil.ToFloat64(m.retries.WithLabelValues("Users/getUser", "closed_no_reply")); got != tt.want {
				t.Errorf("%v retries, want %v", got, tt.want)
			}
			if !strings.Contains(out.String(), `"hedged":true`) {
				t.Errorf("the access log says %s", &out)
			}
		})
	}
}

// An access line is JSON and has no argument; a call that fails is always written, one that succeeds by the sample.
func TestAccessLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	failed := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "upstream Users", Err: errors.New("refused"), Outcome: rpc.Refused}
	_, _ = Layer(NewAccessLog(log, 0)).Wrap(answering(&rpc.Reply{}, nil)).Handle(t.Context(), call())
	if out.Len() != 0 {
		t.Errorf("sample 0 wrote %s", &out)
	}
	_, _ = Layer(NewAccessLog(log, 0)).Wrap(answering(nil, failed)).Handle(t.Context(), call())
	tracked := call()
	tracked.Tracking = &tracking.Header{RequestID: "ri\x1b[2J\nd\xff", Meta: map[string]string{"k": "secret"}}
	_, _ = Layer(NewAccessLog(log, 1)).Wrap(answering(&rpc.Reply{Exception: 1}, nil)).Handle(t.Context(), tracked)
	_, _ = Layer(NewAccessLog(log, 1)).Wrap(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		c.Record.Cache, c.Record.CacheAge = rpc.CacheHit, 1500*time.Millisecond
		return &rpc.Reply{}, nil
	})).Handle(t.Context(), call())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || strings.Contains(out.String(), "secret") {
		t.Fatalf("lines:\n%s", &out)
	}
	for i, want := range []map[string]any{
		{"level": "WARN", "rpc.method": "Users/getUser", "rpc.status_code": "UNAVAILABLE", "outcome": "refused", "reach": "not sent", "endpoint": "users-1", "attempts": 1.0, "call": "0000000000000abc"},
		{"level": "INFO", "rpc.status_code": "OK", "thrift.exception_type": "NotFound", "bytes_in": 19.0, "caller": "web", "client.address": "10.0.0.1:5", "thriftpy.request_id": "ri[2Jd"},
		{"level": "INFO", "cache": "hit", "cache_age_ms": 1500.0},
	} {
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("line %d: %s is %v, want %v", i, k, got[k], v)
			}
		}
	}
}

// Stats count by method and together: calls, errors by code, what is in flight, and the rate over whole seconds.
func TestStats(t *testing.T) {
	s := NewStats()
	for i := range 10 {
		c := call()
		c.Start = time.Unix(int64(100+i%5), 0)
		h := answering(&rpc.Reply{}, nil)
		if i == 3 {
			h = answering(nil, &rpc.Error{Code: rpc.DeadlineExceeded})
		}
		new(rpc.Record).Begin(c, nil)
		reply, err := h.Handle(t.Context(), c)
		s.Begun(c)
		if got := s.Method(rpc.MethodKey{Service: "Users", Method: "getUser"}, time.Unix(105, 0)).InFlight; got != 1 {
			t.Errorf("in flight %d", got)
		}
		c.Record.Finish(time.Duration(i+1)*time.Millisecond, reply, rpc.AsError(err, ""))
		s.Ended(c.Record)
	}
	m, all := s.Method(rpc.MethodKey{Service: "Users", Method: "getUser"}, time.Unix(105, 0)), s.Total(time.Unix(105, 0))
	for _, got := range []MethodStats{m, all} {
		if got.Calls != 10 || got.Errors != 1 || got.InFlight != 0 || got.CallsPerSecond != 2 || got.ErrorsByCode["DEADLINE_EXCEEDED"] != 1 {
			t.Errorf("%+v", got)
		}
		if got.P50 < 5*time.Millisecond || got.P50 > 8*time.Millisecond || got.P99 < 10*time.Millisecond || got.P99 > 13*time.Millisecond {
			t.Errorf("p50 %v, p99 %v", got.P50, got.P99)
		}
	}
	if idle := s.Total(time.Unix(200, 0)); idle.CallsPerSecond != 0 {
		t.Errorf("rate long after: %v", idle.CallsPerSecond)
	}
}
