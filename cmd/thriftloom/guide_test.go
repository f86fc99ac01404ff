package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/internal/testcert"
)

var codeBlock = regexp.MustCompile("(?ms)^```(sh|yaml)\n(.*?)^```$")

// The commands of the TLS guide make what its configs name, and each of its configs is without mistakes and warnings.
func TestTLSGuide(t *testing.T) {
	peertest.RequireProgram(t, "openssl")
	text, err := os.ReadFile("../../docs/guides/tls.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"users.thrift": usersIDL, "token": "s3cret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for _, block := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		kind, code := block[1], block[2]
		seen[kind]++
		if kind == "sh" {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "sh", "-e", "-c", code)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			continue
		}
		config := filepath.Join(dir, "thriftloom.yaml")
		if err := os.WriteFile(config, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := runIn("", []string{"check", "-c", config}); got.code != 0 || strings.Contains(got.out+got.errout, "warning") {
			t.Errorf("%s\n%+v", code, got)
		}
	}
	if seen["sh"] != 1 || seen["yaml"] != 5 {
		t.Errorf("the guide has %v", seen)
	}
}

// Each config of the guide to rollouts is without mistakes, and of warnings it has that of faults alone.
func TestRolloutGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/rollout.md")
	if err != nil {
		t.Fatal(err)
	}
	idl, err := os.ReadFile("../../examples/users/users.thrift")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "thriftloom.yaml")
	if err := os.WriteFile(filepath.Join(dir, "users.thrift"), []byte(strings.Replace(string(idl), "6: list<string> tags,", "6: list<string> tags, 7: i64 updatedAt,", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := codeBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 3 {
		t.Errorf("the guide has %d configs", len(blocks))
	}
	for _, block := range blocks {
		if err := os.WriteFile(config, []byte(block[2]), 0o600); err != nil {
			t.Fatal(err)
		}
		got := runIn("", []string{"check", "-c", config})
		warned := strings.Count(got.out+got.errout, "warning:")
		if on := strings.Count(got.out+got.errout, "calls wait and fail on purpose"); got.code != 0 || warned != on || (on > 0) != strings.Contains(block[2], "faults:") {
			t.Errorf("%s\n%+v", block[2], got)
		}
	}
}

// The first config of the guide to protocols is run, and each of its commands gets its answer from it or from the server behind; each config
// is without mistakes and warnings.
func TestProtocolsGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	_, server := servePeer(t, answer(fakepeer.Answer{Body: body(t, "getUser", `{"success": {"id": 7, "name": "Ada", "role": "OWNER"}}`)}), nil)
	dir, front := t.TempDir(), peertest.FreePort(t)
	for name, text := range map[string]string{"users.thrift": usersIDL, "users.txt": "alice:pwd\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testcert.NewCA(t, "acme").Sign(t, []string{"127.0.0.1"}).Write(t, dir, "gateway")
	here := strings.NewReplacer("users.thrift", filepath.Join(dir, "users.thrift"), "127.0.0.1:6100", front, "127.0.0.1:6000", server)
	config, seen := filepath.Join(dir, "thriftloom.yaml"), map[string]int{}
	for _, block := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		kind, code := block[1], block[2]
		if kind == "yaml" {
			if seen[kind]++; seen[kind] == 1 {
				peertest.StartGateway(t, here.Replace(code)).AwaitReady(t, "")
			}
			if err := os.WriteFile(config, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := runIn("", []string{"check", "-c", config}); got.code != 0 || strings.Contains(got.out+got.errout, "warning") {
				t.Errorf("%s\n%+v", code, got)
			}
			continue
		}
		for line := range strings.Lines(code) {
			seen["command"]++
			args := strings.Fields(here.Replace(strings.ReplaceAll(line, "'", ""))) // no argument has a space
			if got := runIn("", args[1:]); args[0] != "thriftloom" || got.code != 0 || got.out != `{"id":7,"name":"Ada","role":"OWNER"}`+"\n" {
				t.Errorf("%s%+v", line, got)
			}
		}
	}
	if seen["command"] != 7 || seen["yaml"] != 7 {
		t.Errorf("the guide has %v", seen)
	}
}

// Each whole config of the guide to resilience is without mistakes and warnings.
func TestResilienceGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/resilience.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, whole := t.TempDir(), 0
	config := filepath.Join(dir, "thriftloom.yaml")
	for _, block := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		if !strings.HasPrefix(block[2], "listen:") {
			continue
		}
		whole++
		for name, text := range map[string]string{config: block[2], filepath.Join(dir, "users.thrift"): "service Users { string getUser(1: i64 id), string listUsers(), string report() (idempotent = \"true\") }"} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := runIn("", []string{"check", "-c", config}); got.code != 0 || strings.Contains(got.out+got.errout, "warning") {
			t.Errorf("%s\n%+v", block[2], got)
		}
	}
	if whole < 2 {
		t.Errorf("the guide has %d whole configs", whole)
	}
}

// Each config of the guide to discovery is without mistakes and warnings, and so is the file of endpoints in it.
func TestDiscoveryGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/discovery.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "```\nendpoints:")
	list, _, _ = strings.Cut(list, "```")
	dir := t.TempDir()
	for name, text := range map[string]string{"users.thrift": usersIDL, "endpoints.yaml": "endpoints:" + list} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, seen := filepath.Join(dir, "thriftloom.yaml"), 0
	for _, block := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		if block[1] != "yaml" {
			continue
		}
		seen++
		if err := os.WriteFile(config, []byte(block[2]), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := runIn("", []string{"check", "-c", config}); got.code != 0 || strings.Contains(got.out+got.errout, "warning") {
			t.Errorf("%s\n%+v", block[2], got)
		}
	}
	if seen != 5 {
		t.Errorf("the guide has %d configs", seen)
	}
}
