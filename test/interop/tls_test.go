package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/transport"
)

// papers are the files of an authority, and of who it has signed.
type papers struct {
	ca, strange           string // strange is another authority
	cert, key, both       string // of gateway and servers; both holds the two, as ThriftPy's servers want them
	callerCert, callerKey string
}

func issue(t *testing.T) papers {
	t.Helper()
	dir, ca := t.TempDir(), testcert.NewCA(t, "acme")
	pair := ca.Sign(t, []string{"localhost", "127.0.0.1", "gateway.test"})
	p := papers{ca: ca.Write(t, dir, "ca"), both: filepath.Join(dir, "both.pem"), strange: testcert.NewCA(t, "strange").Write(t, dir, "strange")}
	p.cert, p.key = pair.Write(t, dir, "gateway")
	p.callerCert, p.callerKey = ca.Sign(t, []string{"spiffe://acme/web"}).Write(t, dir, "web")
	if err := os.WriteFile(p.both, append(pair.Cert, pair.Key...), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// serveTLS runs tls_server.py until the test ends and returns its address.
func serveTLS(t *testing.T, l peertest.Library, kind transport.Kind, p papers, flags ...string) string {
	t.Helper()
	address := peertest.FreePort(t)
	args := append([]string{peertest.File("tls_server.py"), "--library", l.Name, "--transport", kind.String()}, flags...)
	peertest.Start(t, l.Python, append(args, p.both, address)...)
	return address
}

// ThriftPy's TSSLSocket gets every kind of answer through a TLS listener, and where the listener asks for one it shows its certificate;
// behind it ThriftPy's make_server with a certfile is called over TLS, its name verified, and with the gateway's certificate where the
// server asks for it.
func TestThriftPyOverTLS(t *testing.T) {
	peertest.Require(t)
	p := issue(t)
	for _, l := range peertest.Libraries {
		for _, kind := range kindsOfTransport {
			t.Run(l.Name+"-"+kind.String(), func(t *testing.T) {
				t.Parallel()
				plain, mutual := peertest.FreePort(t), peertest.FreePort(t)
				service := "  %s: {service: Kinds, idl: %s, listen: {address: %q, tls: {cert_file: %q, key_file: %q%s}}, " +
					"upstream: {endpoints: [%q], server: threaded, slots: 16, transport: %v, tls: {ca_file: %q%s}}}\n"
				g := peertest.StartGateway(t, "defaults: {timeout: 30s, queue: {max_wait: 30s}}\nservices:\n"+
					fmt.Sprintf(service, "TLS", peertest.File("kinds.thrift"), plain, p.cert, p.key, "",
						serveTLS(t, l, kind, p), kind, p.ca, "")+
					fmt.Sprintf(service, "Mutual", peertest.File("kinds.thrift"), mutual, p.cert, p.key, ", client_ca_file: "+p.ca,
						serveTLS(t, l, kind, p, "--client-ca", p.ca), kind, p.ca, ", cert_file: "+p.callerCert+", key_file: "+p.callerKey))
				for _, label := range []string{"TLS", "Mutual"} {
					peertest.Eventually(t, label+" answers", func() bool {
						ok, _ := g.Ready(label)
						return ok
					})
				}
				t.Run("tls", func(t *testing.T) { l.Call(t, kind, peertest.CrashException, plain, "--cafile", p.ca) })
				t.Run("mutual", func(t *testing.T) {
					l.Call(t, kind, peertest.CrashException, mutual, "--cafile", p.ca, "--certfile", p.callerCert, "--keyfile", p.callerKey)
				})
			})
		}
	}
}

// OpenSSL's own client gets in with TLS 1.2 and 1.3, is shown the certificate for the name that it asks for, and does not get in with an
// older version, or without the certificate that is asked for.
func TestOpenSSLClient(t *testing.T) {
	openssl := peertest.RequireProgram(t, "openssl")
	p := issue(t)
	address := peertest.FreePort(t)
	peertest.StartGateway(t, fmt.Sprintf("services:\n  Kinds: {idl: %s, timeout: 5s, upstream: {endpoints: [\"127.0.0.1:1\"]}, "+
		"listen: {address: %q, tls: {cert_file: %q, key_file: %q, client_ca_file: %q}}}\n",
		peertest.File("kinds.thrift"), address, p.cert, p.key, p.ca))
	connect := func(flags ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		args := append([]string{"s_client", "-connect", address, "-CAfile", p.ca, "-servername", "gateway.test", "-verify_return_error", "-brief"}, flags...)
		cmd := exec.CommandContext(ctx, openssl, args...)
		cmd.Stdin = strings.NewReader("\x80\x01\x00\x01\x00\x00\x00\x04nope\x00\x00\x00\x00\x00")
		out, _ := cmd.CombinedOutput() // the exit code says less than the text
		return string(out)
	}
	own := []string{"-cert", p.callerCert, "-key", p.callerKey}
	for version, name := range map[string]string{"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"} {
		if out := connect(append(own, version)...); !strings.Contains(out, "Protocol version: "+name) || !strings.Contains(out, "Verification: OK") {
			t.Errorf("%s: %s", version, out)
		}
	}
	if out := connect(append(own, "-tls1_1")...); strings.Contains(out, "CONNECTION ESTABLISHED") {
		t.Errorf("TLS 1.1: %s", out)
	}
	if out := connect("-tls1_2"); strings.Contains(out, "CONNECTION ESTABLISHED") {
		t.Errorf("without a certificate: %s", out)
	}
}
