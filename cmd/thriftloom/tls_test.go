package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/internal/testcert"
)

// call speaks TLS: it verifies who answers, shows a certificate where one is asked for, and says what is wrong.
func TestCallTLS(t *testing.T) {
	idl, dir, ca := writeFile(t, "users.thrift", usersIDL), t.TempDir(), testcert.NewCA(t, "acme")
	authority, strangers := ca.Write(t, dir, "ca"), testcert.NewCA(t, "strangers").Write(t, dir, "strangers")
	cert, key := ca.Sign(t, []string{"me"}).Write(t, dir, "me")
	serve := func(names []string, mutual bool) string {
		config := &tls.Config{Certificates: []tls.Certificate{ca.Sign(t, names).TLS(t)}}
		if mutual {
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
		}
		_, address := servePeer(t, answer(fakepeer.Answer{}), func(c net.Conn) net.Conn { return tls.Server(c, config) })
		return address
	}
	named, mutual := serve([]string{"users.test"}, false), serve([]string{"127.0.0.1"}, true)
	_, plain := servePeer(t, answer(fakepeer.Answer{}), nil)
	for _, tt := range []struct {
		name, address string
		args          []string
		code          int
		errout        string
	}{
		{"by the name given", named, []string{"--cacert", authority, "--servername", "users.test"}, 0, ""},
		{"for another name", named, []string{"--tls", "--cacert", authority}, 4, "the server's certificate is not accepted"},
		{"of another authority", named, []string{"--cacert", strangers, "--servername", "users.test"}, 4, "unknown authority"},
		{"of the system's authorities", named, []string{"--tls"}, 4, "the server's certificate is not accepted"},
		{"with a certificate", mutual, []string{"--cacert", authority, "--cert", cert, "--key", key}, 0, ""},
		{"without TLS", named, nil, 4, "the server speaks TLS, and is called without"},
		{"a server without TLS", plain, []string{"--cacert", authority}, 4, "TLS"},
		{"a key that is none", mutual, []string{"--cacert", authority, "--cert", cert, "--key", cert}, 1, "no private key"},
		{"a key without a certificate", mutual, []string{"--key", key}, 2, "go together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runIn("", append([]string{"call", "-i", idl, tt.address, "Users.ping"}, tt.args...))
			if got.code != tt.code || !strings.Contains(got.errout, tt.errout) || tt.code == 4 && !strings.Contains(got.errout, tt.address) {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, %q", got.code, got.out, got.errout, tt.code, tt.errout)
			}
		})
	}
}

// secured is a gateway with TLS everywhere, in a folder of its own.
type secured struct {
	dir, config, front, admin, token string
	ca                               *testcert.CA
	wait                             func() (int, string)
}

// secure starts `thriftloom up` with TLS on its listener and on its admin listener, at log level debug.
func secure(t *testing.T, server string) *secured {
	t.Helper()
	s := &secured{dir: t.TempDir(), front: peertest.FreePort(t), admin: peertest.FreePort(t), ca: testcert.NewCA(t, "acme")}
	s.config, s.token = filepath.Join(s.dir, "thriftloom.yaml"), filepath.Join(s.dir, "token")
	s.ca.Sign(t, []string{"127.0.0.1"}).Write(t, s.dir, "gateway")
	s.ca.Write(t, s.dir, "ca")
	s.ca.Sign(t, []string{"spiffe://acme/me"}).Write(t, s.dir, "me")
	for name, text := range map[string]string{"users.thrift": usersIDL, "token": "s3cret-one\n", "thriftloom.yaml": fmt.Sprintf(`
logs: {level: debug, access: {sample: 1}}
admin: {address: %q, token_file: token, tls: {cert_file: gateway.pem, key_file: gateway.key}}
services:
  Users:
    idl: users.thrift
    listen: {address: %q, tls: {cert_file: gateway.pem, key_file: gateway.key, client_ca_file: ca.pem}}
    timeout: 5s
    upstream: {endpoints: [%q]}
`, s.admin, s.front, server)} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.wait = startUp(t, "up", "-c", s.config)
	return s
}

func (s *secured) path(name string) string { return filepath.Join(s.dir, name) }

