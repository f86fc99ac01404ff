package thriftloom

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
)

// Endpoint is one server, where more than its address is to be said: its name, slots, weight, zone and labels.
type Endpoint = rpc.Endpoint

// A Resolver knows where servers are, and when that changes.
//
// Run calls update with all servers there are, at first and whenever others are there, until ctx ends; it returns when all that it started
// has. What update was given last holds until it is called again, also when Run fails. update may be called from any goroutine; it does
// not wait for calls: those in flight to a server that is gone go on, and those that wait for a slot find another one.
type Resolver interface {
	Run(ctx context.Context, update func([]Endpoint)) error
}

// found is what a resolver has come to so far.
type found struct {
	once   sync.Once
	some   chan struct{}         // closed when it has given a set, or will give none
	failed atomic.Pointer[error] // why it will give no other; nil while it runs
}

// resolve runs the resolver until ctx ends.
func (c *Client) resolve(ctx context.Context, r Resolver) {
	err := r.Run(ctx, func(endpoints []Endpoint) {
		c.cluster.Update(slices.Clone(endpoints))
		c.found.once.Do(func() { close(c.found.some) })
	})
	if err != nil && ctx.Err() == nil {
		c.found.failed.Store(&err)
	}
	c.found.once.Do(func() { close(c.found.some) }) // nobody waits for what does not come
}

// awaiting has calls wait until the resolver has given a set: within their deadlines and the bounds of the cluster's queue.
type awaiting struct {
	found *found
	name  string
	queue cluster.QueueConfig
	calls *atomic.Int64
	to    rpc.Handler
}

// Handle hands the call on once there is a set. Where the resolver has failed before it gave one, the error says why.
func (a awaiting) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	select {
	case <-a.found.some:
	default:
		if err := a.wait(ctx, call); err != nil {
			return nil, err
		}
	}
	reply, err := a.to.Handle(ctx, call)
	if why := a.found.failed.Load(); err != nil && why != nil {
		if e := rpc.AsError(err, a.name); e.Code == rpc.Unavailable && e.Outcome == 0 && e.Err == nil {
			e.Err = *why
		}
	}
	return reply, err
}

func (a awaiting) wait(ctx context.Context, call *rpc.Call) error {
	refused := func(code rpc.Code, text string) error {
		return &rpc.Error{Code: code, Reach: rpc.NotSent, Op: "upstream " + a.name, Text: text}
	}
	defer a.calls.Add(-1)
	if a.calls.Add(1) > int64(a.queue.MaxCalls) {
		return refused(rpc.ResourceExhausted, "the resolver has found no server yet, and the queue is full")
	}
	longest, code := a.queue.MaxWait, rpc.ResourceExhausted
	if left, ok := call.Remaining(time.Now()); ok && left < longest {
		longest, code = left, rpc.DeadlineExceeded
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-a.found.some:
		return nil
	case <-timer.C:
		return refused(code, "the resolver has found no server yet")
	case <-ctx.Done():
		return refused(rpc.Cancelled, "the caller has gone")
	}
}
