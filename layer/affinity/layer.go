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
				if key := policies.For(call).key(call); key != 0 {
					keyed := *call
					keyed.Affinity = key
					call = &keyed
				}
				return next.Handle(ctx, call)
			})
		},
	}
}

func (p Policy) gives() bool { return p.header != "" || p.args != nil }

// key returns the call's key, 0 where it has none.
func (p Policy) key(call *rpc.Call) uint64 {
	switch {
	case p.header != "":
		for _, h := range call.Headers {
			if strings.EqualFold(h.Key, p.header) {
				return hash([]byte(h.Value))
			}
		}
	case p.args != nil:
		return p.argument(call)
	}
	return 0
}

// argument hashes the argument as JSON, which is the same whatever the protocol of the call.
func (p Policy) argument(call *rpc.Call) uint64 {
	limits := wire.Limits{MessageBytes: 2 * max(len(call.Body), wire.DefaultMessageBytes)}
	in, _, err := codec.DecodeStruct(call.Protocol, p.args, call.Body, limits)
	if err != nil {
		return 0
	}
	for i, f := range p.path {
		v := in.Fields[f.Index]
		if v == nil {
			return 0
		}
		if i == len(p.path)-1 {
			text, err := codec.AppendJSON(nil, f.Type, v)
			if err != nil {
				return 0
			}
			return hash(text)
		}
		in = v.(*schema.StructValue)
	}
	return 0
}

// hash is the same on every gateway, and never 0.
func hash(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return max(1, h.Sum64())
}
