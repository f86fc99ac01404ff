package idl

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// accepted is everything that Apache's compiler or ThriftPy takes; the fuzz target starts from it too.
var accepted = map[string]string{
	"empty":                  "",
	"comments":               "// a\n# b\n/* c */ /* * / */ /**/ /***/ /*/ */ // end",
	"byte order mark":        "\ufeffstruct A {}",
	"line ends":              "struct A {\r\n 1: i32 a\r\n}\r\n",
	"includes":               "include \"a.thrift\"\ninclude 'b.thrift';\ncpp_include \"<list>\",",
	"namespaces":             "namespace py a.b\nnamespace * x\nnamespace py.twisted T\nnamespace xsd t (uri = 'x')\nnamespace go \"a/b\"\nnamespace js my-mod;",
	"reserved in namespaces": "namespace py global\nnamespace from from",
	"const":                  "const i32 A = 1\nconst string B = 'x';\nconst bool C = true,\nconst i32 D = A (a = 'b')",
	"numbers":                "const list<double> A = [1, -2, +3, 0x1F, -0x10, 1., .5, -.5, 1e5, +1.5E-3, 007]",
	"values":                 "const map<string, list<i32>> A = {'a': [1, 2,], 'b': [1 2; 3], \"c\": []; 'd' : [X, y.Z]}\nconst set<i32> S = {}",
	"escapes":                `const string A = "\t\r\n\\\'\"'" const string B = '"'`,
	"typedef":                "typedef i32 (a = 'b') A (c = 'd'),\ntypedef list<A> B;\ntypedef map<A, set<B> (x) > C",
	"enum":                   "enum E { A, B = 5; C D (x = '1', y), E = -1 F=0x10 } (z)",
	"struct":                 "struct A { 1: required i32 a; 2: optional string b = 'x', 3: list<A> c 4: A & d (x) } (y = \"z\");",
	"no ids":                 "struct A { i32 a, required string b; 5: i32 c optional A d }",
	"odd ids":                "struct A { 0: i32 a, -3: i32 b, 0x10: i32 c, +7: i32 d }",
	"union and exception":    "union U { 1: i32 a }\nexception E { 1: string message } (x)",
	"service":                "service S { void a(), i32 b(1: i32 x; 2: string y = 'z') throws (1: E e) (x); oneway void c() } (y)\nservice T extends a.S {}",
	"function types":         "service S { list<map<i32, A>> a(), A (x = 'y') b() map<i32, string> (x) c(i32 a string b), A (x) d() }",
	"container annotations":  "struct A { 1: list<map<set<i32> (a = ''), string> (b)> (c) x (d) }",
	"cpp_type":               "typedef list cpp_type 'v' <i32> A\ntypedef map cpp_type \"m\" <i32, i32> B\ntypedef set<i32> cpp_type 's' C\nstruct D { 1: i32 cpp_type }",
	"xsd":                    "struct A xsd_all { 1: i32 a xsd_optional xsd_nillable xsd_attrs { 1: string x; string y = 'z' } (b) 2: i32 xsd_optional }",
	"annotation keys":        "struct A { 1: i32 a (from = 'x', struct, a.b.c = 'y' my-key = 'z'; required,) } ()",
	"uuid":                   "struct A { 1: uuid a = '00000000-0000-0000-0000-000000000000', 2: i32 uuid }",
	"one line":               "namespace py a struct A{1:i32 a 2:i32 b}enum B{C D}service E{void a()i32 b()}const i32 F=1 typedef i32 G",
	"trueNum":                "struct trueNum { 1: i32 falsey }",
}

// Everything that Apache's compiler or ThriftPy accepts is accepted.
func TestAccepted(t *testing.T) {
	for name, src := range accepted {
		if f, mistakes := Parse(name, []byte(src)); len(mistakes) > 0 || f.Incomplete {
			t.Errorf("%s: %s", name, mistakes.Render())
		}
	}
}

// only is cmp without what tests of one part do not say.
var only = cmp.Options{cmpopts.IgnoreTypes(Pos{}), cmpopts.EquateEmpty()}

