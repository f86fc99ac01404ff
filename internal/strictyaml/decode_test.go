package strictyaml_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

type inner struct {
	Depth int           `yaml:"depth" min:"1" max:"9"`
	Wait  time.Duration `yaml:"wait" min:"1ms" max:"1h"`
}

type config struct {
	On    bool             `yaml:"on"`
	Multi bool             `yaml:"multi" later:"true"`
	Count int              `yaml:"count" max:"100"`
	Share float64          `yaml:"share" max:"1"`
	Size  strictyaml.Bytes `yaml:"size" max:"1GiB"`
	Name  string           `yaml:"name"`
	Mode  string           `yaml:"mode" oneof:"fast,safe" later:"magic"`
	Way   string           `yaml:"way" oneof:"straight" later:"*"`
	Inner inner            `yaml:",inline"`
	Block inner            `yaml:"block"`
	Maybe *inner           `yaml:"maybe"`
	List  []string         `yaml:"list"`
	Many  []inner          `yaml:"many"`
	Env   map[string]string
	Vars  map[string]string         `yaml:"vars"`
	Soon  any                       `yaml:"soon" built:"no"`
	Typed inner                     `yaml:"typed" built:"no"`
	Union union                     `yaml:"union"`
	Later strictyaml.Blocks[config] `yaml:"later"`
}

// union is a text or a block.
type union struct {
	Text string
	Deep int `yaml:"deep"`
}

func (u *union) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain union
	if node.Kind == yaml.MappingNode {
		d.Decode(node, path, (*plain)(u))
	} else if s, ok := d.Text(node, path); ok {
		u.Text = s
	}
}

var variables = map[string]string{"HOST": "db", "N": "7", "EMPTY": ""}

func lookup(name string) (string, bool) {
	s, ok := variables[name]
	return s, ok
}

// decode lays text on c and returns the mistakes as lines.
func decode(c *config, text string) []string {
	doc, mistakes := strictyaml.Parse("f.yaml", []byte(text))
	d := strictyaml.Decoder{File: "f.yaml", Lookup: lookup}
	d.Decode(doc.Root, "", c)
	var lines []string
	for _, m := range strictyaml.Sort(append(mistakes, d.Mistakes()...)) {
		lines = append(lines, m.String())
	}
	return lines
}

