package priority

import (
	"context"
	"testing"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
)

// A call has the class of its method; a header lowers it, and never raises it. The caller's own call is not changed.
func TestClass(t *testing.T) {
	svc := schema.MustParse("service S { void pay(), void list() }").Service("S")
	l := Layer(rpc.PerMethod[Policy]{
		Methods: []Policy{Config{Class: "critical", Header: "x-priority"}.Policy(), Config{Class: "batch", Header: "x-priority"}.Policy()},
		Other:   Config{Class: "background"}.Policy(),
	})
	for _, tt := range []struct {
		method, header string
		want           rpc.Priority
	}{
		{"pay", "", rpc.Critical}, {"pay", "batch", rpc.Batch}, {"pay", "background", rpc.Background}, {"pay", "probe", rpc.Critical},
		{"pay", "nonsense", rpc.Critical}, {"list", "", rpc.Batch}, {"list", "critical", rpc.Batch}, {"list", "background", rpc.Background},
		{"", "critical", rpc.Background},
	} {
		var got rpc.Priority
		h := l.Wrap(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			got = c.Priority
			return &rpc.Reply{}, nil
		}))
		call := &rpc.Call{Method: svc.Method(tt.method), Headers: []transport.KV{{Key: "X-Priority", Value: tt.header}}}
		_, _ = h.Handle(t.Context(), call)
		if got != tt.want || call.Priority != rpc.Normal {
			t.Errorf("%s with %q is %v, want %v; the caller's own is %v", tt.method, tt.header, got, tt.want, call.Priority)
		}
	}
}

// A call that is below normal already, such as a reply that is loaded ahead of time, is not raised by its method.
func TestKeepsALowerClass(t *testing.T) {
	svc := schema.MustParse("service S { void pay(), void list() }").Service("S")
	l := Layer(rpc.PerMethod[Policy]{Methods: []Policy{Config{Class: "critical"}.Policy(), Config{Class: "background"}.Policy()}})
	for name, want := range map[string]rpc.Priority{"pay": rpc.Batch, "list": rpc.Background} {
		h := l.Wrap(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if c.Priority != want {
				t.Errorf("%s is %v, want %v", name, c.Priority, want)
			}
			return &rpc.Reply{}, nil
		}))
		_, _ = h.Handle(t.Context(), &rpc.Call{Method: svc.Method(name), Priority: rpc.Batch})
	}
}

// Where no method has a class, nothing stands between.
func TestNoClass(t *testing.T) {
	next := rpc.HandlerFunc(nil)
	if h, ok := Layer(rpc.PerMethod[Policy]{Other: Default().Policy()}).Wrap(next).(rpc.HandlerFunc); !ok || h != nil {
		t.Error("the layer is in the way")
	}
}
