package gateway

import (
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// A call whose headers the upstream's transport cannot carry is refused before it takes a slot: there is no cluster here to take one of.
func TestHeadersThatAnUpstreamCannotCarry(t *testing.T) {
	u := new(upstream)
	u.plan.Store(&upstreamPlan{cluster: cluster.Options{Wire: transport.Wire{Kind: transport.Header, Protocol: wire.Binary}}})
	call := &rpc.Call{Service: "Users", Name: "ping", Protocol: wire.Binary, Body: []byte{0}, Headers: make([]transport.KV, 257)}
	_, err := asService{u, "Users"}.Handle(t.Context(), call)
	if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.Malformed || e.Reach != rpc.NotSent || e.Retryable(true) ||
		!strings.HasPrefix(e.Public(1).Message, `PROTOCOL_ERROR: Users: THeader cannot carry the header "": 257 headers, the limit is 256`) {
		t.Errorf("%v", err)
	}
}
