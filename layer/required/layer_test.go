package required_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/layer/required"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

var users = schema.MustParse(`
struct User { 1: required string email, 2: optional string name }
service Users { void create(1: User user, 2: required i32 shard), void ping() }`).Service("Users")

// A call that lacks a required field passes, is told of, or is refused before anything is sent, as its method's policy says; in every
// protocol alike, and with no value in what is told.
func TestModes(t *testing.T) {
	whole := wiretest.Struct(1, wiretest.Struct(1, wiretest.String("secret@b")), 2, wiretest.I32(3))
	inner := wiretest.Struct(1, wiretest.Struct(2, wiretest.String("secret")), 2, wiretest.I32(3))
	outer := wiretest.Struct(1, wiretest.Struct(1, wiretest.String("secret@b")))
	for _, tt := range []struct {
		mode required.Mode
		args wiretest.Value
		path string // that found is told; "": nothing
		sent bool
	}{
		{required.Off, inner, "", true}, {"", inner, "", true},
		{required.Warn, whole, "", true}, {required.Refuse, whole, "", true},
		{required.Warn, inner, "create_args.user.email", true}, {required.Warn, outer, "create_args.shard", true},
		{required.Refuse, inner, "create_args.user.email", false}, {required.Refuse, outer, "create_args.shard", false},
	} {
		for _, p := range []wire.Protocol{wire.Binary, wire.Compact} {
			t.Run(fmt.Sprint(tt.mode, " ", tt.path, " ", p), func(t *testing.T) {
				body := wiretest.AppendBinary(nil, tt.args)
				if p == wire.Compact {
					body = wiretest.AppendCompact(nil, tt.args)
				}
				told, sent := "", false
				policies := rpc.PerMethod[required.Policy]{}
				for _, m := range users.Methods {
					policies.Methods = append(policies.Methods, required.For(m, tt.mode))
				}
				h := required.Layer(policies, func(_ *rpc.Call, path string) { told += path }).Wrap(
					rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { sent = true; return &rpc.Reply{}, nil }))
				_, err := h.Handle(t.Context(), &rpc.Call{Service: "Users", Method: users.Method("create"), Protocol: p, Body: body})
				if told != tt.path || sent != tt.sent || (err == nil) != tt.sent {
					t.Errorf("told %q, sent %t, %v", told, sent, err)
				}
				if e := rpc.AsError(err, ""); e != nil {
					text := e.Public(7).Message
					if e.Code.ExceptionType() != 7 || e.Reach != rpc.NotSent || !strings.Contains(text, "required field "+tt.path+" is missing") || strings.Contains(text, "secret") {
						t.Errorf("%d %q", e.Code.ExceptionType(), text)
					}
				}
			})
		}
	}
}

// A method without required fields, and one that the IDL does not have, are not looked at: their bodies may be anything.
func TestNothingRequired(t *testing.T) {
	sent := 0
	policies := rpc.PerMethod[required.Policy]{Other: required.For(nil, required.Refuse)}
	for _, m := range users.Methods {
		policies.Methods = append(policies.Methods, required.For(m, required.Refuse))
	}
	h := required.Layer(policies, nil).Wrap(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { sent++; return &rpc.Reply{}, nil }))
	for _, m := range []*schema.Method{users.Method("ping"), nil} {
		if _, err := h.Handle(t.Context(), &rpc.Call{Method: m, Protocol: wire.Binary, Body: []byte("no struct")}); err != nil {
			t.Error(err)
		}
	}
	if sent != 2 {
		t.Errorf("%d calls were sent", sent)
	}
	if _, err := h.Handle(t.Context(), &rpc.Call{Service: "Users", Method: users.Method("create"), Protocol: wire.Binary, Body: []byte{11}}); err == nil || sent != 2 {
		t.Errorf("a body that is no struct: %v", err)
	}
}
