package schema

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/idl"
)

// chain writes n lines, each with its number and the next.
func chain(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i, i+1)
	}
	return b.String()
}

// What grows without end in a hostile IDL is refused, with a mistake that says which bound it passed, and soon.
func TestBounds(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"typedefs before their targets", chain(1000, "typedef T%[2]d T%[1]d\n") + "typedef i32 T1000", `is behind more than 64 others`},
		{"constants before their targets", chain(1000, "const i32 C%[1]d = C%[2]d\n") + "const i32 C1000 = 1", `is behind more than 64 others`},
		{"parents before their parents", chain(1000, "service S%[1]d extends S%[2]d {}\n") + "service S1000 {}", `is behind more than 64 others`},
		{"types that double", "typedef i32 T0\n" + chain(100, "typedef map<T%[1]d, T%[1]d> T%[2]d\n"), "the type is too large"},
		{"lists of lists", "typedef i32 T0\n" + chain(100, "typedef list<T%[1]d> T%[2]d\n"), "the type is too large"},
		{"values that double", "const L C0 = []\ntypedef list<L1> L\ntypedef list<i32> L1\nconst list<i32> N0 = [1]\n" +
			"struct S { 1: list<S> s }\nconst S V0 = {}\n" + chain(100, "const S V%[2]d = {\"s\": [V%[1]d, V%[1]d]}\n"), "too large together"},
		{"inherited methods", "service S0 {" + chain(1000, "void m%[1]d()\n") + "}\n" + chain(3000, "service S%[2]d extends S%[1]d {}\n"), "more than 1048576 methods"},
		{"mistakes", chain(500, "struct S%[1]d { 1: Nope x }\n"), "too many mistakes"},
	}
	for _, test := range tests {
		_, err := LoadBytes("a", []byte(test.src), Options{FS: noFiles{}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %.300v", test.name, err)
		}
	}
}

// Long chains in the usual order are no trouble: of types, constants, parents, structs that lead to structs.
func TestLongChains(t *testing.T) {
	d := MustParse("const i32 C0 = 1\ntypedef i32 T0\nservice S0 { void a() }\n" +
		chain(5000, "typedef T%[1]d T%[2]d\nconst i32 C%[2]d = C%[1]d\nservice S%[2]d extends S%[1]d {}\nstruct X%[1]d { 1: X%[2]d x }\n") +
		"struct X5000 {}\nservice Last { X0 x() }")
	if d.Lookup("C5000").(*Const).Value != int64(1) || d.Service("S5000").Method("a") == nil || len(d.Fingerprint()) != 16 {
		t.Error("the end of the chain does not lead to its start")
	}
}

// Look-ups end where includes whose names have dots can be tried in endlessly many ways: a.a.a is a then a.a, or a.a then a, or …
func TestLookupBound(t *testing.T) {
	const levels, names = 20, 4
	files, dir := map[string]string{}, ""
	text := func(level int) string {
		var b strings.Builder
		for j := range names {
			fmt.Fprintf(&b, "include 'x%d/%sa.thrift'\n", level, strings.Repeat("a.", j))
		}
		return b.String()
	}
	files["root.thrift"] = text(0)
	for level := range levels {
		dir += fmt.Sprintf("x%d/", level)
		for j := range names {
			files[dir+strings.Repeat("a.", j)+"a.thrift"] = text(level + 1)
			if level == levels-1 {
				files[dir+strings.Repeat("a.", j)+"a.thrift"] = "struct Here {}"
			}
		}
	}
	d, err := Load("root.thrift", Options{FS: fsOf(files)})
	if err != nil {
		t.Fatal(err)
	}
	if d.Lookup(strings.Repeat("a.", levels*2)+"Nothing") != nil {
		t.Error("found nothing")
	}
	if d.Lookup(strings.Repeat("a.", levels)+"Here") == nil {
		t.Error("did not find what is there")
	}
}

