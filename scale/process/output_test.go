package process

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newTail(t *testing.T, maxBytes int64) (*tail, *bytes.Buffer) {
	var out bytes.Buffer
	file := &logFile{path: filepath.Join(t.TempDir(), "users-2.log"), max: maxBytes, log: slog.Default()}
	t.Cleanup(file.close)
	return &tail{file: file, show: prefixed(&out, new(sync.Mutex), "users-2")}, &out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Lines come out whole behind the replica's name, however the bytes were cut, and a last one without an end too.
func TestTailLines(t *testing.T) {
	tail, out := newTail(t, 1<<20)
	for _, piece := range []string{"on", "e\ntwo\r\n", "\nlast"} {
		_, _ = tail.Write([]byte(piece))
	}
	tail.flush()
	if want := "users-2 | one\nusers-2 | two\nusers-2 | \nusers-2 | last\n"; out.String() != want {
		t.Errorf("shown %q, want %q", out, want)
	}
	if got, want := read(t, tail.file.path), "one\ntwo\r\n\nlast"; got != want {
		t.Errorf("kept %q, want %q", got, want)
	}
}

// A line is shown and remembered up to 4 KiB; the file has all of it.
func TestTailCutsLongLines(t *testing.T) {
	tail, out := newTail(t, 1<<20)
	_, _ = fmt.Fprintf(tail, "%s\nshort\n", strings.Repeat("x", 100_000))
	want := "users-2 | " + strings.Repeat("x", maxLineBytes) + " … (cut)\nusers-2 | short\n"
	if out.String() != want {
		t.Errorf("%d bytes shown, want %d", out.Len(), len(want))
	}
	if n := len(read(t, tail.file.path)); n != 100_000+len("\nshort\n") {
		t.Errorf("%d bytes kept", n)
	}
}

// A replica that floods is shown 500 lines at once and 100 a second, with the number of those left out; the last 20 are remembered all
// the same.
func TestTailBoundsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tail, out := newTail(t, 1<<20)
		for i := range 1000 {
			_, _ = fmt.Fprintf(tail, "line %d\n", i)
		}
		if n := strings.Count(out.String(), "\n"); n != linesAtOnce {
			t.Errorf("%d lines shown at once, want %d", n, linesAtOnce)
		}
		if last := tail.lines(); len(last) != keptLines || last[0] != "line 980" || last[keptLines-1] != "line 999" {
			t.Errorf("remembered %q", last)
		}
		out.Reset()
		time.Sleep(time.Second)
		for i := range 150 {
			_, _ = fmt.Fprintf(tail, "later %d\n", i)
		}
		tail.flush()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		left := func(n int) string {
			return fmt.Sprintf("users-2 | (%d lines left out here; %s has them)", n, tail.file.path)
		}
		if len(lines) != 1+linesASecond+1 || lines[0] != left(500) || lines[len(lines)-1] != left(50) {
			t.Errorf("%d lines shown a second later, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
		}
	})
}

// A full log file becomes the older one, and there is never more than one of those; a file from before is gone on with.
func TestLogFileIsBounded(t *testing.T) {
	tail, _ := newTail(t, 100)
	if err := os.WriteFile(tail.file.path, []byte(strings.Repeat("o", 90)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range "abcdef" {
		_, _ = tail.Write(bytes.Repeat([]byte(string(c)), 40))
	}
	if got, want := read(t, tail.file.path), strings.Repeat("e", 40)+strings.Repeat("f", 40); got != want {
		t.Errorf("the file has %q", got)
	}
	if got, want := read(t, tail.file.path+".1"), strings.Repeat("c", 40)+strings.Repeat("d", 40); got != want {
		t.Errorf("the older file has %q", got)
	}
}

// A file that cannot be written costs a line in the log, once, and the replica nothing.
func TestLogFileFailureIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	tail, out := newTail(t, 100)
	tail.file.path = filepath.Join(t.TempDir(), "missing", "x.log")
	tail.file.log = slog.New(slog.NewTextHandler(&log, nil))
	for range 3 {
		if n, err := tail.Write([]byte("text\n")); n != 5 || err != nil {
			t.Fatalf("Write returned %d, %v", n, err)
		}
	}
	if n := strings.Count(log.String(), "cannot be kept"); n != 1 {
		t.Errorf("told %d times, want once:\n%s", n, &log)
	}
	if n := strings.Count(out.String(), "users-2 | text\n"); n != 3 {
		t.Errorf("%d lines shown, want 3", n)
	}
}
