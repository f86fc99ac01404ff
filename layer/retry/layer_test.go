package retry

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
	"github.com/thriftloom/thriftloom/schema"
)

// script answers the attempts of a call in turn; after its end, with a reply.
type script struct {
	errors []*rpc.Error
	avoids []string
}

func (s *script) Handle(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
	s.avoids = append(s.avoids, call.Avoid)
	if n := len(s.avoids); n <= len(s.errors) {
		return nil, s.errors[n-1]
	}
	return &rpc.Reply{}, nil
}

func fail(reach rpc.Reach, o rpc.Outcome) *rpc.Error {
	return &rpc.Error{Code: rpc.Unavailable, Reach: reach, Outcome: o, Endpoint: "users-1"}
}

func times(n int, e *rpc.Error) (all []*rpc.Error) {
	for range n {
		all = append(all, e)
	}
	return all
}

// A call that was not sent is always tried again, one whose fate is unknown if its method is idempotent, one that was answered never; all
// within the attempts.
func TestWhatIsTriedAgain(t *testing.T) {
	full := &rpc.Error{Code: rpc.ResourceExhausted, Reach: rpc.NotSent} // no attempt was made
	late := &rpc.Error{Code: rpc.DeadlineExceeded, Reach: rpc.Unknown, Outcome: rpc.ReplyTimeout}
	tests := []struct {
		name       string
		attempts   int
		idempotent bool
		errors     []*rpc.Error
		want       int // attempts that are made
		ok         bool
	}{
		{"not sent", 3, false, times(2, fail(rpc.NotSent, rpc.Refused)), 3, true},
		{"not sent, again and again", 3, false, times(99, fail(rpc.NotSent, rpc.Refused)), maxUnsent, false},
		{"not served by a gateway, again and again", 3, false, times(99, fail(rpc.NotSent, rpc.NotServed)), 3, false},
		{"unknown, idempotent", 3, true, times(2, fail(rpc.Unknown, rpc.ClosedNoReply)), 3, true},
		{"unknown, idempotent, beyond the attempts", 3, true, times(3, fail(rpc.Unknown, rpc.ClosedNoReply)), 3, false},
		{"unknown, not idempotent", 3, false, times(1, fail(rpc.Unknown, rpc.ClosedNoReply)), 1, false},
		{"answered", 3, true, times(1, fail(rpc.Answered, rpc.AppException)), 1, false},
		{"queue full", 3, true, times(1, full), 1, false},
		{"timed out", 3, true, times(1, late), 1, false},
		{"one attempt only", 1, true, times(1, fail(rpc.NotSent, rpc.Refused)), 1, false},
		{"unknown, then not sent, then answered well", 2, true, []*rpc.Error{fail(rpc.Unknown, rpc.WriteCut), fail(rpc.NotSent, rpc.Refused)}, 3, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{errors: tt.errors}
			h := Layer(rpc.PerMethod[Policy]{Other: Policy{Attempts: tt.attempts, Idempotent: tt.idempotent}}).Wrap(s)
			_, err := h.Handle(t.Context(), &rpc.Call{})
			if len(s.avoids) != tt.want || (err == nil) != tt.ok {
				t.Errorf("%d attempts, error %v; want %d, success %v", len(s.avoids), err, tt.want, tt.ok)
			}
		})
	}
}

