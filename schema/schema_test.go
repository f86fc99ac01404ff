package schema

import (
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/wire"
)

func fsOf(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// Types may be used before they are defined, everywhere, through typedefs and in themselves.
func TestForwardReferences(t *testing.T) {
	d := MustParse(`
service S extends Parent { list<map<Key, Tree>> get(1: set<Key> keys, 2: Tree t = {"left": {"size": SIZE}}) throws (1: Failed f) }
service Parent { Alias p() }
const Alias EMPTY = {"size": SIZE, "kind": Kind.B}
const i32 SIZE = OTHER
const i32 OTHER = 7
typedef Middle Alias
typedef Tree Middle
typedef i64 Key
struct Tree { 1: Tree left, 2: list<Middle> rest, 3: i32 size, 4: Kind kind = Kind.A, 5: map<Tree, Alias> deep }
exception Failed { 1: Tree t }
enum Kind { A, B }`)
	tree := d.Lookup("Tree").(*StructType)
	if tree.Field(1).Type.Struct != tree || tree.FieldByName("rest").Type.Elem.Struct != tree {
		t.Error("Tree does not lead back to itself")
	}
	get := d.Service("S").Method("get")
	if got := get.Return.String(); got != "list<map<i64, Tree>>" || get.Return.Elem.Key.Alias != "Key" {
		t.Error(got)
	}
	if p := d.Service("S").Method("p"); p.Return.Struct != tree || p.Return.Alias != "Alias" {
		t.Errorf("%+v", p.Return)
	}
	empty := d.Lookup("EMPTY").(*Const).Value.(*StructValue)
	if empty.Get("size") != int64(7) || empty.Get("kind") != int32(1) || empty.Get("left") != nil {
		t.Errorf("%+v", empty.Fields)
	}
	left := get.Args.Fields[1].Default.(*StructValue).Get("left").(*StructValue)
	if left.Get("size") != int64(7) {
		t.Errorf("%+v", left)
	}
}

// A service has its own methods in their order, then its parent's; an inherited one is a copy that knows both services.
func TestMethods(t *testing.T) {
	d := MustParse(`
exception E { 1: string m }
service C extends B { void c2(), i32 c1() throws (1: E e, 2: E f), oneway void a1() }
service B extends A { void b() }
service A { void a1(), string a2(1: i32 x) }`)
	c := d.Service("C")
	var got []string
	for i, m := range c.Methods {
		if m.Index != i || m.Service != c || c.Method(m.Name) != m {
			t.Errorf("%s: index %d, service %s", m.Name, m.Index, m.Service.Name)
		}
		got = append(got, m.FullName()+" of "+m.Declared.Name)
	}
	want := []string{"C/c2 of C", "C/c1 of C", "C/a1 of C", "C/b of B", "C/a2 of A"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c1 := c.Method("c1")
	if f := c1.Result.Fields; len(f) != 3 || f[0].Name != "success" || f[0].ID != 0 || f[2].Index != 2 || len(c1.Throws) != 2 || c1.Throws[0] != f[1] {
		t.Errorf("%+v", c1.Result)
	}
	if m := c.Method("c2"); len(m.Result.Fields) != 0 || m.Return.Kind != Void || m.Args.Name != "c2_args" || m.Result.Name != "c2_result" || m.Args.Kind != Args {
		t.Errorf("%+v", m)
	}
	if m := c.Method("a1"); !m.Oneway || d.Service("B").Method("a1").Oneway {
		t.Error("the own method does not hide the inherited one")
	}
	if c.Extends != d.Service("B") || c.Extends.Extends != d.Service("A") || c.Method("nothing") != nil {
		t.Error("parents")
	}
}

// Fields without ids get -1, -2, … as ThriftPy and Apache assign them, and say so.
func TestFieldIDs(t *testing.T) {
	d := MustParse("struct A { i32 a, 5: i32 b, i32 c, 1: required i32 d, 2: optional i32 e }")
	type row struct {
		name     string
		id       int16
		implicit bool
		required Requiredness
	}
	want := []row{{"a", -1, true, Unspecified}, {"b", 5, false, Unspecified}, {"c", -2, true, Unspecified}, {"d", 1, false, Required}, {"e", 2, false, Optional}}
	for i, f := range d.Structs[0].Fields {
		if got := (row{f.Name, f.ID, f.Implicit, f.Required}); got != want[i] || f.Index != i || d.Structs[0].Field(f.ID) != f {
			t.Errorf("got %+v, want %+v", got, want[i])
		}
	}
}

// Enums number themselves from 0 and on from the last; of several names of a value the first is its name.
func TestEnums(t *testing.T) {
	e := MustParse("enum E { A, B = 0x10, /** c */ C (x = 'y'), D = -2, F, G = 17 }").Enums[0]
	want := []EnumValue{{Name: "A"}, {Name: "B", Value: 16}, {"C", 17, "c", Annotations{"x": "y"}}, {Name: "D", Value: -2}, {Name: "F", Value: -1}, {Name: "G", Value: 17}}
	if diff := cmp.Diff(want, e.Values); diff != "" {
		t.Error(diff)
	}
	if v, ok := e.ByName("G"); !ok || v != 17 || e.NameOf(17) != "C" || e.NameOf(3) != "" {
		t.Error(v, ok, e.NameOf(17))
	}
}

// Constants have the Go type of their Thrift type, whatever they are written as.
func TestValues(t *testing.T) {
	const types = "\nenum E { A, B = 5 }\ntypedef E F\nstruct S { 1: i32 a, 2: list<E> b }\nunion U { 1: i32 a }\nconst i32 FIVE = 5\nconst list<i32> L = [1, 2]\nconst E X = E.B\nconst string T = 's'\nconst bool YES = true\nconst binary BIN = 'b'\nconst double PI = 3.5\n" +
		"const uuid ID = '{00112233-4455-6677-8899-aabbccddeeff}'\n"
	tests := []struct {
		typ, text string
		want      Value
	}{
		{"bool", "true", true}, {"bool", "0", false}, {"bool", "2", true},
		{"i8", "-128", int64(-128)}, {"byte", "true", int64(1)}, {"i64", "0x7FFFFFFFFFFFFFFF", int64(1<<63 - 1)}, {"i32", "FIVE", int64(5)},
		{"double", "1", 1.0}, {"double", "1.", 1.0}, {"double", "FIVE", 5.0},
		{"string", "'a\\n'", "a\n"}, {"binary", "'a'", []byte("a")}, {"binary", "T", []byte("s")},
		{"uuid", "'00112233-4455-6677-8899-aAbBcCdDeEfF'", [16]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}},
		{"i8", "YES", int64(1)}, {"bool", "YES", true}, {"bool", "FIVE", true}, {"string", "BIN", "b"}, {"double", "PI", 3.5},
		{"map<uuid, bool>", "{ID: YES, '00112233-4455-6677-8899-aabbccddeeff': false}", MapValue{{
			[16]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, false,
		}}},
		{"set<map<double, bool>>", "[{1: true}, {1.: 1}, {PI: false}]", []Value{MapValue{{1.0, true}}, MapValue{{3.5, false}}}},
		{"E", "E.B", int32(5)}, {"E", "5", int32(5)}, {"E", "F.B", int32(5)}, {"F", "E.A", int32(0)}, {"E", "X", int32(5)}, {"E", "FIVE", int32(5)},
		{"i32", "E.B", int64(5)}, {"i64", "X", int64(5)},
		{"list<i64>", "[1, FIVE, E.B]", []Value{int64(1), int64(5), int64(5)}}, {"list<i32>", "L", []Value{int64(1), int64(2)}},
		{"set<string>", "['b', 'a', 'b']", []Value{"b", "a"}}, {"set<i32>", "{}", []Value{}},
		{"map<E, list<double>>", "{E.B: [1, .5]; 0: []}", MapValue{{int32(5), []Value{1.0, .5}}, {int32(0), []Value{}}}},
		{"map<string, i32>", "{'a': 1, 'b': 2, 'a': 3}", MapValue{{"a", int64(3)}, {"b", int64(2)}}},
	}
	for _, test := range tests {
		d := MustParse(types + "const " + test.typ + " V = " + test.text)
		if diff := cmp.Diff(test.want, d.Lookup("V").(*Const).Value); diff != "" {
			t.Errorf("%s V = %s: %s", test.typ, test.text, diff)
		}
	}
	d := MustParse(types + "const map<string, S> V = {'x': {'b': [E.B]}}\nconst U W = {'a': 1}\nconst set<S> X2 = [{'a': 1}, {}, {'a': 1}]")
	if n := len(d.Lookup("X2").(*Const).Value.([]Value)); n != 2 {
		t.Errorf("a set of structs has %d items, one of them twice", n)
	}
	v := d.Lookup("V").(*Const).Value.(MapValue)[0].Value.(*StructValue)
	if diff := cmp.Diff([]Value{nil, []Value{int32(5)}}, v.Fields); diff != "" || v.Type != d.Lookup("S") {
		t.Error(diff)
	}
}

// Names are found as the IDL writes them: own, behind an include's name (which may have dots), and through includes of includes.
func TestLookup(t *testing.T) {
	d, err := Load("a.thrift", Options{FS: fsOf(map[string]string{
		"a.thrift":     "include 'my.v1.thrift'\ninclude 'b.thrift'\nstruct A { 1: my.v1.X x, 2: b.c.C c, 3: my.v1.E e = my.v1.E.Q, 4: i32 k = b.c.K }\nservice S extends my.v1.Base {}\nenum my { Z }",
		"my.v1.thrift": "struct X {}\nenum E { P, Q }\nservice Base { void ping() }\ntypedef i32 N",
		"b.thrift":     "include 'c.thrift'",
		"c.thrift":     "struct C {}\nconst i32 K = 3\nexception C2 {}",
	})})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"A": "*schema.StructType", "S": "*schema.Service", "my.v1.X": "*schema.StructType", "my.v1.E": "*schema.EnumType",
		"my.v1.N": "*schema.Typedef", "b.c.K": "*schema.Const", "c.C": "*schema.StructType", "X": "<nil>", "b.C": "<nil>", "": "<nil>", ".": "<nil>",
	} {
		if got := fmt.Sprintf("%T", d.Lookup(name)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	a := d.Lookup("A").(*StructType)
	if a.Fields[0].Type.String() != "my.v1.X" || a.Fields[1].Type.String() != "c.C" || a.Fields[2].Default != int32(1) || a.Fields[3].Default != int64(3) {
		t.Errorf("%v %v", a.Fields[0].Type, a.Fields[1].Type)
	}
	if d.Service("S").Method("ping") == nil || d.Service("my.v1.Base").Document != d.Includes[0] || d.Service("A") != nil {
		t.Error("services")
	}
	var all []string
	for _, s := range d.AllServices() {
		all = append(all, s.Name)
	}
	if diff := cmp.Diff([]string{"S", "Base"}, all); diff != "" {
		t.Error(diff)
	}
}

// Types carry what tools show: docs, annotations, namespaces, typedef names, positions.
func TestDecoration(t *testing.T) {
	d := MustParse(`namespace py a.b
namespace * x
/** A user. */
struct User {
  /** Its name. */
  1: Name name (log.redact)
} (k = "v")
typedef string (base = "1", both = "1") Name (both = "2")
/** The service. */
service S { /** A call. */ void ping() (idempotent = "true") }`)
	u := d.Structs[0]
	f, m := u.Fields[0], d.Services[0].Methods[0]
	got := []any{
		d.Namespaces, u.Doc, u.Annotations, f.Doc, f.Annotations, f.Type.Alias, f.Type.Annotations, d.Services[0].Doc, m.Doc, m.Annotations, u.Pos,
		d.Typedefs[0].Name, f.Type.Wire(),
	}
	want := []any{
		map[string]string{"py": "a.b", "*": "x"}, "A user.", Annotations{"k": "v"}, "Its name.", Annotations{"log.redact": ""}, "Name",
		Annotations{"base": "1", "both": "2"}, "The service.", "A call.", Annotations{"idempotent": "true"}, idl.Pos{File: "idl", Line: 4, Col: 8},
		"Name", wire.String,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A type that the file calls uuid is the file's own; else it is Thrift's.
func TestUUIDIsNoKeyword(t *testing.T) {
	if k := MustParse("struct A { 1: uuid id }").Structs[0].Fields[0].Type.Kind; k != UUID {
		t.Error(k)
	}
	if k := MustParse("struct A { 1: uuid id }\ntypedef string uuid").Structs[0].Fields[0].Type.Kind; k != String {
		t.Error(k)
	}
}

// MustParse panics with the mistakes.
func TestMustParsePanics(t *testing.T) {
	defer func() {
		if m, ok := recover().(idl.Mistakes); !ok || len(m) != 1 {
			t.Error("no mistakes")
		}
	}()
	MustParse("struct A { 1: B b }")
}