// ask runs a subcommand against the admin listener.
func (s *secured) ask(token string, args ...string) ran {
	return runIn("", append(args, "--admin", "https://"+s.admin, "--cacert", s.path("ca.pem")), "THRIFTLOOM_TOKEN="+token)
}

// call -c takes address and TLS from the config: the gateway is known by its own certificate, whoever has signed it.
func TestCallConfigTLS(t *testing.T) {
	_, server := servePeer(t, answer(fakepeer.Answer{}), nil)
	s := secure(t, server)
	own := []string{"--cert", s.path("me.pem"), "--key", s.path("me.key")}
	for _, tt := range []struct {
		args   []string
		code   int
		errout string
	}{
		{own, 0, ""},
		{append(own, "--cacert", s.path("ca.pem")), 0, ""},
		{append(own, "--cacert", s.path("me.pem")), 4, "not accepted"},
		{nil, 2, "asks callers for a certificate: --cert and --key"},
	} {
		got := runIn("", append([]string{"call", "-c", s.config, "Users.ping"}, tt.args...))
		if got.code != tt.code || !strings.Contains(got.errout, tt.errout) {
			t.Errorf("%v: %+v; want %d, %q", tt.args, got, tt.code, tt.errout)
		}
	}
	s.ca.Sign(t, []string{"127.0.0.1"}).Write(t, s.dir, "gateway") // the config has another one by now, and the gateway not yet
	if got := runIn("", append([]string{"call", "-c", s.config, "Users.ping"}, own...)); got.code != 4 && got.code != 0 {
		t.Errorf("behind a renewal: %+v", got)
	}
	if got := s.ask("s3cret-one", "reload"); got.code != 0 {
		t.Errorf("reload: %+v", got)
	}
	if got := runIn("", append([]string{"call", "-c", s.config, "Users.ping"}, own...)); got.code != 0 {
		t.Errorf("once it is taken over: %+v", got)
	}
	s.end(t)
}

// end drains the gateway and returns what it has written.
func (s *secured) end(t *testing.T) (said string) {
	t.Helper()
	token, err := os.ReadFile(s.token)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) { // the token may have changed a moment ago
		got := s.ask(strings.TrimSpace(string(token)), "drain")
		if got.code == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("drain: %+v", got)
		}
	}
	code, said := s.wait()
	if code != 0 {
		t.Errorf("up ended with %d:\n%s", code, said)
	}
	return said
}

// The admin API speaks TLS, verified by the command line; its token follows its file, and where that is gone the last good one holds.
func TestAdminTLSAndTokenRotation(t *testing.T) {
	_, server := servePeer(t, answer(fakepeer.Answer{}), nil)
	s := secure(t, server)
	if got := s.ask("", "status"); got.code != 0 || !strings.Contains(got.out, "Users") {
		t.Errorf("status: %+v", got)
	}
	if got := runIn("", []string{"status", "--admin", "https://" + s.admin, "--cacert", s.path("me.pem")}); got.code == 0 || !strings.Contains(got.errout, "certificate") {
		t.Errorf("with another authority: %+v", got)
	}
	if got := runIn("", []string{"status", "--admin", s.admin}); got.code == 0 {
		t.Errorf("without TLS: %+v", got)
	}
	reload := func(token string) bool { return s.ask(token, "reload").code == 0 }
	if !reload("s3cret-one") || reload("s3cret-two") {
		t.Error("the token is not the one of the file")
	}
	if err := os.WriteFile(s.token, []byte("s3cret-two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); !reload("s3cret-two"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new token is not taken over")
		}
	}
	if reload("s3cret-one") {
		t.Error("the old token holds still")
	}
	if err := os.Rename(s.token, s.token+".away"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * tokenEvery) // until it has been looked at: without the file it must not become none
	if got := s.ask("", "drain"); got.code == 0 || !strings.Contains(got.errout, "401") {
		t.Errorf("without a token: %+v", got)
	}
	if err := os.Rename(s.token+".away", s.token); err != nil {
		t.Fatal(err)
	}
	said := s.end(t)
	for _, want := range []string{`"by":"token"`, `"by":"wrong token"`, `"outcome":"refused: the token is missing or wrong"`, "admin token not taken over"} {
		if !strings.Contains(said, want) {
			t.Errorf("the log has no %s", want)
		}
	}
}

