package translate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/layer/translate"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

var users = schema.MustParse(`
exception NotFound { 1: i64 id }
service Users { string get(1: i64 id) throws (1: NotFound missing), oneway void track(1: i64 id) }`).Service("Users")

// upstream answers in one protocol, and keeps what it was handed.
type upstream struct {
	call  *rpc.Call
	reply rpc.Reply
	err   error
}

func (u *upstream) Handle(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
	u.call = call
	if u.err != nil {
		return nil, u.err
	}
	return &u.reply, nil
}

// memory counts how often it is released.
type memory int

func (m *memory) Release() { *m++ }

func handle(t *testing.T, u *upstream, call *rpc.Call) (*rpc.Reply, error) {
	t.Helper()
	h := translate.Layer(rpc.PerMethod[translate.Policy]{Other: translate.Policy{Protocol: wire.Binary}}).Wrap(u)
	return h.Handle(t.Context(), call)
}

// The upstream gets the arguments in its protocol and the caller the reply in its own, a declared exception too; fields that the IDL does
// not have are among them. The caller's own call is not changed.
func TestThereAndBack(t *testing.T) {
	args := wiretest.Struct(1, wiretest.I64(7), 90, wiretest.String("unknown"))
	for _, result := range []wiretest.Value{
		wiretest.Struct(0, wiretest.String("Ada")), wiretest.Struct(1, wiretest.Struct(1, wiretest.I64(7))), wiretest.Struct(),
		wiretest.Struct(0, wiretest.String("Ada"), 90, wiretest.Bool(true)),
	} {
		var held memory
		u := &upstream{reply: rpc.Reply{Protocol: wire.Binary, Body: wiretest.AppendBinary(nil, result), Exception: 1, Memory: &held}}
		call := &rpc.Call{Method: users.Method("get"), Protocol: wire.Compact, Body: wiretest.AppendCompact(nil, args)}
		reply, err := handle(t, u, call)
		if err != nil {
			t.Fatal(err)
		}
		if u.call.Protocol != wire.Binary || string(u.call.Body) != string(wiretest.AppendBinary(nil, args)) {
			t.Errorf("the upstream got %s %x", u.call.Protocol, u.call.Body)
		}
		if reply.Protocol != wire.Compact || string(reply.Body) != string(wiretest.AppendCompact(nil, result)) || reply.Exception != 1 {
			t.Errorf("the caller got %s %x", reply.Protocol, reply.Body)
		}
		if call.Protocol != wire.Compact || u.reply.Protocol != wire.Binary || held != 1 || reply.Memory != nil {
			t.Errorf("call %s, reply %s, released %d times", call.Protocol, u.reply.Protocol, held)
		}
	}
}

// What is in the upstream's protocol already passes as it is, and an error is not looked at.
func TestNothingToTranslate(t *testing.T) {
	u := &upstream{reply: rpc.Reply{Protocol: wire.Binary, Body: []byte{0}}}
	call := &rpc.Call{Method: users.Method("get"), Protocol: wire.Binary, Body: []byte("not even a struct")}
	if reply, err := handle(t, u, call); err != nil || u.call != call || reply != &u.reply {
		t.Errorf("%v, %v", reply, err)
	}
	u.err = &rpc.Error{Code: rpc.Unavailable, Op: "Users"}
	if _, err := handle(t, u, &rpc.Call{Method: users.Method("get"), Protocol: wire.Compact, Body: []byte{0}}); err != u.err {
		t.Errorf("%v", err)
	}
}

// A oneway has no reply to translate.
func TestOneway(t *testing.T) {
	u := &upstream{reply: rpc.Reply{Protocol: wire.Binary}}
	reply, err := handle(t, u, &rpc.Call{Method: users.Method("track"), Oneway: true, Protocol: wire.Compact, Body: []byte{0}})
	if err != nil || reply.Protocol != wire.Compact || len(reply.Body) > 0 {
		t.Errorf("%+v, %v", reply, err)
	}
}

// A method that the IDL does not have is translated all the same, between protocols that need no IDL.
func TestUnknownMethod(t *testing.T) {
	u := &upstream{reply: rpc.Reply{Protocol: wire.Binary, Body: wiretest.AppendBinary(nil, wiretest.Struct(0, wiretest.I32(1)))}}
	reply, err := handle(t, u, &rpc.Call{Protocol: wire.Compact, Body: wiretest.AppendCompact(nil, wiretest.Struct(3, wiretest.I16(5)))})
	if err != nil || string(reply.Body) != string(wiretest.AppendCompact(nil, wiretest.Struct(0, wiretest.I32(1)))) {
		t.Errorf("%+v, %v", reply, err)
	}
}

// A method that the IDL has not is unknown where the IDL is needed, as it is in ThriftPy's JSON.
func TestUnknownMethodByName(t *testing.T) {
	u := &upstream{}
	_, err := handle(t, u, &rpc.Call{Protocol: wire.JSON, Body: []byte(`{"word": "x"}`)})
	if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Code != rpc.UnknownMethod || e.Reach != rpc.NotSent {
		t.Errorf("error %v", err)
	}
}

// ThriftPy's JSON needs the IDL: a method that it does not have is unknown then.
func TestUnknownMethodInJSON(t *testing.T) {
	u := &upstream{}
	_, err := handle(t, u, &rpc.Call{Service: "Users", Name: "nope", Protocol: wire.JSON, Body: []byte("{}")})
	if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.UnknownMethod || e.Reach != rpc.NotSent || u.call != nil {
		t.Errorf("%v", err)
	}
}

// What cannot be translated is refused: arguments before anything is sent, a reply as a failure of the peer's.
func TestRefused(t *testing.T) {
	u := &upstream{reply: rpc.Reply{Protocol: wire.Binary, Body: []byte{11, 0, 0}}}
	_, err := handle(t, u, &rpc.Call{Service: "Users", Protocol: wire.Compact, Body: []byte{0x1e}})
	e := rpc.AsError(err, "")
	if e == nil || e.Code != rpc.Malformed || e.Reach != rpc.NotSent || u.call != nil || !strings.Contains(e.Text, "from compact into binary") {
		t.Errorf("%v", err)
	}
	_, err = handle(t, u, &rpc.Call{Service: "Users", Protocol: wire.Compact, Body: []byte{0}})
	if e = rpc.AsError(err, ""); e == nil || e.Code != rpc.Internal || e.Reach != rpc.Answered || !strings.Contains(e.Text, "from binary into compact") {
		t.Errorf("%v", err)
	}
}

// Typed values survive the way there and back.
func TestValues(t *testing.T) {
	body, err := codec.AppendStruct(nil, wire.Compact, &schema.StructValue{Type: users.Method("get").Args, Fields: []schema.Value{int64(1) << 62}})
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{reply: rpc.Reply{Protocol: wire.Binary, Body: []byte{0}}}
	if _, err := handle(t, u, &rpc.Call{Method: users.Method("get"), Protocol: wire.Compact, Body: body}); err != nil {
		t.Fatal(err)
	}
	v, _, err := codec.DecodeStruct(wire.Binary, users.Method("get").Args, u.call.Body, wire.Limits{})
	if err != nil || v.Get("id") != int64(1)<<62 {
		t.Errorf("%v, %v", v, err)
	}
}
