package client_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
)

// A handshake that fails is an outcome of its own, of which nothing was sent: at the dial, or, where TLS 1.3 lets a server refuse the
// client's certificate when the handshake seems done, at the first call.
func TestFailedHandshake(t *testing.T) {
	ca, now := testcert.NewCA(t, "acme"), time.Now()
	clock := func() time.Time { return now } // bubbles begin in 2000
	server := &tls.Config{Certificates: []tls.Certificate{ca.Sign(t, []string{"users.test"}).TLS(t)}, Time: clock}
	mutual := server.Clone()
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	good := &tls.Config{RootCAs: ca.Pool(), ServerName: "users.test", Time: clock}
	elsewhere := good.Clone()
	elsewhere.ServerName = "orders.test"
	for _, tt := range []struct {
		name           string
		server, client *tls.Config
		text           string
	}{
		{"for another name", server, elsewhere, "the server's certificate is not accepted"},
		{"the server refuses late", mutual, good, "the server refused the TLS handshake"},
		{"the server speaks TLS", server, nil, "the server speaks TLS, and is called without"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memnet.New()
				l, err := network.Listen("peer:1")
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				var serving sync.WaitGroup
				defer func() { close(done); _ = l.Close(); serving.Wait() }()
				serving.Go(func() {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_ = tls.Server(c, tt.server).Handshake()
					<-done // a close at once may take the refusal with it
					_ = c.Close()
				})
				engine := netio.NewPortable()
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_ = engine.Run(ctx)
				}()
				defer func() { cancel(); <-ended }()
				cfg := client.Config{Wire: unframed, Dialer: network.Dial}
				if tt.client != nil {
					cfg.Dialer = client.TLSDialer(network.Dial, func(string) *tls.Config { return tt.client })
				}
				c, err := client.Dial(ctx, engine, "peer:1", cfg)
				if err == nil {
					_, err = c.Handle(ctx, &rpc.Call{Name: "ping", Body: []byte{0}, Start: time.Now(), Deadline: time.Now().Add(5 * time.Second)})
					c.Close()
				}
				if e := rpc.AsError(err, ""); e == nil || e.Outcome != rpc.TLSFailed || e.Reach != rpc.NotSent || e.Code != rpc.Unavailable || e.Text != tt.text {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// A server that takes the connection and stays silent is late, as one that takes none: the dial ends with its context.
func TestSilentHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		l, err := network.Listen("peer:1")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		accepted := make(chan net.Conn, 1)
		go func() {
			if c, err := l.Accept(); err == nil {
				accepted <- c
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		dial := client.TLSDialer(network.Dial, func(string) *tls.Config { return &tls.Config{ServerName: "users.test"} })
		_, err = client.Dial(ctx, netio.NewPortable(), "peer:1", client.Config{Wire: unframed, Dialer: dial})
		if e := rpc.AsError(err, ""); e == nil || e.Outcome != rpc.ConnectTimeout || e.Reach != rpc.NotSent {
			t.Errorf("%v", err)
		}
		_ = (<-accepted).Close()
	})
}
