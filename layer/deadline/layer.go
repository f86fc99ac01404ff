// Package deadline gives each call its deadline.
package deadline

import (
	"context"

	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Layer bounds calls by their method's timeout, counted from when the whole request had come. An earlier deadline stays. A call whose
// time is over is refused; one that is under way is ended by whoever waits for it.
func Layer(timeouts rpc.PerMethod[time.Duration]) rpc.Layer {
	return rpc.Layer{
		Name: "deadline",
		Why:  "above retry: one budget of time for all attempts",
		Wrap: func(next rpc.Handler) rpc.Handler {
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				at := call.Start.Add(*timeouts.For(call))
				switch {
				case !call.Deadline.IsZero() && !at.Before(call.Deadline):
				case call.Record.Owns(call):
					call.Deadline = at
				default:
					bounded := *call
					bounded.Deadline = at
					call = &bounded
				}
				if left, _ := call.Remaining(time.Now()); left <= 0 {
					return nil, &rpc.Error{Code: rpc.DeadlineExceeded, Reach: rpc.NotSent, Op: call.Service + "." + call.Name, Text: "its time was over before it began"}
				}
				return next.Handle(ctx, call)
			})
		},
	}
}
