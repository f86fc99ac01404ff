package peertest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// built returns a folder in the cache in which make has made something out of the files of test/peers that the patterns name. It is made
// once for the same files and the same key.
func built(t testing.TB, name, key string, patterns []string, makeIn func(t testing.TB, dir string)) string {
	t.Helper()
	sum := sha256.New()
	fmt.Fprintln(sum, key)
	var files []string
	for _, p := range patterns {
		found, err := filepath.Glob(File(p))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files %s: %v", p, err)
		}
		files = append(files, found...)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(sum, filepath.Base(f), len(text))
		_, _ = sum.Write(text)
	}
	dir := filepath.Join(cacheDir(), "thriftloom", "peers", name+"-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "new")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temporary)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(temporary, filepath.Base(f)), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	makeIn(t, temporary)
	if err := os.Rename(temporary, dir); err != nil {
		if _, other := os.Stat(dir); other != nil { // else another test has made it at the same time
			t.Fatal(err)
		}
	}
	return dir
}

// run runs a command in dir.
func run(t testing.TB, dir string, env []string, command ...string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

// generate has thrift-compiler make code of the IDL, in a folder gen-LANGUAGE.
func generate(t testing.TB, dir, language string) {
	t.Helper()
	run(t, dir, nil, "thrift", "-r", "-out", mkdir(t, dir, "gen-"+strings.SplitN(language, ":", 2)[0]), "--gen", language, "kinds_extra.thrift")
}

func mkdir(t testing.TB, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

const idl = "kinds*.thrift"

// generated is the code for Python and Node.js.
func generated(t testing.TB) string {
	return built(t, "generated", "", []string{idl}, func(t testing.TB, dir string) {
		generate(t, dir, "py")
		generate(t, dir, "js:node,es6")
	})
}

func goProgram(t testing.TB) string {
	return filepath.Join(built(t, "apachego", runtime.Version(), []string{idl, "apachego/*"}, func(t testing.TB, dir string) {
		generate(t, dir, "go:thrift_import=github.com/apache/thrift/lib/go/thrift,package_prefix=apachego/")
		if err := os.Rename(filepath.Join(dir, "gen-go/kinds"), filepath.Join(dir, "kinds")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "gen-go")); err != nil {
			t.Fatal(err)
		}
		run(t, dir, []string{"GOWORK=off", "GOFLAGS=-mod=mod"}, "go", "build", "-o", "program", ".")
	}), "program")
}

func cppProgram(t testing.TB) string {
	return filepath.Join(built(t, "apachecpp", "", []string{idl, "apachecpp/*"}, func(t testing.TB, dir string) {
		generate(t, dir, "cpp:no_skeleton")
		run(t, dir, nil, "sh", "-c", "g++ -std=c++17 -O1 -w -o program main.cpp gen-cpp/*.cpp -lthrift -lthriftz -lpthread")
	}), "program")
}
