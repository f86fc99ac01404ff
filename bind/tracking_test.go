package bind_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/bind"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/wire"
)

// hop is the service whose ping calls another one twice.
type hop struct {
	users
	next *calls
}

func (h *hop) Ping(ctx context.Context) error {
	bind.TrackingFrom(ctx).AddReplyMeta("by", "hop")
	bind.TrackingFrom(ctx).AddReplyMeta("and", "more")
	if err := h.next.Ping(ctx); err != nil {
		return err
	}
	return h.next.Ping(bind.WithMeta(bind.WithMeta(ctx, map[string]string{"b": "2", "c": "2"}), map[string]string{"c": "3"}))
}

// Calls made with a handler's context go on with the chain that its call belongs to; what it says back goes with its reply.
func TestTrackedChain(t *testing.T) {
	var sent []*tracking.Header
	svc := doc.Service("Users")
	h := &hop{next: new(calls)}
	note := rpc.HandlerFunc(func(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
		sent = append(sent, call.Tracking)
		return &rpc.Reply{Protocol: call.Protocol, Body: []byte{0}}, nil
	})
	if err := bind.Client(svc, note, h.next); err != nil {
		t.Fatal(err)
	}
	s, err := bind.Server(svc, h)
	if err != nil {
		t.Fatal(err)
	}
	came := &tracking.Header{RequestID: "rid", Seq: "1.3", Meta: map[string]string{"a": "1"}}
	reply, err := s.Handle(t.Context(), &rpc.Call{Method: svc.Method("ping"), Name: "ping", Protocol: wire.Binary, Body: []byte{0}, Tracking: came})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"by": "hop", "and": "more"}, reply.Meta); d != "" {
		t.Errorf("the reply's meta: %s", d)
	}
	want := []*tracking.Header{
		{RequestID: "rid", Seq: "1.3.1", Meta: map[string]string{"a": "1"}},
		{RequestID: "rid", Seq: "1.3.2", Meta: map[string]string{"a": "1", "b": "2", "c": "3"}},
	}
	if d := cmp.Diff(want, sent); d != "" {
		t.Errorf("the calls: %s", d)
	}
	if d := cmp.Diff(map[string]string{"a": "1"}, came.Meta); d != "" {
		t.Errorf("the header that came was changed: %s", d)
	}
}

// A call that belongs to no chain begins none, unless it is given meta for one.
func TestTrackingBegins(t *testing.T) {
	var sent []*tracking.Header
	var ids []string
	c := new(calls)
	note := rpc.HandlerFunc(func(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
		sent, ids = append(sent, call.Tracking), append(ids, call.ID.String())
		return &rpc.Reply{Protocol: call.Protocol, Body: []byte{0}}, nil
	})
	if err := bind.Client(doc.Service("Users"), note, c); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{t.Context(), bind.WithMeta(t.Context(), map[string]string{"a": "1"})} {
		if err := c.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]*tracking.Header{nil, {RequestID: ids[1], Seq: "1", Meta: map[string]string{"a": "1"}}}, sent); d != "" {
		t.Error(d)
	}
	if bind.TrackingFrom(t.Context()) != nil {
		t.Error("a context without a call is tracked")
	}
}
