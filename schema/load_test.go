package schema

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/idl"
)

// write makes files in a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustLoad(t *testing.T, path string, opts Options) *Document {
	t.Helper()
	d, err := Load(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// An include is looked for in the folder of its file, then in IncludeDirs in their order.
func TestSearchOrder(t *testing.T) {
	dir := write(t, map[string]string{
		"svc/a.thrift": `include "x.thrift"` + "\n" + `include "sub/y.thrift"` + "\n" + `include "../up.thrift"`,
		"svc/x.thrift": "const i32 FROM = 1", "one/x.thrift": "const i32 FROM = 2",
		"one/sub/y.thrift": `include "z.thrift"` + "\nconst i32 FROM = z.FROM", "two/sub/y.thrift": "const i32 FROM = 4",
		"one/sub/z.thrift": "const i32 FROM = 5", "two/z.thrift": "const i32 FROM = 6",
		"up.thrift": "const i32 FROM = 7",
	})
	d := mustLoad(t, filepath.Join(dir, "svc", "a.thrift"), Options{IncludeDirs: []string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}})
	for name, want := range map[string]int64{"x.FROM": 1, "y.FROM": 5, "y.z.FROM": 5, "up.FROM": 7} {
		c, _ := d.Lookup(name).(*Const)
		if c == nil || c.Value != want {
			t.Errorf("%s: got %+v, want %d", name, c, want)
		}
	}
	var want []string
	for _, f := range []string{"svc/a", "one/sub/y", "one/sub/z", "svc/x", "up"} {
		want = append(want, filepath.Join(dir, filepath.FromSlash(f+".thrift")))
	}
	if diff := cmp.Diff(want, d.Files); diff != "" {
		t.Error(diff)
	}
}

// Without IncludeDirs the working directory is looked in last, as in ThriftPy; with them it is not.
func TestWorkingDirectory(t *testing.T) {
	dir := write(t, map[string]string{"svc/a.thrift": `include "lib/x.thrift"`, "lib/x.thrift": ""})
	t.Chdir(dir)
	mustLoad(t, "svc/a.thrift", Options{})
	if _, err := Load("svc/a.thrift", Options{IncludeDirs: []string{"svc"}}); err == nil {
		t.Error("found in the working directory in spite of IncludeDirs")
	}
}

// A root file that cannot be read is an error of the system that names it.
func TestMissingRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nothing.thrift")
	if _, err := Load(path, Options{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// Mistakes of all files come together, as idl.Mistakes, with the path of each as it was found.
func TestMistakesOfAllFiles(t *testing.T) {
	dir := write(t, map[string]string{"b.thrift": `include "a.thrift"` + "\nstruct B { 1: Nope x }", "a.thrift": "struct A { 1: }"})
	_, err := Load(filepath.Join(dir, "b.thrift"), Options{})
	var mistakes idl.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) != 2 || mistakes[0].Pos.File != filepath.Join(dir, "a.thrift") || mistakes[1].Pos.Line != 2 {
		t.Errorf("got %v", err)
	}
}

// Text from bytes has no path; its includes are found through FS, and a file is loaded once however it is reached.
func TestLoadBytes(t *testing.T) {
	files := fsOf(map[string]string{"lib/b.thrift": `include "../lib/c.thrift"` + "\nstruct B { 1: c.C c }", "lib/c.thrift": "struct C {}"})
	d, err := LoadBytes("a.thrift", []byte("include 'lib/b.thrift'\ninclude 'c.thrift'\nstruct A { 1: b.c.C x, 2: c.C y }"), Options{FS: files, IncludeDirs: []string{"lib"}})
	if err != nil {
		t.Fatal(err)
	}
	if a := d.Structs[0]; a.Fields[0].Type != a.Fields[1].Type {
		t.Error("c.thrift was loaded twice")
	}
	if diff := cmp.Diff([]string{"lib/b.thrift", "lib/c.thrift"}, d.Files); diff != "" || d.Path != "" {
		t.Error(d.Path, diff)
	}
}

// Two trees that each have a common.thrift do not see one another's, in one process.
func TestSameNameInTwoTrees(t *testing.T) {
	dir := write(t, map[string]string{
		"x/a.thrift": `include "common.thrift"`, "x/common.thrift": "const i32 V = 1",
		"y/a.thrift": `include "common.thrift"`, "y/common.thrift": "const i32 V = 2",
	})
	for sub, want := range map[string]int64{"x": 1, "y": 2} {
		d := mustLoad(t, filepath.Join(dir, sub, "a.thrift"), Options{})
		if c := d.Lookup("common.V").(*Const); c.Value != want {
			t.Errorf("%s: got %v", sub, c.Value)
		}
	}
}

// An include that is no file (a pipe would block for ever) is a mistake.
func TestIncludeOfDevice(t *testing.T) {
	if _, err := os.Stat("/dev/null"); err != nil {
		t.Skip("no /dev/null")
	}
	_, err := LoadBytes("a", []byte(`include "/dev/null"`), Options{})
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}
