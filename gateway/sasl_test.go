package gateway_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/netio"
)

// A listener with users lets in nobody else; a reload changes who may come, and connections that are open stay.
func TestUsers(t *testing.T) {
	address, _, _ := peer(t, named("users"))
	r := prepare(t)
	r.write("users.txt", "# who may call\nalice:pwd\n\nbob:p:w\n")
	r.write("thriftloom.yaml", fmt.Sprintf(`
listen: {address: "127.0.0.1:0", sasl: {users_file: users.txt}}
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}
`, address))
	r.begin()
	at := r.Addresses()[0]
	login := func(user, password string) (*caller, error) {
		c := dial(t, at)
		in, err := netio.LogIn(t.Context(), c.Conn, netio.Credentials{User: user, Password: password})
		c.Conn = in
		return c, err
	}
	in := func(user, password string) *caller {
		t.Helper()
		c, err := login(user, password)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		c.expect("getUser", "users")
		return c
	}
	alice := in("alice", "pwd")
	in("bob", "p:w")
	for user, password := range map[string]string{"alice": "p:w", "bob": "p", "carol": "pwd", "# who may call": "x"} {
		if _, err := login(user, password); netio.FailureOf(err) != netio.BadCredentials {
			t.Errorf("%s: %v", user, err)
		}
	}
	plain := dial(t, at)
	_, _ = plain.Write([]byte("\x80\x01\x00\x01\x00\x00\x00\x07getUser\x00\x00\x00\x00\x00"))
	if got, _ := io.ReadAll(plain); len(got) > 0 {
		t.Errorf("without a login: %q", got)
	}
	eventually(t, "who did not get in is counted", func() bool {
		return r.metric("thriftloom_tls_handshake_failures_total", "bad_credentials") == 4 && r.metric("thriftloom_tls_handshake_failures_total", "not_sasl") == 1
	})
	if n := r.metric("thriftloom_caller_calls_total", "user:alice", "Users"); n != 1 {
		t.Errorf("%v calls of user:alice are counted", n)
	}

	r.write("users.txt", "alice:new\n")
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	in("alice", "new")
	if _, err := login("bob", "p:w"); err == nil {
		t.Error("bob has been taken out, and gets in")
	}
	alice.expect("getUser", "users")

	for _, broken := range []string{"alice\n", ""} {
		r.write("users.txt", broken)
		_, _ = r.Reload(t.Context()) // whatever comes of it
		for user, password := range map[string]string{"alice": "", "bob": "p:w", "": ""} {
			if _, err := login(user, password); err == nil {
				t.Errorf("%q: with a broken file %q gets in", broken, user)
			}
		}
		bare := dial(t, at)
		_, _ = bare.Write([]byte("\x80\x01\x00\x01\x00\x00\x00\x07getUser\x00\x00\x00\x00\x00"))
		if got, _ := io.ReadAll(bare); len(got) > 0 {
			t.Errorf("%q: with a broken file, without a login: %q", broken, got)
		}
	}
	in("alice", "new") // what was good stays in force
}

// The gateway logs in at its servers, with the password that stands in the file when a connection is made.
func TestLoginUpstream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan netio.Credentials, 10)
	asking := netio.NewTLSListener(l, netio.TLSOptions{Users: func() func(netio.Credentials) bool {
		return func(c netio.Credentials) bool { said <- c; return c.Password == "pwd" }
	}})
	address := peerAt(t, asking, named("users"))
	r := prepare(t)
	r.write("password", "pwd\n")
	r.write("thriftloom.yaml", fmt.Sprintf(`
listen: 127.0.0.1:0
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q], sasl: {user: gateway, password_file: password}}}
`, address))
	r.begin()
	dial(t, r.Addresses()[0]).expect("getUser", "users")
	if c := <-said; c != (netio.Credentials{User: "gateway", Password: "pwd"}) {
		t.Errorf("the gateway has said %+v", c)
	}
}

// Mistakes about logins name the key, and never a password.
func TestLoginMistakes(t *testing.T) {
	for _, c := range []struct{ listener, upstream, file, want string }{
		{"sasl: {}", "", "alice:secret", "listen.sasl.users_file: is missing"},
		{"sasl: ", "", "alice:secret", "listen.sasl: is empty"},
		{"sasl: {users_file: none.txt}", "", "alice:secret", "listen.sasl.users_file: none.txt: "},
		{"sasl: {users_file: f.txt}", "", "alice:secret\nsecret\n", "f.txt: line 2: want user:password"},
		{"sasl: {users_file: f.txt}", "", "alice:secret\nalice:secret2\n", "line 2: its user stands above already"},
		{"sasl: {users_file: f.txt}", "", ":secret\n", "line 1: want user:password"},
		{"sasl: {users_file: f.txt}", "", "alice:\n", "line 1: want user:password"},
		{"sasl: {users_file: f.txt}", "", "alice:" + strings.Repeat("secret", 50), "more than 255 bytes"},
		{"sasl: {users_file: f.txt}", "", "# secret\n", "no user stands in it"},
		{"", "sasl: {user: a}", "secret", "upstream.sasl.password_file: is missing"},
		{"", "sasl: {password_file: f.txt}", "secret", "upstream.sasl.user: is missing"},
		{"", "sasl: {user: a, password_file: f.txt}, transport: http", "secret", "upstream.sasl: is not spoken over http"},
	} {
		r := prepare(t)
		r.write("f.txt", c.file)
		r.write("thriftloom.yaml", fmt.Sprintf("listen: {address: 127.0.0.1:0, %s}\nservices:\n  Users: {idl: users.thrift, upstream: {endpoints: [\"127.0.0.1:1\"], %s}}\n", c.listener, c.upstream))
		l := gateway.Load(r.dir+"/thriftloom.yaml", nil)
		if len(l.Mistakes) != 1 || !strings.Contains(l.Mistakes[0].String(), c.want) || strings.Contains(l.Mistakes[0].String(), "secret") {
			t.Errorf("%s%s: %v, want %q", c.listener, c.upstream, l.Mistakes, c.want)
		}
	}
}

// A mistake about a service's own listener does not open it: what was good before stays, or nobody gets in.
func TestLoginStaysAsked(t *testing.T) {
	address, _, _ := peer(t, named("users"))
	others, _, _ := peer(t, named("orders"))
	const config = "services:\n  Users: {idl: users.thrift, timeout: 5s, listen: {address: \"127.0.0.1:0\", %s}, upstream: {endpoints: [%q]}}\n  Orders: {idl: orders.thrift, listen: 127.0.0.1:0, upstream: {endpoints: [%q]}}\n"
	r := prepare(t)
	r.write("users.txt", "alice:pwd\n")
	r.write("thriftloom.yaml", fmt.Sprintf(config, "sasl: {users_file: users.txt}", address, others))
	r.begin()
	for _, wrong := range []string{"sasl: {user_file: users.txt}", "sasl: {users_file: [}", "sasl: {users_file: [x]}", "sasl:", "sasl: {users_file: none.txt}", "sasl: users.txt", "sasl: ["} {
		r.write("thriftloom.yaml", fmt.Sprintf(config, wrong, address, others))
		_, _ = r.Reload(t.Context()) // whatever comes of it
		for _, at := range r.Addresses() {
			bare := dial(t, at)
			_, _ = bare.Write([]byte("\x80\x01\x00\x01\x00\x00\x00\x07getUser\x00\x00\x00\x00\x00\x00"))
			buf := make([]byte, 100)
			if n, _ := bare.Read(buf); strings.Contains(string(buf[:n]), "users") {
				t.Errorf("%s: %s lets everybody in", wrong, at)
			}
		}
	}
}
