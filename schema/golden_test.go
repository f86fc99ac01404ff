package schema

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/thriftloom/thriftloom/idl"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// Every mistake and warning of linking is shown as testdata/*.txt says: "=== title", an IDL with its includes behind "-- name --" lines,
// "----", what is reported.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata: ", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runCases(t, file, report) })
	}
}

// report shows what loading reports.
func report(src string) string {
	d, err := loadText(src)
	var mistakes idl.Mistakes
	switch {
	case errors.As(err, &mistakes):
		return mistakes.Render()
	case err != nil:
		return err.Error()
	case len(d.Warnings) > 0:
		return "warnings:\n" + idl.Mistakes(d.Warnings).Render()
	}
	return "ok\n"
}

// loadText loads a.thrift with the files behind it; lib is an include folder.
func loadText(src string) (*Document, error) {
	archive := txtar.Parse([]byte(src))
	files := fstest.MapFS{"a.thrift": {Data: archive.Comment}}
	for _, f := range archive.Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return Load("a.thrift", Options{FS: files, IncludeDirs: []string{"lib"}})
}

// runCases compares, or with -update rewrites, each case of a file.
func runCases(t *testing.T, file string, run func(src string) string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "=== ")
	var out strings.Builder
	for c := range strings.SplitSeq(rest, "\n=== ") {
		title, body, _ := strings.Cut(c, "\n")
		src, want, _ := strings.Cut(body+"\n", "----\n")
		got := strings.TrimRight(run(src), "\n")
		if got != strings.TrimRight(want, "\n") && !*update {
			t.Errorf("%s:\n%s\ngot\n%s\nwant\n%s", title, src, got, want)
		}
		out.WriteString("=== " + title + "\n" + src + "----\n" + got + "\n\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
