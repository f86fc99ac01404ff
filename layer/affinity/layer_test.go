package affinity

import (
	"context"
	"testing"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

const idl = `
struct Address { 1: string city }
struct User { 1: i64 id, 2: Address home }
service Users {
    User getUser(1: i64 id, 2: string fields),
    void putUser(1: User user),
    void ping(),
}`

// keyOf runs a call through the layer and returns the key that comes out.
func keyOf(t *testing.T, p Policy, call *rpc.Call) (key uint64) {
	t.Helper()
	h := Layer(rpc.PerMethod[Policy]{Other: p}).Wrap(rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		key = c.Affinity
		return &rpc.Reply{}, nil
	}))
	if _, err := h.Handle(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if call.Affinity != 0 {
		t.Error("the caller's own call was changed")
	}
	return key
}

// args encodes a method's arguments, given as JSON.
func args(t *testing.T, m *schema.Method, p wire.Protocol, text string) *rpc.Call {
	t.Helper()
	v, err := codec.ParseJSON(codec.TypeOf(m.Args), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := codec.AppendValue(nil, p, codec.TypeOf(m.Args), v)
	if err != nil {
		t.Fatal(err)
	}
	return &rpc.Call{Method: m, Protocol: p, Body: body}
}

// Equal arguments give equal keys whatever the protocol and the other arguments, others give others, and a call without the argument none.
func TestKeyByArgument(t *testing.T) {
	svc := schema.MustParse(idl).Service("Users")
	get, put, ping := svc.Method("getUser"), svc.Method("putUser"), svc.Method("ping")
	byID, ok := ByArgument(get, "id")
	if !ok {
		t.Fatal("getUser has no argument id")
	}
	seven := keyOf(t, byID, args(t, get, wire.Binary, `{"id": 7}`))
	if again := keyOf(t, byID, args(t, get, wire.Compact, `{"id": 7, "fields": "name"}`)); again != seven || seven == 0 {
		t.Errorf("the keys are %d and %d", seven, again)
	}
	if eight := keyOf(t, byID, args(t, get, wire.Binary, `{"id": 8}`)); eight == seven {
		t.Error("another id has the same key")
	}
	if none := keyOf(t, byID, args(t, get, wire.Binary, `{"fields": "name"}`)); none != 0 {
		t.Error("a call without the argument has a key")
	}
	if cut := keyOf(t, byID, &rpc.Call{Method: get, Protocol: wire.Binary, Body: []byte{10, 0, 1}}); cut != 0 {
		t.Error("a call that cannot be read has a key")
	}
	byCity, ok := ByArgument(put, "user.home.city")
	if !ok {
		t.Fatal("putUser has no user.home.city")
	}
	here := keyOf(t, byCity, args(t, put, wire.Binary, `{"user": {"id": 1, "home": {"city": "Bremen"}}}`))
	if there := keyOf(t, byCity, args(t, put, wire.Compact, `{"user": {"id": 2, "home": {"city": "Bremen"}}}`)); here != there || here == 0 {
		t.Errorf("the keys are %d and %d", here, there)
	}
	if none := keyOf(t, byCity, args(t, put, wire.Binary, `{"user": {"id": 1}}`)); none != 0 {
		t.Error("a call without the struct on the way has a key")
	}
	for _, m := range []*schema.Method{ping, put, nil} {
		if _, ok := ByArgument(m, "id"); ok {
			t.Errorf("%v has an argument id", m)
		}
	}
	if _, ok := ByArgument(put, "user.id.more"); ok {
		t.Error("a number has fields")
	}
}

// A header is found whatever its case; a call without it has no key.
func TestKeyByHeader(t *testing.T) {
	with := func(name, value string) *rpc.Call {
		return &rpc.Call{Headers: []transport.KV{{Key: name, Value: value}}}
	}
	p := ByHeader("X-User")
	a := keyOf(t, p, with("x-user", "alice"))
	if a == 0 || a != keyOf(t, p, with("X-USER", "alice")) || a == keyOf(t, p, with("x-user", "bob")) || keyOf(t, p, with("x-other", "alice")) != 0 {
		t.Error("keys by header are wrong")
	}
}

// Where no method has a key the layer is not there.
func TestNoKeys(t *testing.T) {
	next := new(handler)
	if Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, 2)}).Wrap(next) != rpc.Handler(next) {
		t.Error("a layer without keys stands in the way")
	}
}

type handler struct{}

func (*handler) Handle(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, nil }
