// Package translate brings calls into the protocol that the upstream speaks, and replies back into the caller's.
package translate

import (
	"context"
	"errors"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Policy is how one method's upstream speaks.
type Policy struct {
	Protocol wire.Protocol // zero: as the caller does
	Limits   wire.Limits   // of a message in the other protocol
}

// Layer translates calls whose protocol is not the upstream's. The bodies of others pass untouched. Fields that the IDL does not have
// survive where both protocols can carry them; a method that it does not have is translated where they need no IDL, and unknown where they do.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "translate",
		Why:  "directly under the observers: below it every call is in the upstream's one protocol",
		Wrap: func(next rpc.Handler) rpc.Handler {
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				p := policies.For(call)
				return p.Handle(ctx, call, next)
			})
		},
	}
}

// Handle has next answer the call in the protocol that p names.
func (p Policy) Handle(ctx context.Context, call *rpc.Call, next rpc.Handler) (*rpc.Reply, error) {
	theirs, err := p.there(call)
	if err != nil {
		return nil, err
	}
	reply, err := next.Handle(ctx, theirs)
	if err != nil {
		return nil, err
	}
	return p.back(call, reply)
}

// there returns the call in the upstream's protocol: itself, or a copy.
func (p Policy) there(call *rpc.Call) (*rpc.Call, error) {
	if p.Protocol == 0 || call.Protocol == p.Protocol {
		return call, nil
	}
	args, _ := structs(call.Method)
	body, err := codec.Translate(nil, call.Protocol, p.Protocol, args, call.Body, p.Limits)
	if e, ok := errors.AsType[*wire.Error](err); ok && e.Reason == wire.Unsupported && call.Method == nil {
		return nil, p.failed(call, rpc.UnknownMethod, rpc.NotSent, "the arguments", err) // it would take an IDL that knows the method
	}
	if err != nil {
		return nil, p.failed(call, rpc.Malformed, rpc.NotSent, "the arguments", err)
	}
	theirs := *call
	theirs.Protocol, theirs.Body = p.Protocol, body
	return &theirs, nil
}

// back returns the reply in the caller's protocol: itself, or a copy. It may be in another one than the upstream's: Apache's C++ answers
// compact in THeader with binary.
func (p Policy) back(call *rpc.Call, reply *rpc.Reply) (*rpc.Reply, error) {
	if reply.Protocol == call.Protocol || reply.Protocol == 0 {
		return reply, nil
	}
	ours := *reply
	ours.Protocol = call.Protocol
	if call.Oneway {
		return &ours, nil
	}
	_, result := structs(call.Method)
	var err error
	if ours.Body, err = codec.Translate(nil, reply.Protocol, call.Protocol, result, reply.Body, p.Limits); err != nil {
		return nil, p.failed(call, rpc.Internal, rpc.Answered, "the reply", err)
	}
	if reply.Memory != nil { // the translated body is counted when it is written
		reply.Memory.Release()
		ours.Memory = nil
	}
	return &ours, nil
}

// structs are what the IDL says of a method's two bodies.
func structs(m *schema.Method) (args, result *schema.StructType) {
	if m == nil {
		return nil, nil
	}
	return m.Args, m.Result
}

func (p Policy) failed(call *rpc.Call, code rpc.Code, reach rpc.Reach, what string, err error) *rpc.Error {
	text := what + " cannot be brought from " + call.Protocol.String() + " into " + p.Protocol.String()
	if code == rpc.Internal {
		text = what + " cannot be brought from " + p.Protocol.String() + " into " + call.Protocol.String()
	}
	return &rpc.Error{Code: code, Reach: reach, Op: call.Service, Text: text + ": " + err.Error(), Err: err}
}
