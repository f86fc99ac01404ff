package strictyaml_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// keys lists the leaves that could be read, in order.
func keys(b *strings.Builder, node *yaml.Node, path string) {
	for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
		at := strings.TrimPrefix(path+"."+node.Content[i].Value, ".")
		if v := node.Content[i+1]; v.Kind == yaml.MappingNode {
			keys(b, v, at)
		} else {
			fmt.Fprintf(b, "reads %d: %s\n", v.Line, at)
		}
	}
}

// A mistake of syntax is told at its own place and does not hide what stands above, below or beside it.
func TestParse(t *testing.T) {
	files, _ := filepath.Glob("testdata/parse/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(script), "----\n")
			doc, mistakes := strictyaml.Parse("f.yaml", []byte(in))
			var got strings.Builder
			for _, m := range mistakes {
				fmt.Fprintln(&got, m)
			}
			keys(&got, doc.Root, "")
			if *update {
				if err := os.WriteFile(file, []byte(in+"----\n"+got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Texts that are hostile, or no block at all, are refused whole, each with one mistake.
func TestParseBounds(t *testing.T) {
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for _, c := range []struct{ name, in, want string }{
		{"many laughs", laughs, "values with its aliases written out"},
		{"an alias of itself", "a: &a [*a]", "nested deeper than 64 levels"},
		{"nested blocks", "a: " + strings.Repeat("{a: ", 80) + "1" + strings.Repeat("}", 80), "nested deeper than 64 levels"},
		{"too long", strings.Repeat("#\n", strictyaml.MaxBytes/2+1), "f.yaml:1:1: file: has 4194306 bytes, which is more than 4194304"},
		{"a list", "- a", "f.yaml:1:1: yaml: the document has to be a block of keys, and is a list"},
		{"a text", "hello", "f.yaml:1:1: yaml: the document has to be a block of keys, and is a text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, mistakes := strictyaml.Parse("f.yaml", []byte(c.in))
			if len(mistakes) != 1 || !strings.Contains(mistakes[0].String(), c.want) {
				t.Errorf("mistakes %v, want one with %q", mistakes, c.want)
			}
			if doc.Root == nil || len(doc.Root.Content) != 0 {
				t.Errorf("root %+v, want an empty block", doc.Root)
			}
		})
	}
}

// A block whose every line is broken is not told to be empty as well.
func TestSpoiltBlock(t *testing.T) {
	got := config{Name: "kept"}
	want := []string{"f.yaml:2:6: yaml: what [ begins here has no end on its line"}
	if lines := decode(&got, "name:\n  a: [1\non: true\n"); !cmp.Equal(want, lines) || got.Name != "kept" || !got.On {
		t.Errorf("%+v %q", got, lines)
	}
}

// What seems to be missing in lines that could not be read may only be broken: Damaged knows them.
func TestDamaged(t *testing.T) {
	doc, _ := strictyaml.Parse("f.yaml", []byte("a: 1\nb: @x\n  c\nd: 2\n"))
	for line, want := range map[int]bool{1: false, 2: true, 3: true, 4: false} {
		if got := doc.Damaged(line, line); got != want {
			t.Errorf("line %d: %v, want %v", line, got, want)
		}
	}
	if !doc.Damaged(1, 4) {
		t.Error("a range around the damage is not damaged")
	}
}

// No text makes the parser or the decoder panic, and each mistake has a place and a key.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"on: true\ncount: 3\nblock: {depth: 1}\n", "a: &a [*a]", "a: *b", "? [x]\n: y", "name: ${A:-${B}}", "size: 9MiB\nmany: [{}, {depth: x}]",
		"union: {deep: 1}\nlater: {a: {}, b: }", "a: 'x\nb: \"y\n", "a: [1,\n", "\xff\xfe\x00a", "a: \x00", "---\na: 1\n---\nb: 2\n", "<<: {a: 1}", "soon: !!binary x",
		"a:\r\tb: 1", "%YAML 1.2\n---\na: 1\n", "!!map {on: !!bool maybe}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		doc, mistakes := strictyaml.Parse("f.yaml", []byte(text))
		var c config
		d := strictyaml.Decoder{File: "f.yaml", Lookup: lookup}
		d.Decode(doc.Root, "", &c)
		for _, m := range append(mistakes, d.Mistakes()...) {
			if m.Line < 1 || m.Col < 1 || m.Text == "" || strings.ContainsRune(m.Text, '\n') {
				t.Errorf("mistake without a place or a text of one line: %+v", m)
			}
		}
	})
}