// Where a try before may have been processed, the error of one that was not sent does not say that nothing was.
func TestErrorIsOfAllTries(t *testing.T) {
	for _, tt := range []struct {
		name   string
		errors []*rpc.Error
		want   rpc.Reach
	}{
		{"not sent", times(99, fail(rpc.NotSent, rpc.Refused)), rpc.NotSent},
		{"unknown", times(99, fail(rpc.Unknown, rpc.ClosedNoReply)), rpc.Unknown},
		{"unknown, then not sent", append(times(1, fail(rpc.Unknown, rpc.ClosedNoReply)), times(99, fail(rpc.NotSent, rpc.Refused))...), rpc.Unknown},
		{"unknown, then no slot", []*rpc.Error{fail(rpc.Unknown, rpc.ClosedNoReply), {Code: rpc.Unavailable, Reach: rpc.NotSent}}, rpc.Unknown},
	} {
		_, err := Layer(rpc.PerMethod[Policy]{Other: Policy{Attempts: 3, Idempotent: true}}).Wrap(&script{errors: tt.errors}).Handle(t.Context(), &rpc.Call{})
		if e := rpc.AsError(err, ""); e == nil || e.Reach != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// The next attempt avoids the endpoint that failed; the caller's own call is not changed.
func TestAvoidsTheFailedEndpoint(t *testing.T) {
	s := &script{errors: times(1, fail(rpc.NotSent, rpc.Refused))}
	call := &rpc.Call{}
	_, _ = Layer(rpc.PerMethod[Policy]{Other: Policy{Attempts: 3}}).Wrap(s).Handle(t.Context(), call)
	if got := fmt.Sprint(s.avoids); got != "[ users-1]" || call.Avoid != "" {
		t.Errorf("attempts avoided %v, the call itself avoids %q", got, call.Avoid)
	}
}

// Nothing is tried after the deadline, or when the caller has gone.
func TestStopsWhenTheCallIsOver(t *testing.T) {
	policy := rpc.PerMethod[Policy]{Other: Policy{Attempts: 3}}
	s := &script{errors: times(5, fail(rpc.NotSent, rpc.Refused))}
	_, _ = Layer(policy).Wrap(s).Handle(t.Context(), &rpc.Call{Deadline: time.Now().Add(-time.Second)})
	if len(s.avoids) != 1 {
		t.Errorf("%d attempts after the deadline", len(s.avoids))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s = &script{errors: times(5, fail(rpc.NotSent, rpc.Refused))}
	_, _ = Layer(policy).Wrap(s).Handle(gone, &rpc.Call{})
	if len(s.avoids) != 1 {
		t.Errorf("%d attempts after the caller has gone", len(s.avoids))
	}
}

// Each method has its own policy.
func TestPolicyByMethod(t *testing.T) {
	p := rpc.PerMethod[Policy]{Methods: []Policy{{Attempts: 1}, {Attempts: 3, Idempotent: true}}, Other: Policy{Attempts: 2, Idempotent: true}}
	for index, want := range map[int]int{0: 1, 1: 3, -1: 2} {
		s := &script{errors: times(9, fail(rpc.Unknown, rpc.ClosedNoReply))}
		call := &rpc.Call{}
		if index >= 0 {
			call.Method = &schema.Method{Index: index}
		}
		_, _ = Layer(p).Wrap(s).Handle(t.Context(), call)
		if len(s.avoids) != want {
			t.Errorf("method %d: %d attempts, want %d", index, len(s.avoids), want)
		}
	}
}

// empty returns a budget without a try in it.
func empty() *budget.Budget {
	b := new(budget.Budget)
	for b.Take(time.Now()) { //nolint:revive // until there is none
	}
	return b
}

// A call that may have been processed is not tried again without a budget; one that was not sent is, since nobody has to work for it.
func TestTriesAreTakenFromTheBudget(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reach rpc.Reach
		want  int
	}{{"unknown", rpc.Unknown, 1}, {"not sent", rpc.NotSent, 1 + 2}} {
		t.Run(tt.name, func(t *testing.T) {
			b := empty()
			s := &script{errors: times(2, fail(tt.reach, rpc.Refused))}
			_, err := Layer(rpc.PerMethod[Policy]{Other: Policy{Attempts: 3, Idempotent: true, Budget: b}}).Wrap(s).Handle(t.Context(), &rpc.Call{})
			if len(s.avoids) != tt.want || (err == nil) != (tt.want > 1) {
				t.Errorf("%d attempts, error %v; want %d", len(s.avoids), err, tt.want)
			}
		})
	}
}