// A struct's tree has all that the text says.
func TestStructTree(t *testing.T) {
	f := mustParse(t, `
/** A user.
 *  Second line.
 */
struct User {
  /** its key */
  1: required i64 id (a = "b", c),
  optional map<string, list<shared.Tag>> tags = {"x": [1, Y.Z]}
  User & next;
} (k = 'v')`)
	want := &Struct{
		Kind: Plain, Name: "User", Doc: "A user.\nSecond line.", Annotations: []Annotation{{Name: "k", Value: "v"}},
		Fields: []*Field{
			{ID: 1, Required: true, Type: &TypeRef{Name: "i64"}, Name: "id", Doc: "its key", Annotations: []Annotation{{Name: "a", Value: "b"}, {Name: "c"}}},
			{
				ID: -1, Implicit: true, Optional: true, Name: "tags",
				Type: &TypeRef{Name: "map", Key: &TypeRef{Name: "string"}, Elem: &TypeRef{Name: "list", Elem: &TypeRef{Name: "shared.Tag"}}},
				Default: &ConstValue{Kind: Map, Entries: []ConstEntry{{
					&ConstValue{Kind: Literal, Text: "x"},
					&ConstValue{Kind: List, List: []*ConstValue{{Kind: Int, Int: 1, Text: "1"}, {Kind: Name, Text: "Y.Z"}}},
				}}},
			},
			{ID: -2, Implicit: true, Type: &TypeRef{Name: "User"}, Reference: true, Name: "next"},
		},
	}
	if diff := cmp.Diff(want, f.Definitions[0], only); diff != "" {
		t.Error(diff)
	}
}

// A service's tree has all that the text says; each list of fields has its own automatic ids.
func TestServiceTree(t *testing.T) {
	f := mustParse(t, `
service Users extends shared.Base {
  oneway void ping(i32 a, string b),
  /** Finds one. */
  list<User> find(1: string name) throws (NotFound e, 2: Busy b) (idempotent)
}`)
	want := &Service{Name: "Users", Extends: "shared.Base", Functions: []*Function{
		{Name: "ping", Oneway: true, Args: []*Field{
			{ID: -1, Implicit: true, Name: "a", Type: &TypeRef{Name: "i32"}}, {ID: -2, Implicit: true, Name: "b", Type: &TypeRef{Name: "string"}},
		}},
		{
			Name: "find", Doc: "Finds one.", Result: &TypeRef{Name: "list", Elem: &TypeRef{Name: "User"}},
			Args:        []*Field{{ID: 1, Name: "name", Type: &TypeRef{Name: "string"}}},
			Throws:      []*Field{{ID: -1, Implicit: true, Name: "e", Type: &TypeRef{Name: "NotFound"}}, {ID: 2, Name: "b", Type: &TypeRef{Name: "Busy"}}},
			Annotations: []Annotation{{Name: "idempotent"}},
		},
	}}
	if diff := cmp.Diff(want, f.Definitions[0], only); diff != "" {
		t.Error(diff)
	}
}

// Headers, enums, consts and typedefs have all that the text says.
func TestOtherTrees(t *testing.T) {
	f := mustParse(t, `/** The file. */
include "a/b.thrift"
cpp_include "<x>"
java_package a.b
enum E { A = 0x10 (x), /** two */ B }
const double D = -.5
typedef list cpp_type "v" <i32> L`)
	want := &File{
		Name: "a.thrift", Doc: "The file.", Includes: []*Include{{Path: "a/b.thrift"}}, CppIncludes: []string{"<x>"},
		Namespaces: []*Namespace{{Scope: "java", Name: "a.b"}},
		Definitions: []Definition{
			&Enum{Name: "E", Values: []*EnumValue{{Name: "A", Value: 16, Explicit: true, Annotations: []Annotation{{Name: "x"}}}, {Name: "B", Doc: "two"}}},
			&Const{Name: "D", Type: &TypeRef{Name: "double"}, Value: &ConstValue{Kind: Double, Double: -.5, Text: "-.5"}},
			&Typedef{Name: "L", Type: &TypeRef{Name: "list", Elem: &TypeRef{Name: "i32"}, CppType: "v"}},
		},
	}
	ignore := cmpopts.IgnoreFields(File{}, "Source", "Warnings", "lines")
	if diff := cmp.Diff(want, f, only, ignore); diff != "" {
		t.Error(diff)
	}
}

