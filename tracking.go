package thriftloom

import (
	"context"

	"github.com/thriftloom/thriftloom/bind"
)

// Tracking is what ThriftPy's contrib.tracking says of the call that a handler answers, and what the handler says back.
type Tracking = bind.Tracking

// TrackingFrom returns the tracking of the call that ctx, a handler's, belongs to; nil where it came without. Calls made with ctx by a
// client whose ClientConfig.Tracking is set go on with the chain.
func TrackingFrom(ctx context.Context) *Tracking { return bind.TrackingFrom(ctx) }

// WithMeta returns a context whose calls send meta along to servers that track, besides what ctx has.
func WithMeta(ctx context.Context, meta map[string]string) context.Context {
	return bind.WithMeta(ctx, meta)
}
