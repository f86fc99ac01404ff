package netio_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/netio/netiotest"
)

// The portable engine keeps the contract over TLS.
func TestPortableOverTLS(t *testing.T) {
	server, client := configs(t)
	netiotest.Test(t, netio.NewPortable, func(t *testing.T) (net.Conn, net.Conn) {
		own, peer := sockets(t, "127.0.0.1:0")
		greeted := make(chan error, 1)
		secure := tls.Server(own, server)
		go func() { greeted <- secure.Handshake() }()
		c, err := netio.Handshake(t.Context(), peer, client)
		if err := errors.Join(err, <-greeted); err != nil {
			t.Fatal(err)
		}
		return secure, c
	})
}

// configs returns what a server and its client need; the server wants no certificate. Their time is the machine's, in bubbles too, where
// clocks begin in 2000.
func configs(t *testing.T) (server, client *tls.Config) {
	ca, now := testcert.NewCA(t, "test"), time.Now()
	clock := func() time.Time { return now }
	return &tls.Config{
			Certificates: []tls.Certificate{ca.Sign(t, []string{"users.test"}).TLS(t)}, MinVersion: tls.VersionTLS12, Time: clock,
		},
		&tls.Config{RootCAs: ca.Pool(), ServerName: "users.test", MinVersion: tls.VersionTLS12, Time: clock}
}

// failure is what a listener's OnFailure was told.
type failure struct {
	why netio.HandshakeFailure
	err error
}

// greeter is a TLS listener in memory. Use it inside a bubble.
type greeter struct {
	*testing.T
	net.Listener
	network *memnet.Network
	failed  chan failure
}

// greet runs test in a bubble against a TLS listener.
func greet(t *testing.T, opts netio.TLSOptions, test func(*greeter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &greeter{T: t, network: memnet.New(), failed: make(chan failure, 100)}
		l, err := g.network.Listen("10.0.0.1:6100")
		if err != nil {
			t.Fatal(err)
		}
		opts.OnFailure = func(_ net.Addr, why netio.HandshakeFailure, err error) { g.failed <- failure{why, err} }
		g.Listener = netio.NewTLSListener(l, opts)
		defer func() {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			if c, err := g.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept after Close: %v, %v", c, err)
			}
		}()
		test(g)
	})
}

func (g *greeter) dial() net.Conn { return g.dialFrom("127.0.0.1") }

// dialFrom is dial by another host.
func (g *greeter) dialFrom(host string) net.Conn {
	g.Helper()
	c, err := g.network.DialFrom(g.Context(), host, "10.0.0.1:6100")
	if err != nil {
		g.Fatal(err)
	}
	return c
}

// expect checks why the last handshake failed.
func (g *greeter) expect(want netio.HandshakeFailure) {
	g.Helper()
	synctest.Wait()
	select {
	case f := <-g.failed:
		if f.why != want || f.err == nil {
			g.Errorf("failed as %s, want %s: %v", f.why, want, f.err)
		}
	default:
		g.Errorf("no handshake failed, want %s", want)
	}
}