// Numbers are what they are in Apache's compiler, signs on hex included.
func TestNumbers(t *testing.T) {
	tests := []struct {
		text string
		want any
	}{
		{"0", int64(0)}, {"+7", int64(7)}, {"-7", int64(-7)}, {"007", int64(7)}, {"0x1f", int64(31)}, {"-0x10", int64(-16)}, {"+0xA", int64(10)},
		{"9223372036854775807", int64(math.MaxInt64)}, {"-9223372036854775808", int64(math.MinInt64)},
		{"1.", 1.0}, {".5", .5}, {"-.5", -.5}, {"1e5", 1e5}, {"+1.5E-3", 1.5e-3}, {"1.e2", 100.0},
	}
	for _, test := range tests {
		v := mustParse(t, "const x X = "+test.text).Definitions[0].(*Const).Value
		var got any = v.Int
		if v.Kind == Double {
			got = v.Double
		}
		if got != test.want {
			t.Errorf("%s: got %v, want %v", test.text, got, test.want)
		}
	}
}

// Positions are those of names, ids, types and values, in lines and bytes from 1; a byte order mark is no column.
func TestPositions(t *testing.T) {
	f := mustParse(t, "\ufeffstruct  A {\n\t7: /* ü */ list<B> c = 'x'\n}\nservice S extends T { void f() }")
	s := f.Definitions[0].(*Struct)
	field := s.Fields[0]
	v := f.Definitions[1].(*Service)
	for _, test := range []struct {
		what      string
		pos       Pos
		line, col int
	}{
		{"struct", s.Pos, 1, 9}, {"id", field.IDPos, 2, 2}, {"type", field.Type.Pos, 2, 14}, {"element", field.Type.Elem.Pos, 2, 19},
		{"field", field.Pos, 2, 22}, {"default", field.Default.Pos, 2, 26}, {"service", v.Pos, 4, 9}, {"parent", v.ExtendsPos, 4, 19},
		{"function", v.Functions[0].Pos, 4, 28},
	} {
		if want := (Pos{"a.thrift", test.line, test.col}); test.pos != want {
			t.Errorf("%s: got %v, want %v", test.what, test.pos, want)
		}
	}
}

// A doc comment belongs to what stands behind it, however it is laid out.
func TestDoc(t *testing.T) {
	tests := []struct{ comment, want string }{
		{"/** one */", "one"}, {"/**one*/", "one"}, {"/** */", ""}, {"/**/", ""}, {"/* no */", ""},
		{"/**\n * a\n *   b\n *\n * c\n */", "a\n  b\n\nc"},
		{"/**\n   a\n     b\n*/", "a\n  b"},
		{"/** a\r\n * b\r\n */", "a\nb"},
		{"/** first */ /** last */ // other", "last"},
	}
	for _, test := range tests {
		if _, _, got := defOf(mustParse(t, test.comment+"\nstruct A {}")); got != test.want {
			t.Errorf("%q: got %q, want %q", test.comment, got, test.want)
		}
	}
}

func defOf(f *File) (string, Pos, string) {
	s := f.Definitions[0].(*Struct)
	return s.Name, s.Pos, s.Doc
}

// A file past a bound is refused with a mistake that says which, and soon.
func TestBounds(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"size", strings.Repeat(" ", MaxSourceBytes+1), "1:1: the file has 16777217 bytes; at most 16777216 are read"},
		{"type depth", "typedef " + strings.Repeat("list<", 65) + "i32" + strings.Repeat(">", 65) + " T", "types nest deeper than 64 levels"},
		{"value depth", "const x X = " + strings.Repeat("[", 65) + strings.Repeat("]", 65), "values nest deeper than 64 levels"},
		{"endless types", "typedef " + strings.Repeat("list<", 1<<20), "types nest deeper than 64 levels"},
		{"endless values", "const x X = " + strings.Repeat("{[", 1<<20), "values nest deeper than 64 levels"},
		{"parts", "enum E {" + strings.Repeat("a ", maxParts+1) + "}", "more than 1000000 parts"},
		{"name", "struct " + strings.Repeat("a", 1025) + " {}", "the name of the struct is longer than 1024 bytes"},
	}
	for _, test := range tests {
		_, mistakes := Parse("a", []byte(test.src))
		if !strings.Contains(mistakes.Error(), test.want) {
			t.Errorf("%s: got %.200s", test.name, mistakes.Error())
		}
	}
	deep := "typedef " + strings.Repeat("list<", 63) + "i32" + strings.Repeat(">", 63) + " T"
	mustParse(t, deep+"\nconst x X = "+strings.Repeat("[", 64)+strings.Repeat("]", 64))
}

