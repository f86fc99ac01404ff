package gateway

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what is printed by tests: testdata and docs")

// check says of a folder what is wrong in it: each mistake once, with its place and key; the warnings; what the config comes to.
func TestCheck(t *testing.T) {
	files, _ := filepath.Glob("testdata/check/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range files {
		abs, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { checkScript(t, abs) })
	}
}

// checkScript runs one script: lines of env and "explain", the files of the folder, ----, what is printed.
func checkScript(t *testing.T, file string) {
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in, want, _ := strings.Cut(string(script), "----\n")
	archive, env := txtar.Parse([]byte(in)), map[string]string{}
	explain := false
	for line := range strings.Lines(string(archive.Comment)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case name == "explain":
			explain = true
		case strings.HasPrefix(name, "env "):
			env[strings.TrimPrefix(name, "env ")] = value
		}
	}
	t.Chdir(t.TempDir())
	if err := txtar.Write(archive, "."); err != nil {
		t.Fatal(err)
	}
	got := runCheck(t, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, explain)
	if *update {
		if err := os.WriteFile(file, []byte(in+"----\n"+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func runCheck(t *testing.T, env func(string) (string, bool), explain bool) string {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	mistakes, warnings, services := Check("thriftloom.yaml", env)
	var b strings.Builder
	for _, m := range mistakes {
		fmt.Fprintln(&b, m)
	}
	for _, w := range warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	if len(mistakes) == 0 {
		fmt.Fprintf(&b, "ok: %d services\n", services)
	}
	if explain {
		b.WriteString(Explain(Load("thriftloom.yaml", env).Config))
	}
	return strings.ReplaceAll(b.String(), wd, "$DIR")
}
