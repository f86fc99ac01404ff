package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/testcert"
)

// A verified certificate says who calls: URIs first, then host names, the common name where it has neither. One that nobody has verified
// says nothing, and what cannot be shown is left out whole: it becomes labels of metrics.
func TestIdentities(t *testing.T) {
	ca := testcert.NewCA(t, "acme")
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("h%02d.test", i))
	}
	verified, asked := tls.RequireAndVerifyClientCert, tls.RequireAnyClientCert
	for _, tt := range []struct {
		name string
		auth tls.ClientAuthType
		pair testcert.Pair
		want []string
	}{
		{"URI before host names", verified, ca.Sign(t, []string{"web.test", "spiffe://acme/web", "10.0.0.7"}, testcert.CommonName("cn")), []string{"spiffe://acme/web", "web.test"}},
		{"host names", verified, ca.Sign(t, []string{"b.test", "a.test"}, testcert.CommonName("cn")), []string{"b.test", "a.test"}},
		{"common name", verified, ca.Sign(t, nil, testcert.CommonName("web")), []string{"web"}},
		{"an address is no identity", verified, ca.Sign(t, []string{"10.0.0.7"}, testcert.CommonName("web")), []string{"web"}},
		{"nothing", verified, ca.Sign(t, nil), nil},
		{"control characters", verified, ca.Sign(t, nil, testcert.CommonName("we\nb")), nil},
		{"who has not logged in", verified, ca.Sign(t, nil, testcert.CommonName("user:alice")), nil},
		{"too long", verified, ca.Sign(t, []string{"spiffe://acme/" + strings.Repeat("x", maxIdentityBytes)}), nil},
		{"too many", verified, ca.Sign(t, many), many[:maxIdentities]},
		{"not verified", asked, testcert.NewCA(t, "strangers").Sign(t, []string{"spiffe://acme/web"}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			own := tt.pair.TLS(t)
			secure := tls.Server(a, &tls.Config{
				Certificates: []tls.Certificate{ca.Sign(t, []string{"server.test"}).TLS(t)}, ClientAuth: tt.auth, ClientCAs: ca.Pool(), MinVersion: tls.VersionTLS12,
			})
			caller := tls.Client(b, &tls.Config{RootCAs: ca.Pool(), ServerName: "server.test", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }})
			go func() {
				_ = caller.Handshake()
				_, _ = caller.Read(make([]byte, 1)) // the pipe has no buffer: TLS 1.3 sends tickets
			}()
			if err := secure.Handshake(); err != nil {
				t.Fatal(err)
			}
			if got, known := identities(secure); !slices.Equal(got, tt.want) || known != (tt.auth == verified) {
				t.Errorf("%q, verified %v, want %q", got, known, tt.want)
			}
		})
	}
	plain, other := net.Pipe()
	defer plain.Close()
	defer other.Close()
	if got, known := identities(plain); got != nil || known {
		t.Errorf("without TLS: %q, %v", got, known)
	}
}
