package idl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Parse returns for any input, with mistakes that stand in the file, are in order and can be shown, and within its bounds.
func FuzzParse(f *testing.F) {
	for _, src := range accepted {
		f.Add([]byte(src))
	}
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for c := range strings.SplitSeq(string(text), "\n=== ") {
			src, _, _ := strings.Cut(c, "----\n")
			f.Add([]byte(src))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, mistakes := Parse("a", src)
		if file == nil || len(mistakes) > MaxMistakes+1 || len(file.Warnings) > MaxMistakes {
			t.Fatalf("%d mistakes, %d warnings", len(mistakes), len(file.Warnings))
		}
		lines := strings.Count(string(src), "\n") + 1
		last := Pos{}
		for _, m := range mistakes {
			p := m.Pos
			if p.Line < 1 || p.Line > lines || p.Col < 1 || p.Col > len(m.Source)+2 || p.Line < last.Line || p.Line == last.Line && p.Col < last.Col {
				t.Fatalf("%v after %v in %q", m, last, src)
			}
			if last = p; m.Text == "" || strings.ContainsRune(m.Text, '\n') || strings.Count(m.Render(), "\n") != 3 {
				t.Fatalf("%q", m.Render())
			}
		}
	})
}