// Nothing that the gateway writes, shows or answers has a part of a token, of a key or of an argument in it, whatever goes wrong.
func TestNoSecretIsWritten(t *testing.T) {
	result := body(t, "getUser", `{"success": {"id": 7, "name": "s3cret-result", "role": "OWNER"}}`)
	_, server := servePeer(t, answer(fakepeer.Answer{Body: result}), nil)
	s := secure(t, server)
	var seen bytes.Buffer
	note := func(got ran) ran { seen.WriteString(got.out + got.errout); return got }
	call := func(args ...string) ran {
		return runIn("", append([]string{"call", "-c", s.config, "--cert", s.path("me.pem"), "--key", s.path("me.key")}, args...))
	}
	if got := call("Users.track", `{"event": "s3cret-argument"}`); got.code != 0 {
		t.Errorf("call: %+v", got)
	}
	if got := call("Users.getUser", `{"id": 7}`); got.code != 0 || !strings.Contains(got.out, "s3cret-result") {
		t.Errorf("call: %+v", got)
	}
	raw, err := tls.Dial("tcp", s.front, &tls.Config{RootCAs: s.ca.Pool(), Certificates: []tls.Certificate{s.ca.Sign(t, []string{"me"}).TLS(t)}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = raw.Write([]byte("\x80\x01\x00\x01\x00\x00\x00\x05track\x00\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x0fs3cret-argument\x7f")) // no type 7f
	_, _ = raw.Read(make([]byte, 4096))
	_ = raw.Close()
	key, err := os.ReadFile(s.path("gateway.key"))
	if err != nil {
		t.Fatal(err)
	}
	note(s.ask("s3cret-wrong", "reload"))
	note(s.ask("s3cret-one", "reload"))
	for name, text := range map[string]string{
		"gateway.key": "-----BEGIN PRIVATE KEY-----\ns3cretkey\n", "token": "s3cret-two\x00\ns3cret-three", "gateway.pem": "s3cret-pem",
	} {
		good, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		note(s.ask("s3cret-one", "reload"))
		note(runIn("", []string{"check", "-c", s.config}))
		note(runIn("", []string{"check", "-c", s.config, "--explain"}))
		if err := os.WriteFile(s.path(name), good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"admin: {address: 127.0.0.1:1, token: [s3cret-list]}", "admin: {address: 127.0.0.1:1, token: {s3cret-key: 1}}",
		"admin: {address: 127.0.0.1:1, token: \"s3cret-open\n", "admin: {address: 127.0.0.1:1, token: s3cret-plain, token_file: token}"} {
		note(runIn("", []string{"check", "-c", writeFile(t, "bad.yaml", bad)}))
	}
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}} {
		if got := note(s.ask("s3cret-one", args...)); got.code != 0 {
			t.Errorf("%v: %+v", args, got)
		}
	}
	c, err := (&app{env: func(string) (string, bool) { return "", false }}).adminClient(
		&adminFlags{address: "https://" + s.admin, tls: tlsFlags{ca: s.path("ca.pem")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/metrics", "/api/v1/snapshot", "/readyz?verbose", "/"} {
		status, text, err := c.ask(t.Context(), "GET", path)
		if err != nil || status != 200 || len(text) == 0 {
			t.Errorf("%s: %d, %v", path, status, err)
		}
		seen.Write(text)
	}
	seen.WriteString(s.end(t))

	secrets := []string{"s3cret", "czNjcmV0"} // as it is, and in base64
	for _, line := range strings.Split(string(key), "\n") {
		if len(line) > 20 && !strings.HasPrefix(line, "-----") {
			secrets = append(secrets, line, line[:20], line[20:min(len(line), 40)])
		}
	}
	text := seen.String()
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%q is written: …%s…", secret, text[max(0, i-200):min(len(text), i+80)])
		}
	}
	for _, want := range []string{`"msg":"call"`, `"msg":"admin change"`, "the last good one stays in force", `"certificates"`, "rpc_server_call_duration_seconds"} {
		if !strings.Contains(text, want) {
			t.Errorf("what was looked at has no %s: it proves nothing", want)
		}
	}
}
