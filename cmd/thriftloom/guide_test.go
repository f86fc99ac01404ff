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

	"github.com/thriftloom/thriftloom/internal/peertest"
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
