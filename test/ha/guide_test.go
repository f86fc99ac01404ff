//go:build linux

package ha

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// Every row of the guide's table of failures names a test, each of them is one of the cases that `make faults` runs, and none of those is left
// out. The config that the guide shows is the example's.
func TestGuideNamesItsTests(t *testing.T) {
	guide := read(t, "docs/guides/high-availability.md")
	var cases, named []string
	for line := range strings.Lines(read(t, "test/faults/ha.rows")) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		cases = append(cases, f[len(f)-1])
	}
	_, table, found := strings.Cut(guide, "| test |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("the guide has no table of failures")
	}
	row := regexp.MustCompile("\\| `(Test\\w+)` \\|$")
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		if m := row.FindStringSubmatch(line); m == nil {
			t.Errorf("no test: %s", line)
		} else {
			named = append(named, m[1])
		}
	}
	slices.Sort(cases)
	slices.Sort(named)
	if named = slices.Compact(named); !slices.Equal(cases, named) {
		t.Errorf("the guide names %v, the cases are %v", named, cases)
	}
	example := read(t, "examples/ha/gateway-a.yaml")
	for _, key := range []string{"include: [services.yaml]", "reuse_port: true", "gateways: 2", "admin: 127.0.0.1:", "/a"} {
		if !strings.Contains(example, key) || !strings.Contains(guide, key) {
			t.Errorf("%q stands in one of guide and example only", key)
		}
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
