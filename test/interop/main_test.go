package interop

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kindsOfTransport = []transport.Kind{transport.Buffered, transport.Framed}

// server is one server of Kinds.
type server struct {
	name    string // with its transport, where it has only one
	address string
	kind    transport.Kind
	crash   peertest.Crash
}

func document(t testing.TB) *thriftloom.Document {
	t.Helper()
	doc, err := thriftloom.Load(peertest.File("kinds.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// startServers starts each library's server with each transport, and one in Go, which tells the transports apart by itself.
func startServers(t *testing.T) []server {
	t.Helper()
	var all []server
	for _, l := range peertest.Libraries {
		for _, k := range kindsOfTransport {
			all = append(all, server{l.Name + "-" + k.String(), l.Serve(t, k), k, peertest.CrashClose})
		}
	}
	address := serveGo(t)
	for _, k := range kindsOfTransport {
		all = append(all, server{"go-" + k.String(), address, k, peertest.CrashException})
	}
	return all
}

// serveGo serves Kinds with the library until the test ends.
func serveGo(t *testing.T) string {
	t.Helper()
	s, err := thriftloom.NewServer(document(t).Service("Kinds"), new(kinds), thriftloom.Exceptions((*Refused)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	return peertest.ServeGo(t, s)
}

// startGateway puts each server behind a port of its own and returns the ports, as servers.
func startGateway(t *testing.T, servers []server) []server {
	t.Helper()
	var file strings.Builder
	file.WriteString("defaults: {timeout: 30s, queue: {max_wait: 30s}}\nservices:\n")
	fronts := make([]server, len(servers))
	for i, s := range servers {
		fronts[i] = server{s.name, peertest.FreePort(t), s.kind, peertest.CrashException}
		fmt.Fprintf(&file, "  %s: {service: Kinds, idl: %s, listen: %q, upstream: {endpoints: [%q], server: threaded, slots: 16, transport: %v}}\n",
			s.name, peertest.File("kinds.thrift"), fronts[i].address, s.address, s.kind)
	}
	peertest.StartGateway(t, file.String())
	return fronts
}
