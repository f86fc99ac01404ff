// Package affinity gives calls a key, by which a hash policy of cluster/balance takes those with the same one to the same endpoint.
package affinity

import (
	"context"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Policy is where the key of one method's calls stands. The zero value gives none.
type Policy struct {
	header string
	args   *schema.StructType
	path   []*schema.Field // from args on
}

// ByHeader returns the policy whose key is a transport header, of whatever case.
func ByHeader(name string) Policy { return Policy{header: name} }

// ByArgument returns the policy whose key is an argument of a method, or a field in one: "user.id". ok is false where the method has no
// such argument, or is nil.
func ByArgument(m *schema.Method, argument string) (p Policy, ok bool) {
	if m == nil {
		return Policy{}, false
	}
	p.args = m.Args
	in := m.Args
	for step := range strings.SplitSeq(argument, ".") {
		if in == nil {
			return Policy{}, false
		}
		f := in.FieldByName(step)
		if f == nil {
			return Policy{}, false
		}
		p.path, in = append(p.path, f), f.Type.Struct
	}
	return p, true
}

// Layer sets the key of the calls whose policy has one. A call without the header or the argument has none, nor has one whose arguments
// cannot be read.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "affinity",
		Why:  "above retry: all attempts of a call have one key",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !policies.Other.gives() && !slices.ContainsFunc(policies.Methods, Policy.gives) {
				return next
			}
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				return next.Handle(ctx, policies.For(call).Keyed(call))
			})
		},
	}
}

func (p Policy) gives() bool { return p.header != "" || p.args != nil }

// Keyed returns the call with its key: itself where it has none, else a copy.
func (p Policy) Keyed(call *rpc.Call) *rpc.Call {
	key := p.Key(call)
	if key == 0 {
		return call
	}
	keyed := *call
	keyed.Affinity = key
	return &keyed
}

// Key returns the call's key, the hash of Value; 0 where it has none.
func (p Policy) Key(call *rpc.Call) uint64 {
	if v := p.Value(call); v != nil {
		return hash(v)
	}
	return 0
}

// Value returns what the key is made of: the header's value, or the argument as JSON, which is the same whatever the protocol of the call.
// It is nil where the call has neither.
func (p Policy) Value(call *rpc.Call) []byte {
	switch {
	case p.header != "":
		for _, h := range call.Headers {
			if strings.EqualFold(h.Key, p.header) {
				return []byte(h.Value)
			}
		}
	case p.args != nil:
		return p.argument(call)
	}
	return nil
}

// Type returns the argument's type, nil for a header.
func (p Policy) Type() *schema.Type {
	if len(p.path) == 0 {
		return nil
	}
	return p.path[len(p.path)-1].Type
}

func (p Policy) argument(call *rpc.Call) []byte {
	limits := wire.Limits{MessageBytes: 2 * max(len(call.Body), wire.DefaultMessageBytes)}
	in, _, err := codec.DecodeStruct(call.Protocol, p.args, call.Body, limits)
	if err != nil {
		return nil
	}
	for i, f := range p.path {
		v := in.Fields[f.Index]
		if v == nil {
			return nil
		}
		if i == len(p.path)-1 {
			text, err := codec.AppendJSON(nil, f.Type, v)
			if err != nil {
				return nil
			}
			return text
		}
		in = v.(*schema.StructValue)
	}
	return nil
}

// hash is the same on every gateway, and never 0.
func hash(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return max(1, h.Sum64())
}
