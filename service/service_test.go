package service

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The layers stand in their order, each with its reason.
func TestStackOrder(t *testing.T) {
	s := New(Config{Name: "Users"})
	var names []string
	for _, l := range s.Stack() {
		names = append(names, l.Name)
		if l.Why == "" {
			t.Errorf("%s has no reason", l.Name)
		}
	}
	if got := strings.Join(names, " "); got != "observe translate authz required deadline cache priority limit faults breaker mirror affinity subset retry hedge canary" {
		t.Errorf("the stack is %q", got)
	}
}

// Each method goes to its own upstream, with its own timeout and attempts; a method that the IDL does not have has those of the service.
func TestPoliciesByMethod(t *testing.T) {
	svc := schema.MustParse("service Users { void ping(), void report() }").Service("Users")
	var got []string
	upstream := func(name string, fails int) rpc.Handler {
		return rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			got = append(got, name+" "+c.Deadline.Sub(c.Start).String())
			if fails--; fails >= 0 {
				return nil, &rpc.Error{Code: rpc.Unavailable, Reach: rpc.Unknown, Outcome: rpc.ClosedNoReply}
			}
			return &rpc.Reply{}, nil
		})
	}
	s := New(Config{Name: "Users", Schema: svc, Policies: rpc.PerMethod[Policy]{
		Methods: []Policy{
			{Timeout: time.Second, Retry: retry.Config{Attempts: 3}, Idempotent: true, Upstream: upstream("users", 2)},
			{Timeout: time.Minute, Retry: retry.Config{Attempts: 3}, Upstream: upstream("reports", 2)},
		},
		Other: Policy{Timeout: time.Hour, Upstream: upstream("other", 0)},
	}})
	for _, tt := range []struct {
		method *schema.Method
		want   string
		ok     bool
	}{
		{svc.Method("ping"), "users 1s, users 1s, users 1s", true},
		{svc.Method("report"), "reports 1m0s", false},
		{nil, "other 1h0m0s", true},
	} {
		got = nil
		_, err := s.Handle(t.Context(), &rpc.Call{Service: "Users", Method: tt.method, Start: time.Now()})
		if strings.Join(got, ", ") != tt.want || (err == nil) != tt.ok {
			t.Errorf("went to %q, error %v; want %q", got, err, tt.want)
		}
	}
}
