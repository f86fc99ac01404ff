package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/thriftloom/thriftloom/internal/allocs"
)

// Whatever the file: loading it returns, with mistakes that stand in it, each once; a file without mistakes comes to
// something; and what it costs is bounded by its length.
func FuzzLoadBytes(f *testing.F) {
	scripts, err := filepath.Glob("testdata/check/*.txt")
	if err != nil || len(scripts) == 0 {
		f.Fatal("no scripts")
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			f.Fatal(err)
		}
		in, _, _ := strings.Cut(string(text), "----\n")
		for _, file := range txtar.Parse([]byte(in)).Files {
			if strings.HasSuffix(file.Name, ".yaml") {
				f.Add(file.Data)
			}
		}
	}
	for _, text := range []string{
		"", "a: &a [*a, *a]", "services: {A: {<<: *x}}", "a: &a {b: &b [1, 2]}\nc: [*a, *a, *b]", strings.Repeat("[", 10_000),
		strings.Repeat("a: {", 1000), "max_buffered_bytes: 99999999999999999999GiB", "listen: ${A:-${B:-x}}", "services: {\"\\0\": null}", "\xff\xfe\x00",
		"services: {A: {idl: ../../../../etc/passwd}}", "state: \"\\uD800\"", "? [a]\n: b",
	} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.thrift"), []byte("service Users { void ping() }"), 0o600); err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir, "thriftloom.yaml")
	env := func(name string) (string, bool) { return "x", name == "A" }
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "_file") || strings.Contains(string(data), "/proc") || strings.Contains(string(data), "/dev") {
			return // files of this machine, some of which do not end
		}
		l := LoadBytes(path, data, env)
		lines := 2
		for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // what ends a line in YAML
			lines += strings.Count(string(data), end)
		}
		seen := map[string]bool{}
		for _, m := range l.Mistakes {
			if m.Text == "" || strings.ContainsRune(m.Text, '\n') || m.File == path && (m.Line < 1 || m.Line > lines || m.Col < 1) {
				t.Fatalf("mistake %+v", m)
			}
			if seen[m.String()] {
				t.Fatalf("told twice: %s", m)
			}
			seen[m.String()] = true
		}
		if len(l.Mistakes) == 0 && (len(l.Config.Resolved.services) == 0 || len(l.Config.Resolved.listeners) == 0) {
			t.Fatalf("no mistakes and nothing to serve: %q", data)
		}
		// A tree of nodes, structs with their defaults for each service and method, and an IDL each.
		allocs.Bound(t, 2000, len(data)+2000, func() { LoadBytes(path, data, env) })
	})
}