// Each type takes what it should, an absent key keeps what is there, and a written 0 is 0.
func TestDecode(t *testing.T) {
	held := config{Count: 5, Size: 9, Name: "kept", Inner: inner{Depth: 2, Wait: time.Second}}
	for _, c := range []struct {
		name, in string
		want     func(*config)
	}{
		{"nothing", "", func(c *config) {}},
		{"a comment", "# nothing\n", func(c *config) {}},
		{"a written zero", "count: 0", func(c *config) { c.Count = 0 }},
		{"zero without a unit", "block: {wait: 1ms}\nsize: 0", func(c *config) { c.Block.Wait, c.Size = time.Millisecond, 0 }},
		{"bool", "on: true", func(c *config) { c.On = true }},
		{"the built half of a bool", "multi: false", func(c *config) {}},
		{"float", "share: 0.25", func(c *config) { c.Share = 0.25 }},
		{"size", "size: 64MiB", func(c *config) { c.Size = 64 << 20 }},
		{"plain size", "size: 4096", func(c *config) { c.Size = 4096 }},
		{"inlined keys", "depth: 3", func(c *config) { c.Inner.Depth = 3 }},
		{"block", "block: {depth: 4, wait: 1m30s}", func(c *config) { c.Block = inner{4, 90 * time.Second} }},
		{"block with nothing in it", "block:", func(c *config) {}},
		{"pointer", "maybe: {depth: 4}", func(c *config) { c.Maybe = &inner{Depth: 4} }},
		{"list", "list: [a, 2, true]", func(c *config) { c.List = []string{"a", "2", "true"} }},
		{"list of blocks", "many:\n  - depth: 1\n  - {depth: 2}", func(c *config) { c.Many = []inner{{Depth: 1}, {Depth: 2}} }},
		{"map", "vars: {A: 1, B: x y}", func(c *config) { c.Vars = map[string]string{"A": "1", "B": "x y"} }},
		{"enum", "mode: safe", func(c *config) { c.Mode = "safe" }},
		{"number as a text", "name: 0x10", func(c *config) { c.Name = "0x10" }},
		{"union, short", "union: x", func(c *config) { c.Union.Text = "x" }},
		{"union, long", "union: {deep: 3}", func(c *config) { c.Union.Deep = 3 }},
		{"alias", "block: &b {depth: 5}\nmaybe: *b", func(c *config) { c.Block.Depth, c.Maybe = 5, &inner{Depth: 5} }},
		{"variable", "name: a-${HOST}-b", func(c *config) { c.Name = "a-db-b" }},
		{"variable for a number", "count: ${N}", func(c *config) { c.Count = 7 }},
		{"quoted variable for a number", `count: "${N}"`, func(c *config) { c.Count = 7 }},
		{"default of a variable", "name: ${NONE:-x}${EMPTY:-y}${HOST:-z}", func(c *config) { c.Name = "xydb" }},
		{"empty variable", "name: ${EMPTY}", func(c *config) { c.Name = "" }},
		{"dollars", "name: $$HOST $HOST $${HOST} $", func(c *config) { c.Name = "$HOST $HOST ${HOST} $" }},
		{"no variable in a key", "vars: {'${HOST}': 1}", func(c *config) { c.Vars = map[string]string{"${HOST}": "1"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, want := held, held
			if mistakes := decode(&got, c.in); mistakes != nil {
				t.Fatalf("mistakes: %q", mistakes)
			}
			c.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every mistake has its place, its key and a text that says what is wanted.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"unknown key", "nmae: x", []string{`1:1: nmae: unknown key; did you mean "name"?`}},
		{"nothing near", "zzzzzz: x", []string{"1:1: zzzzzz: unknown key"}},
		{"inside", "block:\n  dept: 1", []string{`2:3: block.dept: unknown key; did you mean "depth"?`}},
		{"in a list", "many: [{depth: 1}, {dept: 1}]", []string{`1:21: many[1].dept: unknown key; did you mean "depth"?`}},
		{"field without a tag", "Env: {}", []string{`1:1: Env: unknown key`}},
		{"twice", "name: a\nname: b", []string{"2:1: name: given twice, first in line 1"}},
		{"merge key", "block: &b {depth: 1}\nmaybe: {<<: *b}", []string{"2:9: maybe.<<: merge keys are not taken; write the keys out, or use the block `defaults`"}},
		{"key that is a list", "? [a]\n: b", []string{"1:3: : a key has to be a plain text"}},
		{"bool", "on: yes", []string{`1:5: on: wants true or false, has "yes"`}},
		{"number for a bool", "on: 1", []string{`1:5: on: wants true or false, has 1`}},
		{"text for a number", "count: many", []string{`1:8: count: wants a whole number, has "many"`}},
		{"quoted number", `count: "5"`, []string{`1:8: count: wants a whole number, has "5"`}},
		{"broken number", "count: 1.5", []string{`1:8: count: wants a whole number, has 1.5`}},
		{"huge number", "count: 99999999999999999999", []string{`1:8: count: wants a whole number, has 99999999999999999999`}},
		{"too much", "count: 101", []string{"1:8: count: 101 is more than 100"}},
		{"negative", "count: -1", []string{"1:8: count: -1 is less than 0"}},
		{"below the range", "depth: 0", []string{"1:8: depth: 0 is less than 1"}},
		{"not finite", "share: .inf", []string{"1:8: share: wants a number, has .inf"}},
		{"share", "share: 1.5", []string{"1:8: share: 1.5 is more than 1"}},
		{"no unit", "block: {wait: 5}", []string{"1:15: block.wait: wants a duration with its unit, like 5s or 200ms, has 5"}},
		{"zero duration below its range", "wait: 0", []string{"1:7: wait: 0 is less than 1ms"}},
		{"long duration", "wait: 6h", []string{"1:7: wait: 6h is more than 1h"}},
		{"unit of a size", "size: 64MB", []string{`1:7: size: wants a size in bytes, like 65536 or 64MiB, has "64MB"`}},
		{"size", "size: 2GiB", []string{"1:7: size: 2GiB is more than 1GiB"}},
		{"size beyond all", "size: 99999999999GiB", []string{`1:7: size: wants a size in bytes, like 65536 or 64MiB, has "99999999999GiB"`}},
		{"enum", "mode: saef", []string{`1:7: mode: "saef" is none of fast, safe, magic; did you mean "safe"?`}},
		{"value not built", "mode: magic", []string{"1:7: mode: magic is not built yet"}},
		{"bool not built", "multi: true", []string{"1:8: multi: true is not built yet"}},
		{"any other value", "way: round", []string{`1:6: way: "round" is not built yet; built: straight`}},
		{"key not built", "soon: {a: [1]}", []string{"1:1: soon: not built yet"}},
		{"and what is inside", "typed: {dept: 1}", []string{"1:1: typed: not built yet", `1:9: typed.dept: unknown key; did you mean "depth"?`}},
		{"list for a text", "name: [a]", []string{"1:7: name: wants a text, has a list"}},
		{"text for a block", "block: x", []string{"1:8: block: wants a block of keys, has a text"}},
		{"block for a list", "list: {a: 1}", []string{"1:7: list: wants a list, has a block of keys"}},
		{"no value", "count:", []string{"1:7: count: has no value; leave the key out for its default"}},
		{"union", "union: [1]", []string{"1:8: union: wants a text, has a list"}},
		{"variable that is not set", "vars: {a: '${NONE}'}", []string{"1:11: vars.a: the variable NONE is not set; ${NONE:-x} gives it a default"}},
		{"open variable", "name: ${HOST", []string{"1:7: name: ${ has no closing }; a $ itself is written $$"}},
		{"name of a variable", "name: ${1A}", []string{"1:7: name: ${1A} is not the name of a variable"}},
		{"all at once", "on: 1\ncount: x\nblock:\n  wait: 5\nnmae: y", []string{
			`1:5: on: wants true or false, has 1`, `2:8: count: wants a whole number, has "x"`,
			"4:9: block.wait: wants a duration with its unit, like 5s or 200ms, has 5", `5:1: nmae: unknown key; did you mean "name"?`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got config
			lines := decode(&got, c.in)
			for i := range lines {
				lines[i] = strings.TrimPrefix(lines[i], "f.yaml:")
			}
			if diff := cmp.Diff(c.want, lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A value that is wrong leaves what was there.
func TestWrongValueKeeps(t *testing.T) {
	held := config{On: true, Count: 5, Share: 0.5, Size: 9, Name: "kept", Mode: "safe", List: []string{"a"}, Inner: inner{2, time.Second}}
	got := held
	mistakes := decode(&got, "on: 1\ncount: x\nshare: 2\nsize: -1\nname: ${NONE}\nmode: magic\nlist: x\ndepth: 0\nwait: 5\n")
	if len(mistakes) != 9 || !cmp.Equal(held, got) {
		t.Errorf("mistakes %q\n%s", mistakes, cmp.Diff(held, got))
	}
}

// A struct that is decoded several times layers the later over the earlier, key by key.
func TestLayers(t *testing.T) {
	var c config
	for _, text := range []string{"count: 1\nblock: {depth: 1, wait: 1s}", "block: {depth: 2}", "name: x\nblock: {wait: 3s}"} {
		if mistakes := decode(&c, text); mistakes != nil {
			t.Fatal(mistakes)
		}
	}
	if want := (config{Count: 1, Name: "x", Block: inner{2, 3 * time.Second}}); !cmp.Equal(want, c) {
		t.Error(cmp.Diff(want, c))
	}
}

// Blocks keep the order of the text, and their values for later.
func TestBlocks(t *testing.T) {
	var c config
	if mistakes := decode(&c, "later:\n  z: {count: 1}\n  a: {count: 2}\n"); mistakes != nil {
		t.Fatal(mistakes)
	}
	if got := strings.Join(c.Later.Names(), " "); got != "z a" {
		t.Errorf("names: %s", got)
	}
	second := config{Name: "kept"}
	d := strictyaml.Decoder{File: "f.yaml"}
	d.Decode(c.Later[1].Value, "later.a", &second)
	if second.Count != 2 || second.Name != "kept" || d.Mistakes() != nil {
		t.Errorf("%+v, %v", second, d.Mistakes())
	}
}

// A size prints in the largest unit that divides it, and reads back as the same.
func TestBytesString(t *testing.T) {
	for b, want := range map[strictyaml.Bytes]string{0: "0", 1023: "1023", 1024: "1KiB", 1536: "1536", 64 << 20: "64MiB", 3 << 30: "3GiB"} {
		if b.String() != want {
			t.Errorf("%d: %s, want %s", int64(b), b, want)
		}
	}
}

// The mistakes of several files stand in one list, in the order in which they were found, each with its file; a block knows its own.
func TestSeveralFiles(t *testing.T) {
	first := strictyaml.Decoder{File: "a.yaml", Lookup: lookup}
	second := first.In("b.yaml")
	var c config
	for _, d := range []*strictyaml.Decoder{&second, &first} {
		doc, _ := strictyaml.Parse(d.File, []byte("later: {x: {}}\ncount: ${N}0000\n"))
		d.Decode(doc.Root, "", &c)
		if c.Later[0].File != d.File {
			t.Errorf("the block of %s stands in %q", d.File, c.Later[0].File)
		}
	}
	var files []string
	for _, m := range first.Mistakes() {
		files = append(files, m.File)
	}
	if got := strings.Join(files, " "); got != "b.yaml a.yaml" || len(second.Mistakes()) != 2 {
		t.Errorf("mistakes in %q", got)
	}
}
