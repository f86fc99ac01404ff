// Package golden runs tests whose cases stand in text files: "=== title", an input, "----", the output.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output")

// Run compares what run makes of each case's input in the files that match pattern with the output that stands there, a subtest for each
// file. With the flag -update it rewrites the files instead; the diff is reviewed.
func Run(t *testing.T, pattern string, run func(input string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runFile(t, file, run) })
	}
}

func runFile(t *testing.T, file string, run func(string) string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(text), "=== ")
	var out strings.Builder
	out.WriteString(head)
	for c := range strings.SplitSeq(rest, "\n=== ") {
		title, body, _ := strings.Cut(c, "\n")
		input, want, _ := strings.Cut(body+"\n", "----\n")
		got := run(input)
		if strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") && !*update {
			t.Errorf("%s:\n%s\ngot\n%s\nwant\n%s", title, input, got, want)
		}
		out.WriteString("=== " + title + "\n" + input + "----\n" + strings.TrimRight(got, "\n") + "\n\n")
	}
	if !*update {
		return
	}
	if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
