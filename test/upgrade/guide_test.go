//go:build linux

package upgrade

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// Every row of a table in the guide names a test, and each of them is one of the cases that `make faults` runs.
func TestGuideNamesItsTests(t *testing.T) {
	guide := read(t, "docs/guides/upgrade.md")
	var cases []string
	for line := range strings.Lines(read(t, "test/faults/upgrade.rows")) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 4 {
			cases = append(cases, f[3])
		}
	}
	named := regexp.MustCompile("\\| `([^`]+)` \\|$")
	seen := 0
	for line := range strings.Lines(guide) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasSuffix(line, "| test |") {
			continue
		}
		seen++
		switch m := named.FindStringSubmatch(line); {
		case m == nil:
			t.Errorf("no test: %s", line)
		case !slices.Contains(cases, m[1]):
			t.Errorf("no case is %s: %s", m[1], line)
		}
	}
	for _, c := range cases {
		if !strings.Contains(guide, "`"+c+"`") {
			t.Errorf("the guide does not speak of %s", c)
		}
	}
	if seen < len(cases) {
		t.Errorf("%d rows for %d cases", seen, len(cases))
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(peertest.Root(), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
