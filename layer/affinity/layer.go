// Package affinity gives calls a key, by which a hash policy of cluster/balance takes those with the same one to the same endpoint.
package affinity

import (
	"context"
	"hash/fnv"
	"strings"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// Policy is where the key of one method's calls stands. The zero value gives none.
type Policy struct {
	header   string
	argument codec.Argument
}

// ByHeader returns the policy whose key is a transport header, of whatever case.
func ByHeader(name string) Policy { return Policy{header: name} }

// ByArgument returns the policy whose key is an argument of a method, or a field in one: "user.id". ok is false where the method has no
// such argument, or is nil.
func ByArgument(m *schema.Method, argument string) (p Policy, ok bool) {
	p.argument, ok = codec.FindArgument(m, argument)
	return p, ok
}

// Layer sets the key of the calls whose policy has one. A call without the header or the argument has none, nor has one whose arguments
// cannot be read.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "affinity",
		Why:  "above retry: all attempts of a call have one key",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !policies.Any(Policy.Gives) {
				return next
			}
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				return next.Handle(ctx, policies.For(call).Keyed(call))
			})
		},
	}
}

// Gives reports whether p is not the zero value.
func (p Policy) Gives() bool { return p.header != "" || p.argument.Stands() }

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
	case p.argument.Stands():
		if text, ok := p.argument.JSON(call.Protocol, call.Body); ok { // the same whatever the protocol of the call
			return text
		}
	}
	return nil
}

// Type returns the argument's type, nil for a header.
func (p Policy) Type() *schema.Type { return p.argument.Type() }

// hash is the same on every gateway, and never 0.
func hash(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return max(1, h.Sum64())
}
