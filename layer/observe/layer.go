// Package observe sees every call once: it owns the record, and hands it to the sinks when the call has ended.
package observe

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// A Sink takes finished records: metrics, the access log, the numbers of the snapshot.
//
// Its methods are called on the call's own path and must be quick; they must not keep or change the record. Safe for concurrent use.
type Sink interface {
	// Begun is called before the call goes on.
	Begun(call *rpc.Call)
	// Ended is called once for each Begun.
	Ended(r *rpc.Record)
	// Late is called for an attempt that ended after its call did.
	Late(call *rpc.Call, a rpc.Attempt)
}

// Layer makes a record of each call.
func Layer(sinks ...Sink) rpc.Layer {
	late := func(call *rpc.Call, a rpc.Attempt) {
		for _, s := range sinks {
			s.Late(call, a)
		}
	}
	return rpc.Layer{
		Name: "observe",
		Why:  "outermost: refused calls are counted too",
		Wrap: func(next rpc.Handler) rpc.Handler {
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				seen := &struct {
					call   rpc.Call
					record rpc.Record
				}{call: *call}
				seen.record.Begin(&seen.call, late)
				for _, s := range sinks {
					s.Begun(&seen.call)
				}
				reply, err := next.Handle(ctx, &seen.call)
				e := rpc.AsError(err, call.Service)
				seen.record.Finish(time.Since(call.Start), reply, e)
				for _, s := range sinks {
					s.Ended(&seen.record)
				}
				if e != nil {
					return nil, e
				}
				return reply, nil
			})
		},
	}
}
