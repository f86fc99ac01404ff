package subset

import (
	"context"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

var users = schema.MustParse(`
enum Plan { FREE, PAID }
struct User { 1: i64 id, 2: Plan plan }
service Users { void put(1: string tenant, 2: User user, 3: bool urgent), void ping() }`).Service("Users")

// call is a call of put with arguments, given as JSON, and headers.
func call(t *testing.T, p wire.Protocol, text string, headers ...transport.KV) *rpc.Call {
	t.Helper()
	m := users.Method("put")
	v, err := codec.ParseJSON(codec.TypeOf(m.Args), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := codec.AppendValue(nil, p, codec.TypeOf(m.Args), v)
	if err != nil {
		t.Fatal(err)
	}
	return &rpc.Call{Method: m, Protocol: p, Body: body, Headers: headers}
}

// through runs a call through the layer and returns the subset that comes out.
func through(t *testing.T, p Policy, c *rpc.Call) (s rpc.Subset) {
	t.Helper()
	h := Layer(rpc.PerMethod[Policy]{Other: p, Methods: []Policy{p, {}}}).Wrap(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		s = c.Subset
		return &rpc.Reply{}, nil
	}))
	if _, err := h.Handle(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if c.Subset != (rpc.Subset{}) {
		t.Error("the caller's own call was changed")
	}
	return s
}

func argument(t *testing.T, name string) affinity.Policy {
	t.Helper()
	p, ok := affinity.ByArgument(users.Method("put"), name)
	if !ok {
		t.Fatalf("put has no argument %s", name)
	}
	return p
}

// A label's value is the config's, or stands in a header or an argument, whatever the protocol; a call without it has the default, or is not asked
// for the label. What no label can be is of no endpoint, and cannot ask for another label.
func TestSubset(t *testing.T) {
	header := affinity.ByHeader("x-version")
	x := func(v string) transport.KV { return transport.KV{Key: "X-Version", Value: v} }
	long := strings.Repeat("x", rpc.MaxLabelBytes)
	for _, tt := range []struct {
		name   string
		labels map[string]Value
		args   string
		header []transport.KV
		want   rpc.Labels
	}{
		{"the config's", map[string]Value{"size": {Is: "big"}, "disk": {Is: "ssd"}}, `{}`, nil, "disk=ssd,size=big"},
		{"nothing", map[string]Value{"size": {}}, `{}`, nil, ""},
		{"a header", map[string]Value{"version": {By: header}}, `{}`, []transport.KV{x("v2")}, "version=v2"},
		{"no header", map[string]Value{"version": {By: header}}, `{}`, nil, ""},
		{"no header, others", map[string]Value{"version": {By: header}, "size": {Is: "big"}}, `{}`, nil, "size=big"},
		{"no header, a default", map[string]Value{"version": {By: header, Is: "v1"}}, `{}`, nil, "version=v1"},
		{"an empty header", map[string]Value{"version": {By: header, Is: "v1"}}, `{}`, []transport.KV{x("")}, "version="},
		{"a header of more labels", map[string]Value{"version": {By: header}}, `{}`, []transport.KV{x("v2,size=big")}, "version="},
		{"a long header", map[string]Value{"version": {By: header}}, `{}`, []transport.KV{x(long)}, rpc.Labels("version=" + long)},
		{"one too long", map[string]Value{"version": {By: header}}, `{}`, []transport.KV{x(long + "x")}, "version="},
		{"a text", map[string]Value{"tenant": {By: argument(t, "tenant")}}, `{"tenant": "acme"}`, nil, "tenant=acme"},
		{"a number", map[string]Value{"shard": {By: argument(t, "user.id")}}, `{"user": {"id": 7}}`, nil, "shard=7"},
		{"an enum", map[string]Value{"plan": {By: argument(t, "user.plan")}}, `{"user": {"plan": "PAID"}}`, nil, "plan=PAID"},
		{"true", map[string]Value{"urgent": {By: argument(t, "urgent")}}, `{"urgent": true}`, nil, "urgent=true"},
		{"no argument", map[string]Value{"tenant": {By: argument(t, "tenant")}}, `{}`, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, p := range []wire.Protocol{wire.Binary, wire.Compact} {
				s := through(t, New(tt.labels, true), call(t, p, tt.args, tt.header...))
				if s.Labels != tt.want || s.Labels != "" && !s.Refuse {
					t.Errorf("%v: %+v, want %q", p, s, tt.want)
				}
			}
		})
	}
}

// What is told of a subset has the config's values, and none that a caller has said.
func TestText(t *testing.T) {
	labels := map[string]Value{"size": {Is: "big"}, "version": {By: affinity.ByHeader("x-version"), Is: "v1"}}
	s := through(t, New(labels, false), call(t, wire.Binary, `{}`, transport.KV{Key: "x-version", Value: "secret"}))
	if s.Text != "size=big, version" || s.Labels != "size=big,version=secret" || s.Refuse {
		t.Errorf("%+v", s)
	}
}

// Another method's calls go anywhere, and where no method's are limited nothing stands between.
func TestNoSubset(t *testing.T) {
	p := New(map[string]Value{"size": {Is: "big"}}, true)
	if s := through(t, p, &rpc.Call{Method: users.Method("ping")}); s != (rpc.Subset{}) {
		t.Errorf("%+v", s)
	}
	if h, ok := Layer(rpc.PerMethod[Policy]{Other: New(nil, true)}).Wrap(rpc.HandlerFunc(nil)).(rpc.HandlerFunc); !ok || h != nil {
		t.Error("the layer is in the way")
	}
}
