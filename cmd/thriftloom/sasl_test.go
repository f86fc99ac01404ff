package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/netio"
)

// call logs in where it is told a user, and says what became of that.
func TestCallSASL(t *testing.T) {
	idl, dir := writeFile(t, "users.thrift", usersIDL), t.TempDir()
	password, wrong := filepath.Join(dir, "password"), filepath.Join(dir, "wrong")
	for path, text := range map[string]string{password: "pwd\n", wrong: "pwx\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asking := netio.NewTLSListener(l, netio.TLSOptions{Users: func() func(netio.Credentials) bool {
		return func(c netio.Credentials) bool { return c == netio.Credentials{User: "alice", Password: "pwd"} }
	}})
	peer, done := &fakepeer.Peer{Script: answer(fakepeer.Answer{})}, make(chan struct{})
	go func() {
		defer close(done)
		peer.Serve(asking)
	}()
	t.Cleanup(func() { asking.Close(); <-done })
	_, plain := servePeer(t, answer(fakepeer.Answer{}), nil)
	for _, tt := range []struct {
		name, address string
		args          []string
		code          int
		errout        string
	}{
		{"with the password", l.Addr().String(), []string{"--user", "alice", "--password-file", password}, 0, ""},
		{"with another", l.Addr().String(), []string{"--user", "alice", "--password-file", wrong}, 4, "the server refused the user or the password"},
		{"with none", l.Addr().String(), []string{"--user", "alice"}, 2, "go together"},
		{"with a file that is not there", l.Addr().String(), []string{"--user", "alice", "--password-file", dir + "/none"}, 4, "no such file"},
		{"without a login", l.Addr().String(), nil, 4, "no answer to a probe"},
		{"a server without SASL", plain, []string{"--user", "alice", "--password-file", password}, 4, "SASL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runIn("", append([]string{"call", "-i", idl, tt.address, "Users.ping"}, tt.args...))
			if got.code != tt.code || !strings.Contains(got.errout, tt.errout) {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, %q", got.code, got.out, got.errout, tt.code, tt.errout)
			}
		})
	}
}
