package peertest

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway"
)

// Gateway is a gateway in this process that ends with the test.
type Gateway struct {
	*gateway.Gateway
	path string
}

// StartGateway runs the config, whose state gets a folder of its own. The test fails where the gateway does not end cleanly.
func StartGateway(t testing.TB, config string) *Gateway {
	t.Helper()
	return StartGatewayWith(t, gateway.Options{}, config)
}

// StartGatewayWith is StartGateway with clients of what pulls in much: Resolvers and Stores of the options.
func StartGatewayWith(t testing.TB, handed gateway.Options, config string) *Gateway {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer") // t.TempDir is too long for the path of a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := &Gateway{path: filepath.Join(dir, "thriftloom.yaml")}
	g.Write(t, config)
	loaded := gateway.Load(g.path, nil)
	if len(loaded.Mistakes) > 0 {
		t.Fatal(loaded.Mistakes)
	}
	g.Gateway = gateway.New(loaded.Config, gateway.Options{Env: os.LookupEnv, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Resolvers: handed.Resolvers, Stores: handed.Stores})
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return g
}

// Write changes the config file, for a Reload.
func (g *Gateway) Write(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(g.path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// AwaitReady returns when the gateway is ready for a service, or for all of them where label is "".
func (g *Gateway) AwaitReady(t testing.TB, label string) {
	t.Helper()
	Eventually(t, "the gateway is ready", func() bool {
		ok, _ := g.Ready(label)
		return ok
	})
}

// Eventually returns when done does, and fails the test where that takes too long.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
