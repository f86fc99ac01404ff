package deadline

import (
	"context"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// A call gets the timeout of its method, from when its whole request had come; an earlier deadline stays; one that is over is refused.
func TestDeadline(t *testing.T) {
	now := time.Now()
	timeouts := rpc.PerMethod[time.Duration]{Methods: []time.Duration{time.Second}, Other: time.Minute}
	tests := []struct {
		name   string
		method *schema.Method
		start  time.Time
		before time.Time
		want   time.Time // zero: refused
	}{
		{"by method", &schema.Method{Index: 0}, now, time.Time{}, now.Add(time.Second)},
		{"not in the IDL", nil, now, time.Time{}, now.Add(time.Minute)},
		{"earlier deadline stays", nil, now, now.Add(5 * time.Second), now.Add(5 * time.Second)},
		{"later deadline does not", nil, now, now.Add(time.Hour), now.Add(time.Minute)},
		{"over before it began", nil, now.Add(-2 * time.Minute), time.Time{}, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got time.Time
			h := Layer(timeouts).Wrap(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
				got = c.Deadline
				return &rpc.Reply{}, nil
			}))
			call := &rpc.Call{Method: tt.method, Start: tt.start, Deadline: tt.before}
			_, err := h.Handle(t.Context(), call)
			if !got.Equal(tt.want) {
				t.Errorf("deadline %v, want %v", got, tt.want)
			}
			if e := rpc.AsError(err, ""); tt.want.IsZero() && (e == nil || e.Code != rpc.DeadlineExceeded || e.Reach != rpc.NotSent) {
				t.Errorf("error %v", err)
			}
			if !call.Deadline.Equal(tt.before) {
				t.Error("the caller's own call was changed")
			}
		})
	}
}
