package gateway

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that the guide to reloads names is there.
func TestReloadGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/guides/reload.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z]+)(?:/([A-Za-z_]+))?`").FindAllStringSubmatch(string(guide), -1)
	if len(named) < 20 {
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
