package thriftloom_test

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/rpc"
)

// Server and client speak TLS where they are given a config: the client verifies the host that it dials, and the handler learns who calls
// from the certificate.
func TestServeAndDialTLS(t *testing.T) {
	doc, ca := document(t), testcert.NewCA(t, "acme")
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	defer served.Wait()
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := thriftloom.NewServer(doc.Service("Users"), Users{})
	if err != nil {
		t.Fatal(err)
	}
	callers, next := make(chan rpc.Caller, 10), s.Handler
	s.Handler = rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
		callers <- call.Caller
		return next.Handle(ctx, call)
	})
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Sign(t, []string{"127.0.0.1", "users.test"}).TLS(t)}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
	served.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	own := []tls.Certificate{ca.Sign(t, []string{"web.test", "spiffe://acme/web"}).TLS(t)}
	for _, tt := range []struct {
		name string
		tls  *tls.Config
		ok   bool
	}{
		{"by address", &tls.Config{RootCAs: ca.Pool(), Certificates: own}, true},
		{"by name", &tls.Config{RootCAs: ca.Pool(), Certificates: own, ServerName: "users.test"}, true},
		{"by another name", &tls.Config{RootCAs: ca.Pool(), Certificates: own, ServerName: "orders.test"}, false},
		{"without TLS", nil, false},
	} {
		c, err := thriftloom.ClientConfig{Addresses: []string{l.Addr().String()}, TLS: tt.tls, Timeout: 10 * time.Second, Attempts: 1}.Dial(doc.Service("Users"))
		if err != nil {
			t.Fatal(err)
		}
		var users struct {
			GetUser func(ctx context.Context, id int64) (*User, error)
		}
		if err := thriftloom.Bind(c, &users); err != nil {
			t.Fatal(err)
		}
		if _, err := users.GetUser(ctx, 7); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
		c.Close()
	}
	for range 2 {
		if c := <-callers; c.Name != "spiffe://acme/web" || !slices.Equal(c.Identities, []string{"spiffe://acme/web", "web.test"}) {
			t.Errorf("the caller is %+v", c)
		}
	}
	if len(callers) > 0 {
		t.Error("a call has come in that should not have")
	}
}
