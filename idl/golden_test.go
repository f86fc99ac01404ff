package idl

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// Every mistake and warning is shown as testdata/*.txt says: "=== title", an IDL, "----", what is reported.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata: ", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runCases(t, file, report) })
	}
}

// report shows what parsing an IDL reports.
func report(src string) string {
	f, mistakes := Parse("a.thrift", []byte(src))
	out := mistakes.Render()
	if len(f.Warnings) > 0 {
		out += "warnings:\n" + Mistakes(f.Warnings).Render()
	}
	if out == "" {
		return "ok\n"
	}
	return out
}

// runCases compares, or with -update rewrites, each case of a file.
func runCases(t *testing.T, file string, run func(src string) string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(text), "=== ")
	var out strings.Builder
	out.WriteString(head)
	for c := range strings.SplitSeq(rest, "\n=== ") {
		title, body, _ := strings.Cut(c, "\n")
		src, want, _ := strings.Cut(body+"\n", "----\n")
		got := run(src)
		if strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") && !*update {
			t.Errorf("%s:\n%s\ngot\n%s\nwant\n%s", title, src, got, want)
		}
		out.WriteString("=== " + title + "\n" + src + "----\n" + strings.TrimRight(got, "\n") + "\n\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