// After a hundred mistakes parsing gives up and says so.
func TestTooManyMistakes(t *testing.T) {
	f, mistakes := Parse("a", []byte(strings.Repeat("struct A { 1: }\n", 200)))
	if len(mistakes) != MaxMistakes+1 || mistakes[MaxMistakes].Text != tooMany || !f.Incomplete {
		t.Errorf("%d mistakes, incomplete %v", len(mistakes), f.Incomplete)
	}
}

// What is behind a mistake is in the tree.
func TestTreeBehindMistakes(t *testing.T) {
	f, mistakes := Parse("a", []byte("strct A { 1: i32 a, 2: , 3: i32 c }\nconst = 1\nservice S { void a( void b() }\nenum E { X, = 2, Y }"))
	var got []string
	for _, d := range f.Definitions {
		switch x := d.(type) {
		case *Struct:
			got = append(got, fmt.Sprint(x.Name, len(x.Fields)))
		case *Service:
			got = append(got, fmt.Sprint(x.Name, len(x.Functions)))
		case *Enum:
			got = append(got, fmt.Sprint(x.Name, len(x.Values)))
		}
	}
	if diff := cmp.Diff([]string{"A2", "S1", "E2"}, got); diff != "" || len(mistakes) != 6 {
		t.Errorf("%s\n%s", diff, mistakes.Render())
	}
}

// The nearest word is found through swaps, slips and letter case; a word that is not near is not offered.
func TestNearest(t *testing.T) {
	words := []string{"struct", "string", "User", "i32", "UserList"}
	for word, want := range map[string]string{
		"strcut": "struct", "strnig": "string", "user": "User", "Usr": "User", "I32": "i32", "i23": "i32", "userlst": "UserList",
		"banana": "", "x": "", "": "", strings.Repeat("s", 65): "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

// A long line is shown around its mistake; the caret stands under it, tabs and wide letters before it or not.
func TestRender(t *testing.T) {
	m := Mistake{Pos: Pos{"a", 1, 12}, Text: "x", Source: "\tü\tstring a"}
	if got, want := m.Render(), "a:1:12: x\n\tü\tstring a\n\t \t       ^\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m = Mistake{Pos: Pos{"a", 1, 5001}, Text: "x", Source: strings.Repeat("é", 2500) + "!" + strings.Repeat("é", 2500)}
	lines := strings.Split(m.Render(), "\n")
	if at := strings.Index(lines[2], "^"); len(lines[1]) > maxShownBytes || []rune(lines[1])[at] != '!' {
		t.Errorf("got %q", lines)
	}
}

func mustParse(t *testing.T, src string) *File {
	t.Helper()
	f, mistakes := Parse("a.thrift", []byte(src))
	if len(mistakes) > 0 {
		t.Fatal(mistakes.Render())
	}
	return f
}

// Parsing takes time in proportion to the input, whatever is repeated in it: a square here would take minutes.
func TestHostileRepeats(t *testing.T) {
	heads := []string{"", "struct A {", "service S { void a(", "service S {", "enum E {", "const x X = [", "const x X = {", "typedef A (", "struct A { 1: i32 a xsd_attrs {"}
	pieces := []string{
		"a(b,", "a(b) ", "a(", "a<", "struct ", "struct a ", "1:", "x xsd_attrs{", "/*", "/**/", "[", "{", "}", ")", ",", "\"", "'\n", "@", "é", "-", "\n",
		"required ", "requird a ", "void ", "a b()\n", "a<b,c>\n", "oneway ", "const i32 A = A\n", "a=1 ", "a:1,", "{}", "\\", "enum\n", "a.", "i32 (a",
	}
	for _, head := range heads {
		for _, piece := range pieces {
			src := head + strings.Repeat(piece, (32<<10)/len(piece))
			if _, mistakes := Parse("a", []byte(src)); len(mistakes) > MaxMistakes+1 {
				t.Errorf("%q %q: %d mistakes", head, piece, len(mistakes))
			}
		}
	}
}
