// Package interop checks Thriftloom against the real ThriftPys, Apache Thrift in three languages and Node.js, each as client and as server.
package interop

import (
	"testing"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

// ThriftPy's clients get every kind of answer right from its own servers, as they do in the matrix from ours, which shows that the cases
// are right; and so do they and the Go client through the gateway from every server, also where client and server speak different
// transports.
func TestEveryClientWithEveryServer(t *testing.T) {
	peertest.Require(t)
	servers := startServers(t)
	fronts := startGateway(t, servers)
	t.Run("direct", func(t *testing.T) {
		for _, s := range servers {
			if s.crash == peertest.CrashClose {
				eachLibrary(t, s, s.kind)
			}
		}
	})
	t.Run("gateway", func(t *testing.T) {
		for _, s := range fronts {
			for _, kind := range kindsOfTransport {
				eachLibrary(t, s, kind)
				t.Run("go-"+kind.String()+" to "+s.name, func(t *testing.T) {
					t.Parallel()
					callGo(t, s, kind)
				})
			}
		}
	})
}

// eachLibrary checks one server with the clients of both ThriftPys.
func eachLibrary(t *testing.T, s server, kind transport.Kind) {
	for _, l := range peertest.Libraries {
		t.Run(l.Name+"-"+kind.String()+" to "+s.name, func(t *testing.T) {
			t.Parallel()
			l.Call(t, kind, s.crash, s.address)
		})
	}
}
