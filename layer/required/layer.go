// Package required looks for required fields that a call's arguments do not have. ThriftPy never asks, on either side; who wants to know,
// or to be strict, says so for a service or a method.
package required

import (
	"context"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Mode is what becomes of a call whose arguments lack a required field, in them or in a struct inside.
type Mode string

// The modes. The zero value is Off.
const (
	Off    Mode = "off"    // nobody looks
	Warn   Mode = "warn"   // it is told, and goes on
	Refuse Mode = "refuse" // it is told, and fails with PROTOCOL_ERROR: nothing is sent
)

// Policy is what one method asks for. Make one with For.
type Policy struct {
	mode   Mode
	finder *codec.Required // nil: nothing is required
}

// For returns the policy of a method; nil stands for methods that the IDL does not have, of which nothing is known.
func For(m *schema.Method, mode Mode) Policy {
	if m == nil || mode != Warn && mode != Refuse {
		return Policy{}
	}
	return Policy{mode: mode, finder: codec.CompileRequired(m.Args)}
}

// Layer looks at the arguments of the methods whose policy asks for it. found, which may be nil, is told of each call that lacks a field,
// with the first one's path: "createUser_args.user.email". It has to be quick, and safe for concurrent use.
func Layer(policies rpc.PerMethod[Policy], found func(call *rpc.Call, path string)) rpc.Layer {
	return rpc.Layer{
		Name: "required",
		Why:  "below authz: who may not call is not told what is missing; above deadline and retry: it is looked at once",
		Wrap: func(next rpc.Handler) rpc.Handler {
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				if p := policies.For(call); p.finder != nil {
					if err := p.look(call, found); err != nil {
						return nil, err
					}
				}
				return next.Handle(ctx, call)
			})
		},
	}
}

// look returns why the call is refused, nil if it is not.
func (p Policy) look(call *rpc.Call, found func(*rpc.Call, string)) error {
	path, err := p.finder.Missing(call.Protocol, call.Body, wire.Limits{MessageBytes: 2 * max(len(call.Body), wire.DefaultMessageBytes)})
	if err != nil {
		return &rpc.Error{Code: rpc.Malformed, Reach: rpc.NotSent, Op: call.Service, Text: "the arguments cannot be read: " + err.Error(), Err: err}
	}
	if path == "" {
		return nil
	}
	if found != nil {
		found(call, path)
	}
	if p.mode == Refuse {
		return &rpc.Error{Code: rpc.Malformed, Reach: rpc.NotSent, Op: call.Service, Text: "required field " + path + " is missing"}
	}
	return nil
}
