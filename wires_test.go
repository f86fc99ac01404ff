package thriftloom_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/rpc"
	wires "github.com/thriftloom/thriftloom/transport"
)

// Absent is the declared exception of Wires.
type Absent struct{ Key string }

func (e *Absent) Error() string { return "no " + e.Key }

// wiresServer answers the methods of Wires.
type wiresServer struct{ noted chan string }

func (s wiresServer) Get(_ context.Context, key string) (string, error) {
	if key == "none" {
		return "", &Absent{key}
	}
	return "value of " + key, nil
}

func (s wiresServer) Note(_ context.Context, key string) error { s.noted <- key; return nil }

// The library's client and server understand each other in every transport and protocol, over TCP and over a unix socket: a result, a
// declared exception, a oneway.
func TestEveryWire(t *testing.T) {
	doc, err := thriftloom.LoadBytes("wires.thrift", []byte(`
exception Absent { 1: string key }
service Wires { string get(1: string key) throws (1: Absent missing), oneway void note(1: string key) }`))
	if err != nil {
		t.Fatal(err)
	}
	svc := doc.Service("Wires")
	dir, err := os.MkdirTemp("", "wires")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	served := wiresServer{noted: make(chan string, 1)}
	for _, network := range []string{"tcp", "unix"} {
		address := listen(t, svc, served, network, filepath.Join(dir, "s"))
		for _, transport := range []thriftloom.Transport{thriftloom.Buffered, thriftloom.Framed, thriftloom.Header, thriftloom.HTTP} {
			for _, protocol := range []thriftloom.Protocol{thriftloom.Binary, thriftloom.Compact, thriftloom.JSON, thriftloom.ApacheJSON} {
				if transport == thriftloom.Header && protocol != thriftloom.Binary && protocol != thriftloom.Compact {
					continue // which THeader does not carry
				}
				t.Run(network+"/"+transport.String()+"/"+protocol.String(), func(t *testing.T) {
					cfg := thriftloom.ClientConfig{Addresses: []string{address}, Transport: transport, Protocol: protocol}
					checkWire(t, cfg, svc, served)
				})
			}
		}
	}
}

// listen serves until the test ends, and returns where.
func listen(t *testing.T, svc *thriftloom.Service, impl any, network, path string) string {
	t.Helper()
	address := map[string]string{"tcp": "127.0.0.1:0", "unix": path}[network]
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s, err := thriftloom.NewServer(svc, impl)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if network == "unix" {
		return "unix:" + path
	}
	return l.Addr().String()
}

func checkWire(t *testing.T, cfg thriftloom.ClientConfig, svc *thriftloom.Service, served wiresServer) {
	c, err := cfg.Dial(svc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var wires struct {
		Get  func(context.Context, string) (string, error)
		Note func(context.Context, string) error
	}
	if err := thriftloom.Bind(c, &wires, thriftloom.Exceptions((*Absent)(nil))); err != nil {
		t.Fatal(err)
	}
	if got, err := wires.Get(t.Context(), "é"); got != "value of é" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	var missing *Absent
	if _, err := wires.Get(t.Context(), "none"); !errors.As(err, &missing) || missing.Key != "none" {
		t.Errorf("%v", err)
	}
	if err := wires.Note(t.Context(), "noted"); err != nil {
		t.Error(err)
	}
	if got := <-served.noted; got != "noted" {
		t.Errorf("noted %q", got)
	}
}

// A call whose headers THeader cannot carry is refused by the client that makes it, and not tried again.
func TestClientRefusesHeaders(t *testing.T) {
	doc, err := thriftloom.LoadBytes("wires.thrift", []byte("service Wires { string get(1: string key) }"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := thriftloom.ClientConfig{Addresses: []string{"127.0.0.1:1"}, Transport: thriftloom.Header}.Dial(doc.Service("Wires")) // where nobody listens
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Handle(t.Context(), &rpc.Call{Service: "Wires", Name: "get", Protocol: thriftloom.Binary, Body: []byte{0}, Start: time.Now(), Headers: []wires.KV{{Key: "evil\n"}}})
	if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.Malformed || e.Reach != rpc.NotSent || !strings.Contains(e.Text, `THeader cannot carry the header "evil\n"`) {
		t.Errorf("%v", err)
	}
}

// A client is told at once where tracking cannot go along.
func TestTrackingNeedsItsWire(t *testing.T) {
	doc, err := thriftloom.LoadBytes("wires.thrift", []byte("service Wires { string get(1: string key) }"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		transport thriftloom.Transport
		protocol  thriftloom.Protocol
		want      string
	}{
		{0, 0, ""},
		{thriftloom.Framed, thriftloom.Compact, ""},
		{thriftloom.Header, thriftloom.Binary, "thriftloom: Tracking is not spoken over header in binary"},
		{thriftloom.HTTP, thriftloom.Binary, "thriftloom: Tracking is not spoken over http in binary"},
		{thriftloom.Framed, thriftloom.JSON, "thriftloom: Tracking is not spoken over framed in json"},
	} {
		got := ""
		client, err := thriftloom.ClientConfig{Addresses: []string{"127.0.0.1:1"}, Transport: c.transport, Protocol: c.protocol, Tracking: "shop"}.Dial(doc.Service("Wires"))
		if err != nil {
			got = err.Error()
		} else {
			client.Close()
		}
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
