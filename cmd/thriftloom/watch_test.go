//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
)

// With --watch the gateway takes over a change of any file that its config comes from: the config, included files that come and go, IDLs
// and what they include, overlays; and the repair of one that was broken.
func TestWatch(t *testing.T) {
	dir, err := os.MkdirTemp("", "thriftloom-watch") // short: unix sockets' paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write := func(name, format string, args ...any) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, server := servePeer(t, answer(fakepeer.Answer{}), nil) // up waits for one that answers
	config := "admin: unix:a.sock\nlisten: unix:u.sock\ninclude: [services.d/*.yaml]\ndefaults: {timeout: %ds}\nservices:\n" +
		"  Users: {idl: idl/users.thrift, upstream: {endpoints: [\"" + server + "\"]}}\n"
	orders := "services: {Orders: {idl: ../idl/orders.thrift, upstream: {endpoints: [\"" + server + "\"]}}}\n"
	write("thriftloom.yaml", config, 5)
	write("idl/users.thrift", "include \"shared.thrift\"\nservice Users { shared.Id get() }")
	write("idl/shared.thrift", "typedef i64 Id")
	write("services.d/readme", "")
	wait := startUp(t, "up", "-c", filepath.Join(dir, "thriftloom.yaml"), "--watch")
	env := "THRIFTLOOM_ADMIN=unix:" + filepath.Join(dir, "a.sock")

	// expect waits for a state: each service with its methods, the first one's timeout, and whether it is stale.
	expect := func(want ...string) {
		t.Helper()
		var is []string
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			got := runIn("", []string{"status", "-o", "json"}, env)
			var s status.Snapshot
			if err := json.Unmarshal([]byte(got.out), &s); err != nil {
				t.Fatalf("%v: %+v", err, got)
			}
			is = nil
			for _, svc := range s.Services {
				text := fmt.Sprintf("%s %vs", svc.Name, svc.Methods[0].TimeoutSeconds)
				for _, m := range svc.Methods {
					text += " " + m.Name
				}
				for _, label := range s.Config.Stale {
					if label == svc.Name {
						text += " stale"
					}
				}
				is = append(is, text)
			}
			if strings.Join(is, "; ") == strings.Join(want, "; ") {
				return
			}
		}
		t.Fatalf("the services are %q, want %q", is, want)
	}

	expect("Users 5s get")
	write("thriftloom.yaml", config, 6)
	expect("Users 6s get")
	write("services.d/orders.yaml", "%s", orders)
	write("idl/orders.thrift", "service Orders { void put() }") // perhaps too late for the first reload: it is a new file in a watched folder
	expect("Users 6s get", "Orders 6s put")
	write("idl/orders.policy.yaml", "timeout: 1s\n")
	expect("Users 6s get", "Orders 1s put")
	write("idl/shared.thrift", "typedef i65 Id")
	expect("Orders 1s put", "Users 6s get stale")
	write("thriftloom.yaml", config, 7)
	expect("Orders 1s put", "Users 6s get stale")
	write("idl/users.thrift", "include \"shared.thrift\"\nservice Users { shared.Id get(), void more() }")
	write("idl/shared.thrift", "typedef i64 Id")
	expect("Users 7s get more", "Orders 1s put")
	if err := os.RemoveAll(filepath.Join(dir, "services.d")); err != nil {
		t.Fatal(err)
	}
	expect("Users 7s get more")
	write("services.d/orders.yaml", "%s", orders)
	expect("Users 7s get more", "Orders 1s put")

	if got := runIn("", []string{"drain"}, env); got.code != 0 {
		t.Errorf("drain: %+v", got)
	}
	if code, said := wait(); code != 0 || !strings.Contains(said, filepath.Join(dir, "idl", "shared.thrift")+":1:9") {
		t.Errorf("exit %d, stderr\n%s", code, said)
	}
}
