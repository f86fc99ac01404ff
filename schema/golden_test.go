package schema

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/internal/golden"
)

// Every mistake and warning of linking is shown as testdata/*.txt says: "=== title", an IDL with its includes behind "-- name --" lines,
// "----", what is reported.
func TestMistakes(t *testing.T) { golden.Run(t, "testdata/*.txt", report) }

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
