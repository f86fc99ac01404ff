package bind

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/tracking"
)

// Tracking is what ThriftPy's contrib.tracking says of the call that a handler answers, and what the handler says back. Calls that are
// made with the handler's context go on with its chain. Safe for concurrent use.
type Tracking struct {
	header *tracking.Header
	calls  atomic.Int64 // that were made on its behalf

	mu   sync.Mutex
	meta map[string]string // for the caller; a new one at each change
}

type (
	trackingKey struct{}
	metaKey     struct{}
)

// TrackingFrom returns the tracking of the call that ctx belongs to; nil where it came without.
func TrackingFrom(ctx context.Context) *Tracking {
	t, _ := ctx.Value(trackingKey{}).(*Tracking)
	return t
}

// RequestID names the whole chain of calls.
func (t *Tracking) RequestID() string { return t.header.RequestID }

// Seq is the call's place in the chain: "1", its second call "1.2".
func (t *Tracking) Seq() string { return t.header.Seq }

// Meta returns a copy of what the callers before sent along.
func (t *Tracking) Meta() map[string]string { return maps.Clone(t.header.Meta) }

// AddReplyMeta sends a value back with the reply, to a caller that takes one (level 2). An exception that the IDL does not declare has none.
func (t *Tracking) AddReplyMeta(key, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[string]string, len(t.meta)+1)
	maps.Copy(next, t.meta)
	next[key] = value
	t.meta = next
}

func (t *Tracking) replyMeta() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.meta
}

// WithMeta returns a context whose calls send meta along, besides what ctx has: to servers that track, and those that they call.
func WithMeta(ctx context.Context, meta map[string]string) context.Context {
	all := map[string]string{}
	if before, ok := ctx.Value(metaKey{}).(map[string]string); ok {
		maps.Copy(all, before)
	}
	maps.Copy(all, meta)
	return context.WithValue(ctx, metaKey{}, all)
}

// tracked returns the context of a handler.
func tracked(ctx context.Context, call *rpc.Call) context.Context {
	if call.Tracking == nil {
		return ctx
	}
	return context.WithValue(ctx, trackingKey{}, &Tracking{header: call.Tracking})
}

// withMeta adds to a reply what the handler sends back.
func withMeta(ctx context.Context, reply *rpc.Reply, err error) (*rpc.Reply, error) {
	if t := TrackingFrom(ctx); t != nil && reply != nil {
		reply.Meta = t.replyMeta()
	}
	return reply, err
}

// track makes a call a link of the chain that ctx belongs to, or the first of one where ctx has meta for it.
func track(ctx context.Context, call *rpc.Call) {
	meta, _ := ctx.Value(metaKey{}).(map[string]string)
	switch t := TrackingFrom(ctx); {
	case t != nil:
		call.Tracking = t.header.Child(int(t.calls.Add(1)), "", meta)
	case meta != nil:
		call.Tracking = (*tracking.Header)(nil).Child(1, call.ID.String(), meta)
	}
}
