// Package interop checks Thriftloom against the real ThriftPy2 and ThriftPy 0.3.9, each as client and as server.
package interop

import (
	"testing"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

// Every client gets every kind of answer right from every server, buffered and framed, directly and through the gateway; through the
// gateway also where client and server speak different transports.
func TestEveryClientWithEveryServer(t *testing.T) {
	peertest.Require(t)
	servers := startServers(t)
	fronts := startGateway(t, servers)
	t.Run("direct", func(t *testing.T) {
		for _, s := range servers {
			eachClient(t, s, s.kind)
		}
	})
	t.Run("gateway", func(t *testing.T) {
		for _, s := range fronts {
			for _, kind := range kindsOfTransport {
				eachClient(t, s, kind)
			}
		}
	})
}

// eachClient checks one server with every client.
func eachClient(t *testing.T, s server, kind transport.Kind) {
	for _, l := range peertest.Libraries {
		t.Run(l.Name+"-"+kind.String()+" to "+s.name, func(t *testing.T) {
			t.Parallel()
			l.Call(t, kind, s.crash, s.address)
		})
	}
	t.Run("go-"+kind.String()+" to "+s.name, func(t *testing.T) {
		t.Parallel()
		callGo(t, s, kind)
	})
}