// A caller that stays silent after the connection keeps no other from being accepted, and is closed when its time is over.
func TestSilentCallerHoldsNobodyUp(t *testing.T) {
	server, client := configs(t)
	greet(t, netio.TLSOptions{Config: func() *tls.Config { return server }, Timeout: 3 * time.Second}, func(g *greeter) {
		silent, begun := g.dial(), time.Now()
		defer silent.Close()
		greeted := make(chan net.Conn)
		go func() {
			c, err := netio.Handshake(context.Background(), g.dial(), client)
			if err != nil {
				g.Error(err)
			}
			greeted <- c
		}()
		accepted, err := g.Accept()
		if err != nil {
			g.Fatal(err)
		}
		c := <-greeted
		if _, err := accepted.Write([]byte("x")); err != nil {
			g.Error(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			g.Error(err)
		}
		if time.Since(begun) != 0 {
			g.Errorf("the second caller waited %v", time.Since(begun))
		}
		if _, err := silent.Read(make([]byte, 1)); err == nil || time.Since(begun) != 3*time.Second {
			g.Errorf("the silent caller: %v after %v", err, time.Since(begun))
		}
		g.expect(netio.HandshakeTimeout)
		_, _ = c.Close(), accepted.Close()
	})
}

// Past the bound of handshakes at one time a connection is closed at once; when one has ended the next is greeted.
func TestHandshakesAreBounded(t *testing.T) {
	server, client := configs(t)
	greet(t, netio.TLSOptions{Config: func() *tls.Config { return server }, MaxHandshakes: 2}, func(g *greeter) {
		first, second := g.dial(), g.dial()
		defer second.Close()
		synctest.Wait()
		third := g.dial()
		if _, err := third.Read(make([]byte, 1)); err == nil {
			g.Error("the third was not closed")
		}
		g.expect(netio.TooManyHandshakes)
		_ = first.Close()
		g.expect(netio.ClosedInHandshake)
		go func() {
			c, err := netio.Handshake(context.Background(), g.dial(), client)
			if err != nil {
				g.Error(err)
				return
			}
			_ = c.Close()
		}()
		c, err := g.Accept()
		if err != nil {
			g.Fatal(err)
		}
		_ = c.Close()
	})
}

// One host that stays silent keeps the others in: it has a quarter of the handshakes.
func TestHandshakesOfOneHostAreBounded(t *testing.T) {
	server, client := configs(t)
	greet(t, netio.TLSOptions{Config: func() *tls.Config { return server }, MaxHandshakes: 4}, func(g *greeter) {
		silent := g.dialFrom("10.0.0.66")
		defer silent.Close()
		synctest.Wait()
		if _, err := g.dialFrom("10.0.0.66").Read(make([]byte, 1)); err == nil {
			g.Error("a second handshake of the host was not refused")
		}
		g.expect(netio.TooManyHandshakes)
		go func() {
			c, err := netio.Handshake(context.Background(), g.dialFrom("10.0.0.7"), client)
			if err != nil {
				g.Error(err)
				return
			}
			_ = c.Close()
		}()
		c, err := g.Accept()
		if err != nil {
			g.Fatal(err)
		}
		_ = c.Close()
		_ = silent.Close()
		g.expect(netio.ClosedInHandshake)
		again := g.dialFrom("10.0.0.66")
		synctest.Wait()
		if len(g.failed) > 0 {
			g.Error("the place of a handshake that has ended is not free")
		}
		_ = again.Close()
		g.expect(netio.ClosedInHandshake)
	})
}

// Why a handshake failed is told in a word.
func TestHandshakeFailures(t *testing.T) {
	server, client := configs(t)
	ca := testcert.NewCA(t, "callers")
	mutual := server.Clone()
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	with := func(p testcert.Pair) *tls.Config {
		c := client.Clone()
		pair := p.TLS(t)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		return c
	}
	old := client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	distrusts := client.Clone()
	distrusts.RootCAs = ca.Pool()
	elsewhere := client.Clone()
	elsewhere.ServerName = "orders.test"
	for _, tt := range []struct {
		name   string
		server *tls.Config
		client *tls.Config
		plain  string // is written instead of a handshake
		want   netio.HandshakeFailure
		seen   netio.HandshakeFailure // by the caller; "" where it learns of it later
	}{
		{"no certificate", mutual, client, "", netio.NoCertificate, ""},
		{"another authority's", mutual, with(testcert.NewCA(t, "strangers").Sign(t, []string{"web"})), "", netio.BadCertificate, ""},
		{"a certificate that is over", mutual, with(ca.Sign(t, []string{"web"}, testcert.Until(time.Now().Add(-time.Minute)))), "", netio.BadCertificate, ""},
		{"the caller trusts another authority", server, distrusts, "", netio.RefusedByPeer, netio.BadCertificate},
		{"the caller wants another name", server, elsewhere, "", netio.RefusedByPeer, netio.BadCertificate},
		{"TLS 1.1", server, old, "", netio.NoCommonVersion, netio.RefusedByPeer},
		{"plain Thrift, unframed", server, nil, "\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x00\x00", netio.NotTLS, ""},
		{"plain Thrift, framed", server, nil, "\x00\x00\x00\x11\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x00\x00", netio.NotTLS, ""},
		{"HTTP", server, nil, "GET / HTTP/1.1\r\n\r\n", netio.NotTLS, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := netio.Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			failed := make(chan failure, 10)
			secure := netio.NewTLSListener(l, netio.TLSOptions{
				Config:    func() *tls.Config { return tt.server },
				OnFailure: func(_ net.Addr, why netio.HandshakeFailure, err error) { failed <- failure{why, err} },
			})
			defer secure.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if tt.client == nil {
				if _, err := c.Write([]byte(tt.plain)); err != nil {
					t.Fatal(err)
				}
			} else {
				_, err := netio.Handshake(t.Context(), c, tt.client)
				failed, _ := errors.AsType[*netio.HandshakeError](err)
				if tt.seen != "" && (failed == nil || failed.Failure != tt.seen) {
					t.Errorf("the caller saw %v, want %s", err, tt.seen)
				}
			}
			if f := <-failed; f.why != tt.want {
				t.Errorf("failed as %s, want %s: %v", f.why, tt.want, f.err)
			}
		})
	}
}

// A listener may begin and end to speak TLS while it is open: the config is asked for each connection.
func TestPlainWhereThereIsNoConfig(t *testing.T) {
	greet(t, netio.TLSOptions{}, func(g *greeter) {
		c := g.dial()
		defer c.Close()
		own, err := g.Accept()
		if err != nil {
			g.Fatal(err)
		}
		if _, ok := own.(*tls.Conn); ok {
			g.Error("it speaks TLS")
		}
		_ = own.Close()
	})
}

// Close closes connections whose handshake goes on, and those that wait to be accepted.
func TestCloseLeavesNothing(t *testing.T) {
	server, client := configs(t)
	greet(t, netio.TLSOptions{Config: func() *tls.Config { return server }}, func(g *greeter) {
		silent := g.dial()
		defer silent.Close()
		done := make(chan net.Conn)
		go func() {
			c, err := netio.Handshake(context.Background(), g.dial(), client)
			if err != nil {
				g.Error(err)
			}
			done <- c
		}()
		waiting := <-done
		if err := g.Close(); err != nil {
			g.Fatal(err)
		}
		for _, c := range []net.Conn{silent, waiting} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				g.Error("a connection is left open")
			}
		}
		_ = waiting.Close()
		if len(g.failed) > 0 {
			g.Errorf("a failure was told: %v", <-g.failed)
		}
		g.Listener = closedListener{g.Listener}
	})
}

// closedListener is closed once more without an error.
type closedListener struct{ net.Listener }

func (closedListener) Close() error { return nil }
