package gateway_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/transport"
)

// dialTLS is dial over TLS. An error of the handshake is returned.
func dialTLS(t *testing.T, address string, config *tls.Config) (*caller, error) {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &caller{t: t, Conn: c}, nil
}

// mustDialTLS is dialTLS that has to succeed.
func mustDialTLS(t *testing.T, address string, config *tls.Config) *caller {
	t.Helper()
	c, err := dialTLS(t, address, config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// peerTLS is peer over TLS.
func peerTLS(t *testing.T, config *tls.Config, script func(transport.Message) fakepeer.Answer) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	return peerAt(t, l, script)
}

// peerAt is peer on a listener.
func peerAt(t *testing.T, l net.Listener, script func(transport.Message) fakepeer.Answer) (address string) {
	t.Helper()
	return servePeer(t, l, &fakepeer.Peer{Script: script})
}

// servePeer serves p on a listener until the test ends.
func servePeer(t *testing.T, l net.Listener, p *fakepeer.Peer) (address string) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Serve(l)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// metric is the sum of a metric's samples whose labels have these values; of a histogram it is how many there were.
func (r *running) metric(name string, labels ...string) (sum float64) {
	r.t.Helper()
	families, err := r.Registry().Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	samples:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetValue() == want
				}
				if !found {
					continue samples
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// A caller shows its certificate at a listener that asks for one, and is known by it; the gateway verifies the server's name and shows
// its own certificate there. Who has no certificate, or one of another authority, and who speaks no TLS, is closed and counted.
func TestMutualTLSOnBothSides(t *testing.T) {
	ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
	server := &tls.Config{
		Certificates: []tls.Certificate{ca.Sign(t, []string{"127.0.0.1"}).TLS(t)}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
	address := peerTLS(t, server, named("users"))
	authority := ca.Write(t, dir, "ca")
	cert, key := ca.Sign(t, []string{"gateway.test"}).Write(t, dir, "gateway")
	r := start(t, fmt.Sprintf(`
listen: {address: "127.0.0.1:0", tls: {cert_file: %q, key_file: %q, client_ca_file: %q}}
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: [%q], tls: {ca_file: %q, cert_file: %q, key_file: %q}}
`, cert, key, authority, address, authority, cert, key))
	at := r.Addresses()[0]
	web := ca.Sign(t, []string{"web.acme.test", "spiffe://acme/web"})
	config := &tls.Config{RootCAs: ca.Pool(), ServerName: "gateway.test", Certificates: []tls.Certificate{web.TLS(t)}}
	c := mustDialTLS(t, at, config)
	for range 3 {
		c.expect("getUser", "users")
	}
	if n := r.metric("thriftloom_caller_calls_total", "spiffe://acme/web", "Users"); n != 3 {
		t.Errorf("%v calls of spiffe://acme/web are counted", n)
	}

	plain := dial(t, at)
	if _, err := plain.Write([]byte("\x80\x01\x00\x01\x00\x00\x00\x07getUser\x00\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(plain); len(got) > 0 && got[0] != 0x15 { // an alert
		t.Errorf("without TLS: % x", got)
	}
	stranger := config.Clone()
	forged := testcert.NewCA(t, "strangers").Sign(t, []string{"spiffe://acme/web"}).TLS(t)
	stranger.Certificates = nil
	stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &forged, nil }
	nobody := config.Clone()
	nobody.Certificates = nil
	for _, config := range []*tls.Config{stranger, nobody} {
		if c, err := dialTLS(t, at, config); err == nil { // in TLS 1.3 the refusal comes when the handshake seems done
			if got := c.call("getUser"); got != "closed" {
				t.Errorf("with a certificate that is not trusted: %q", got)
			}
		}
	}
	for _, reason := range []string{"not_tls", "bad_certificate", "no_certificate"} {
		eventually(t, reason+" is counted", func() bool {
			return r.metric("thriftloom_tls_handshake_failures_total", reason) == 1
		})
	}
}

// A caller that speaks TLS on a plain port is closed at once, and counted by what it did.
func TestTLSOnPlainPort(t *testing.T) {
	address, _, _ := peer(t, named("users"))
	r := start(t, fmt.Sprintf("listen: \"127.0.0.1:0\"\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}", address))
	if _, err := dialTLS(t, r.Addresses()[0], &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("it speaks TLS")
	}
	if n := r.metric("thriftloom_malformed_messages_total", "tls"); n != 1 {
		t.Errorf("%v are counted", n)
	}
}

// Of several certificates a caller gets the one for the name that it asks for, and the first where none is.
func TestCertificateByName(t *testing.T) {
	ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
	address, _, _ := peer(t, named("users"))
	users, usersKey := ca.Sign(t, []string{"users.test"}).Write(t, dir, "users")
	orders, ordersKey := ca.Sign(t, []string{"orders.test", "*.orders.test"}).Write(t, dir, "orders")
	r := start(t, fmt.Sprintf(`
listen: {address: "127.0.0.1:0", tls: {cert_file: %q, key_file: %q, certificates: [{cert_file: %q, key_file: %q}]}}
services: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}
`, users, usersKey, orders, ordersKey, address))
	for name, want := range map[string]string{
		"users.test": "users.test", "orders.test": "orders.test", "eu.orders.test": "orders.test", "other.test": "users.test", "": "users.test",
	} {
		c := mustDialTLS(t, r.Addresses()[0], &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if got := c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("%q got the certificate of %s, want %s", name, got, want)
		}
		c.expect("getUser", "users")
	}
}

// What is wrong with a server's certificate is told without an address, and nothing is sent; what may be left out is.
func TestServersCertificateIsVerified(t *testing.T) {
	ca, other, dir := testcert.NewCA(t, "acme"), testcert.NewCA(t, "other"), t.TempDir()
	address := peerTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.Sign(t, []string{"users.test"}).TLS(t)}}, named("users"))
	plain, _, _ := peer(t, named("plain"))
	over := peerTLS(t, &tls.Config{Certificates: []tls.Certificate{
		ca.Sign(t, []string{"127.0.0.1"}, testcert.Until(time.Now().Add(-time.Minute))).TLS(t)}}, named("over"))
	good, bad := ca.Write(t, dir, "ca"), other.Write(t, dir, "other")
	for _, tt := range []struct{ name, address, tls, want string }{
		{"by the configured name", address, fmt.Sprintf("{ca_file: %q, server_name: users.test}", good), "users"},
		{"the chain alone", address, fmt.Sprintf("{ca_file: %q, verify: chain}", good), "users"},
		{"for another host", address, fmt.Sprintf("{ca_file: %q}", good), "6 UNAVAILABLE: upstream Users: the server's certificate is not accepted; call …"},
		{"of another authority", address, fmt.Sprintf("{ca_file: %q, verify: chain}", bad), "6 UNAVAILABLE: upstream Users: the server's certificate is not accepted; call …"},
		{"over", over, fmt.Sprintf("{ca_file: %q}", good), "6 UNAVAILABLE: upstream Users: the server's certificate is not accepted; call …"},
		{"of the system's authorities", address, "{server_name: users.test}", "6 UNAVAILABLE: upstream Users: the server's certificate is not accepted; call …"},
		{"a server without TLS", plain, fmt.Sprintf("{ca_file: %q}", good), "6 UNAVAILABLE: upstream Users: the server …"},
		{"a server with TLS, called without", address, "", "6 UNAVAILABLE: upstream Users: the server speaks TLS, and is called without; call …"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			block := ""
			if tt.tls != "" {
				block = ", tls: " + tt.tls
			}
			r := start(t, fmt.Sprintf("listen: \"127.0.0.1:0\"\nservices: {Users: {idl: users.thrift, timeout: 5s, retry: {attempts: 1}, upstream: {endpoints: [%q]%s}}}",
				tt.address, block))
			got := dial(t, r.Addresses()[0]).call("getUser")
			if want := strings.TrimSuffix(tt.want, "…"); !strings.HasPrefix(got, want) || strings.Contains(got, "127.0.0.1") {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A new certificate is shown to new callers; connections that are open go on. What is broken is not taken over: the last good one stays,
// and the snapshot, a metric and a reload say so, while the rest of the config changes.
func TestCertificateRotation(t *testing.T) {
	ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
	address, _, _ := peer(t, named("users"))
	cert, key := ca.Sign(t, []string{"one.test"}).Write(t, dir, "gateway")
	config := func(timeout string) string {
		return fmt.Sprintf(`
listen: {address: "127.0.0.1:0", tls: {cert_file: %q, key_file: %q}}
services: {Users: {idl: users.thrift, timeout: %s, upstream: {endpoints: [%q]}}}
`, cert, key, timeout, address)
	}
	r := start(t, config("5s"))
	at := r.Addresses()[0]
	names := func() string {
		return mustDialTLS(t, at, &tls.Config{RootCAs: ca.Pool(), InsecureSkipVerify: true}).Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	open := mustDialTLS(t, at, &tls.Config{RootCAs: ca.Pool(), ServerName: "one.test"})
	open.expect("getUser", "users")

	ca.Sign(t, []string{"two.test"}).Write(t, dir, "gateway")
	r.reload(config("5s"))
	if got := names(); got != "two.test" {
		t.Errorf("a new caller gets %s", got)
	}
	open.expect("getUser", "users")

	if err := os.WriteFile(key, testcert.NewCA(t, "x").Sign(t, []string{"x"}).Key, 0o600); err != nil {
		t.Fatal(err)
	}
	r.reload(config("4s"))
	if got := names(); got != "two.test" {
		t.Errorf("with a broken key a new caller gets %s", got)
	}
	open.expect("getUser", "users")
	s := r.Snapshot()
	if got := s.Services[0].Methods[0].TimeoutSeconds; got != 4 {
		t.Errorf("the timeout is %v s: the rest of the config was not taken over", got)
	}
	if c := s.Certificates; len(c) != 1 || c[0].File != cert || !strings.Contains(c[0].Problem, filepath.Base(key)) || c[0].Names[0] != "two.test" {
		t.Errorf("the snapshot has %+v", c)
	}
	if r.metric("thriftloom_certificate_stale", cert) != 1 {
		t.Error("the metric does not say that the certificate is stale")
	}

	until := time.Now().Add(time.Hour).Truncate(time.Second)
	ca.Sign(t, []string{"three.test"}, testcert.Until(until)).Write(t, dir, "gateway")
	r.reload(config("4s"))
	if got := names(); got != "three.test" {
		t.Errorf("once it is whole again a new caller gets %s", got)
	}
	if got := r.metric("thriftloom_certificate_not_after_seconds", cert); got != float64(until.Unix()) || r.metric("thriftloom_certificate_stale", cert) != 0 {
		t.Errorf("it ends at %v, want %v", got, until.Unix())
	}
	open.expect("getUser", "users")
}

// TLS is turned on and off at an open address by a reload; connections that are open stay as they are.
func TestTLSByReload(t *testing.T) {
	ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
	address, _, _ := peer(t, named("users"))
	cert, key := ca.Sign(t, []string{"gateway.test"}).Write(t, dir, "gateway")
	at := unused(t)
	services := fmt.Sprintf("services: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", address)
	plain := fmt.Sprintf("listen: %q\n", at) + services
	secure := fmt.Sprintf("listen: {address: %q, tls: {cert_file: %q, key_file: %q}}\n", at, cert, key) + services
	r := start(t, plain)
	before := dial(t, at)
	before.expect("getUser", "users")
	r.reload(secure)
	over := mustDialTLS(t, at, &tls.Config{RootCAs: ca.Pool(), ServerName: "gateway.test"})
	over.expect("getUser", "users")
	before.expect("getUser", "users")
	r.reload(plain)
	dial(t, at).expect("getUser", "users")
	over.expect("getUser", "users")
}
