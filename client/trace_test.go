package client

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
)

// Trace context in a tracked call's meta is a transport header too; a header that came by itself stays, and all else in meta is none.
func TestTraceContextOfMeta(t *testing.T) {
	call := &rpc.Call{
		Headers:  append(make([]transport.KV, 0, 8), transport.KV{Key: "TraceState", Value: "own"}, transport.KV{Key: "x", Value: "y"}),
		Tracking: &tracking.Header{Meta: map[string]string{"traceparent": "00-1", "tracestate": "meta", "secret": "z"}},
	}
	want := []transport.KV{{Key: "TraceState", Value: "own"}, {Key: "x", Value: "y"}, {Key: "traceparent", Value: "00-1"}}
	if d := cmp.Diff(want, headers(call)); d != "" {
		t.Error(d)
	}
	if call.Headers[:3][2] != (transport.KV{}) {
		t.Error("the call's own headers were written behind")
	}
	if d := cmp.Diff(map[string]string{"tracestate": "own"}, traceMeta(call.Headers)); d != "" {
		t.Error(d)
	}
}
