package peertest

import (
	"context"
	"net"
	"testing"

	"github.com/thriftloom/thriftloom"
)

// ServeGo serves with the library, on a port of the loopback interface, until the test ends, and returns the address.
func ServeGo(t testing.TB, s *thriftloom.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}