// Files past the bound are a mistake, in depth and in breadth.
func TestManyFiles(t *testing.T) {
	deep, wide := map[string]string{}, map[string]string{"wide.thrift": chain(maxFiles, "include 'f%[1]d.thrift' // and f%[2]d\n")}
	for i := range maxFiles + 1 {
		deep[fmt.Sprintf("f%d.thrift", i)] = fmt.Sprintf("include 'f%d.thrift'", i+1)
		wide[fmt.Sprintf("f%d.thrift", i)] = ""
	}
	for root, files := range map[string]map[string]string{"f0.thrift": deep, "wide.thrift": wide} {
		if _, err := Load(root, Options{FS: fsOf(files)}); err == nil || !strings.Contains(err.Error(), "too many files") {
			t.Errorf("%s: got %.200v", root, err)
		}
	}
}

// Load returns for any input, with mistakes or with a document whose parts all fit together.
func FuzzLoad(f *testing.F) {
	f.Add(printed, "struct X {}")
	f.Add(generated(50), "")
	f.Add("include 'b.thrift'\nstruct A { 1: b.X x = {\"a\": b.C} }\nservice S extends b.P {}", "struct X { 1: i32 a }\nconst i32 C = 5\nservice P { void p() }")
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for c := range strings.SplitSeq(string(text), "\n=== ") {
			_, body, _ := strings.Cut(c, "\n")
			src, _, _ := strings.Cut(body, "----\n")
			a, b, _ := strings.Cut(src, "-- shared.thrift --\n")
			f.Add(strings.ReplaceAll(a, "shared", "b"), b)
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		d, err := Load("a.thrift", Options{FS: fsOf(map[string]string{"a.thrift": a, "b.thrift": b})})
		if err != nil {
			mistakes, ok := err.(idl.Mistakes)
			if !ok || len(mistakes) == 0 || len(mistakes) > idl.MaxMistakes+1 || mistakes.Render() == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		check(t, d)
	})
}

// check walks a document and fails where a part does not fit the others.
func check(t *testing.T, d *Document) {
	for _, s := range d.Structs {
		checkStruct(t, s)
	}
	for _, s := range d.AllServices() {
		for i, m := range s.Methods {
			if m.Index != i || m.Service != s || s.Method(m.Name) != m || m.Declared == nil || m.Return == nil {
				t.Fatalf("method %+v", m)
			}
			checkStruct(t, m.Args)
			checkStruct(t, m.Result)
			m.Fingerprint()
		}
	}
	for _, c := range d.Consts {
		checkValue(t, c.Value, c.Type)
	}
	if d.Fingerprint() == "" || len(d.Files) == 0 {
		t.Fatal("document")
	}
}

func checkStruct(t *testing.T, s *StructType) {
	for i, f := range s.Fields {
		if f.Index != i || s.Field(f.ID) != f || s.FieldByName(f.Name) != f || f.Type == nil || f.Type.String() == "" {
			t.Fatalf("field %+v of %s", f, s.Name)
		}
		if f.hasDefault {
			checkValue(t, f.Default, f.Type)
		}
	}
}

func checkValue(t *testing.T, v Value, typ *Type) {
	ok := false
	switch x := v.(type) {
	case bool:
		ok = typ.Kind == Bool
	case int64:
		ok = typ.Kind >= I8 && typ.Kind <= I64
	case int32:
		ok = typ.Kind == Enum && typ.Enum.NameOf(x) != ""
	case float64:
		ok = typ.Kind == Double
	case string:
		ok = typ.Kind == String
	case []byte:
		ok = typ.Kind == Binary
	case [16]byte:
		ok = typ.Kind == UUID
	case []Value:
		ok = typ.Kind == List || typ.Kind == Set
		for _, item := range x {
			checkValue(t, item, typ.Elem)
		}
	case MapValue:
		ok = typ.Kind == Map
		for _, e := range x {
			checkValue(t, e.Key, typ.Key)
			checkValue(t, e.Value, typ.Elem)
		}
	case *StructValue:
		ok = typ.Kind == Struct && x.Type == typ.Struct && len(x.Fields) == len(x.Type.Fields)
		for i, f := range x.Fields {
			if f != nil {
				checkValue(t, f, x.Type.Fields[i].Type)
			}
		}
	}
	if !ok {
		t.Fatalf("%#v is no value of type %s", v, typ)
	}
}
