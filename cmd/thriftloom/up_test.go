package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
)

// startUp runs `thriftloom args` and returns once it is ready; wait ends when it has ended, and returns its code and its stderr.
func startUp(t *testing.T, args ...string) (wait func() (int, string)) {
	t.Helper()
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(args, strings.NewReader(""), io.Discard, w, os.LookupEnv)
		w.Close()
	}()
	var said strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
		if strings.HasPrefix(lines.Text(), "ready: ") && strings.HasSuffix(lines.Text(), " admin") {
			break
		}
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		for lines.Scan() {
			fmt.Fprintln(&said, lines.Text())
		}
	}()
	return func() (int, string) { <-rest; return <-code, said.String() }
}

// A gateway comes up, answers calls by its config, shows itself, reloads, and drains: with `up` and a file, and with `proxy` and none.
func TestUp(t *testing.T) {
	user := fakepeer.Answer{Body: body(t, "getUser", `{"success": {"id": 7, "name": "Ada", "role": "OWNER"}}`)}
	_, server := servePeer(t, answer(user), nil)
	dir, err := os.MkdirTemp("", "thriftloom-up") // short: unix sockets' paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	idl, config, token := filepath.Join(dir, "users.thrift"), filepath.Join(dir, "thriftloom.yaml"), filepath.Join(dir, "token")
	socket, admin := "unix:"+filepath.Join(dir, "u.sock"), "unix:"+filepath.Join(dir, "a.sock")
	yaml := `
listen: {address: "unix:u.sock", services: [Users]}
admin: {address: "unix:a.sock", token_file: token}
include: [more/*.yaml]
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: ["` + server + `"]}}
`
	included := `services: {More: {idl: ../users.thrift, service: Users, listen: "unix:m.sock", timeout: 5s, upstream: {endpoints: ["` + server + `"]}}}`
	if err := os.Mkdir(filepath.Join(dir, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{idl: usersIDL, config: yaml, token: "s3cret\n", filepath.Join(dir, "more", "a.yaml"): included} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, target, secret string
		start                []string
	}{
		{"up", config, "THRIFTLOOM_TOKEN=s3cret", []string{"up", "-c", config, "--watch"}},
		{"proxy", "", "", []string{"proxy", socket, server, "-i", idl, "--admin", admin}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wait := startUp(t, tt.start...)
			env := []string{"THRIFTLOOM_ADMIN=" + admin, tt.secret}
			call := []string{"call", "-i", idl, socket, "Users.getUser", `{"id": 7}`}
			if tt.target != "" {
				call = []string{"call", "-c", tt.target, "Users.getUser", `{"id": 7}`}
			}
			if got := runIn("", call); got.code != 0 || got.out != `{"id":7,"name":"Ada","role":"OWNER"}`+"\n" {
				t.Errorf("call: %+v", got)
			}
			if tt.target != "" { // a service of an included file, whose paths are relative to that
				call[3] = "More.getUser"
				if got := runIn("", call); got.code != 0 {
					t.Errorf("call: %+v", got)
				}
			}
			if got := runIn("", []string{"healthcheck"}, env...); got.code != 0 || !strings.HasPrefix(got.out, "ready") {
				t.Errorf("healthcheck: %+v", got)
			}
			if got := runIn("", []string{"healthcheck", "--service", "Nobody"}, env...); got.code != 1 || !strings.Contains(got.errout, "Nobody") {
				t.Errorf("healthcheck of no service: %+v", got)
			}
			got := runIn("", []string{"status"}, env...)
			for _, want := range []string{fmt.Sprintf("calls %d ", 1+len(tt.target)/max(1, len(tt.target))), "SERVICE", "Users", server, "u.sock"} {
				if got.code != 0 || !strings.Contains(got.out, want) {
					t.Errorf("status has no %q: %+v", want, got)
				}
			}
			if got := runIn("", []string{"status", "-o", "json"}, env...); got.code != 0 || !strings.Contains(got.out, `"idl_service": "Users"`) {
				t.Errorf("status -o json: %+v", got)
			}
			if tt.target != "" {
				if got := runIn("", []string{"reload"}, env...); got.code != 0 || !strings.HasPrefix(got.out, "nothing has changed: ") {
					t.Errorf("reload: %+v", got)
				}
				if got := runIn("", []string{"drain"}, env[0]); got.code != 1 || !strings.Contains(got.errout, "token") {
					t.Errorf("drain without the token: %+v", got)
				}
			}
			if got := runIn("", []string{"drain"}, env...); got.code != 0 || got.out != "draining\n" {
				t.Errorf("drain: %+v", got)
			}
			if code, said := wait(); code != 0 || !strings.Contains(said, "ready: "+socket+" calls\n") {
				t.Errorf("%s: exit %d, stderr\n%s", tt.name, code, said)
			}
		})
	}
}

// A port that is taken is an error at the start, and nothing stays open.
func TestUpPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	idl := writeFile(t, "users.thrift", usersIDL)
	got := runIn("", []string{"proxy", "127.0.0.1:0", "127.0.0.1:1", "-i", idl, "--admin", l.Addr().String()})
	if got.code != 1 || !strings.Contains(got.errout, "admin: ") || !strings.Contains(got.errout, l.Addr().String()) {
		t.Errorf("%+v", got)
	}
}
