package gateway

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Every test that these guides name is there.
func TestGuidesNameTests(t *testing.T) {
	for guide, least := range map[string]int{"reload.md": 20, "gateways.md": 10, "rollout.md": 10} {
		t.Run(guide, func(t *testing.T) { namesTests(t, filepath.Join("../docs/guides", guide), least) })
	}
}

func namesTests(t *testing.T, path string, least int) {
	guide, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z]+)(?:/([A-Za-z_]+))?`").FindAllStringSubmatch(string(guide), -1)
	if len(named) < least {
		t.Fatalf("the guide names %d tests", len(named))
	}
	for _, n := range named {
		files, err := filepath.Glob(filepath.Join("..", n[1], "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no tests in %s", n[0], n[1])
			continue
		}
		var source strings.Builder
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
		for _, want := range []string{"func " + n[2] + "(", `t.Run("` + strings.ReplaceAll(n[3], "_", " ") + `"`} {
			if !strings.Contains(source.String(), want) && (n[3] != "" || strings.HasPrefix(want, "func")) {
				t.Errorf("%s: no %q in %s", n[0], want, n[1])
			}
		}
	}
}

// The configs in the guide to several gateways are without mistakes and warnings, and the first comes to what it says.
func TestGatewaysGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/guides/gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"users.thrift": "service Users { void ping() void getUser() }", "reports.thrift": "service Reports { void report() }", "gateways.key": "a key of the guide\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blocks := strings.Split(string(guide), "```yaml\n")[1:]
	if len(blocks) != 4 {
		t.Errorf("the guide has %d configs", len(blocks))
	}
	for i, block := range blocks {
		config, _, _ := strings.Cut(block, "```")
		if err := os.WriteFile("thriftloom.yaml", []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		l := Load("thriftloom.yaml", nil)
		if len(l.Mistakes)+len(l.Warnings) > 0 {
			t.Errorf("%s\n%v %v", config, l.Mistakes, l.Warnings)
		} else if s := l.Config.Resolved.sharing; i == 0 && (s == nil || s.Name != "gw-1" || len(s.Peers) != 3 || string(s.Key) != "a key of the guide" || s.Hold != 5*time.Second) {
			t.Errorf("it comes to %+v", s)
		}
	}
}
