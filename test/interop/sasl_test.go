package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

// ThriftPy2's TSaslClientTransport logs in at the library's server, and at a gateway that logs in at a server itself, with and without
// TLS, and gets every kind of answer; who has another password gets none.
func TestThriftPySASL(t *testing.T) {
	peertest.Require(t)
	p, dir := issue(t), t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	users, password := write("users", "# who may call\nalice:pwd:1\nbob:pwd2\n"), write("password", "pwd3\n")
	asks := func(user, password string) string {
		s, err := thriftloom.NewServer(document(t).Service("Kinds"), new(kinds), thriftloom.Exceptions((*Refused)(nil)))
		if err != nil {
			t.Fatal(err)
		}
		s.Login = func(u, p string) bool { return u == user && p == password }
		return peertest.ServeGo(t, s)
	}
	direct, behind := asks("alice", "pwd:1"), asks("gateway", "pwd3")
	plain, secure := peertest.FreePort(t), peertest.FreePort(t)
	service := "  %s: {service: Kinds, idl: %s, allow: [\"user:alice\"], listen: {address: %q, sasl: {users_file: %q}%s}, " +
		"upstream: {endpoints: [%q], server: threaded, slots: 16, sasl: {user: gateway, password_file: %q}}}\n"
	g := peertest.StartGateway(t, "defaults: {timeout: 30s, queue: {max_wait: 30s}}\nservices:\n"+
		fmt.Sprintf(service, "Plain", peertest.File("kinds.thrift"), plain, users, "", behind, password)+
		fmt.Sprintf(service, "Secure", peertest.File("kinds.thrift"), secure, users, fmt.Sprintf(", tls: {cert_file: %q, key_file: %q}", p.cert, p.key), behind, password))
	g.AwaitReady(t, "")
	for _, l := range peertest.Libraries {
		if l.Name != "thriftpy2" { // 0.3.9 has no SASL
			continue
		}
		for _, c := range []struct {
			name, address string
			flags         []string
		}{
			{"server", direct, nil}, {"gateway", plain, nil}, {"gateway with TLS", secure, []string{"--cafile", p.ca}},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				l.Call(t, transport.Buffered, peertest.CrashException, c.address, append(c.flags, "--sasl", "alice:pwd:1")...)
			})
			t.Run(c.name+", wrong password", func(t *testing.T) {
				t.Parallel()
				if got := l.Refused(t, c.address, append(c.flags, "--sasl", "alice:pwd")...); got != "TTransportException" {
					t.Errorf("%q", got)
				}
			})
		}
		t.Run("not on the list", func(t *testing.T) {
			t.Parallel()
			if got := l.Refused(t, plain, "--sasl", "bob:pwd2"); got != "TApplicationException" {
				t.Errorf("%q", got)
			}
		})
	}
}
