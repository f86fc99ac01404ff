package codec

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"pgregory.net/rapid"
)

// world is a random IDL and the Go types for it.
type world struct {
	idl     strings.Builder
	structs []reflect.Type // S0, S1, …
}

var scalars = []struct {
	idl string
	rt  reflect.Type
}{
	{"bool", reflect.TypeFor[bool]()}, {"i8", reflect.TypeFor[int8]()}, {"i16", reflect.TypeFor[int16]()},
	{"i32", reflect.TypeFor[int32]()}, {"i64", reflect.TypeFor[int64]()}, {"i64", reflect.TypeFor[int]()},
	{"double", reflect.TypeFor[float64]()}, {"string", reflect.TypeFor[string]()}, {"uuid", reflect.TypeFor[[16]byte]()},
	{"Status", reflect.TypeFor[Status]()}, {"binary", reflect.TypeFor[string]()}, {"binary", reflect.TypeFor[[]byte]()},
}

// typ draws a type that nests at most depth levels.
func (w *world) typ(t *rapid.T, depth int, comparable bool) (string, reflect.Type) {
	kinds := []string{"scalar"}
	if depth > 0 && !comparable {
		kinds = append(kinds, "list", "set", "map", "struct")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "list":
		idl, rt := w.typ(t, depth-1, false)
		return "list<" + idl + ">", reflect.SliceOf(w.maybePointer(t, rt))
	case "set":
		asMap := rapid.Bool().Draw(t, "set as map")
		idl, rt := w.typ(t, depth-1, asMap)
		if asMap {
			return "set<" + idl + ">", reflect.MapOf(rt, rapid.SampledFrom([]reflect.Type{
				reflect.TypeFor[struct{}](), reflect.TypeFor[bool]()}).Draw(t, "member"))
		}
		return "set<" + idl + ">", reflect.SliceOf(rt)
	case "map":
		key, krt := w.typ(t, depth-1, true)
		idl, rt := w.typ(t, depth-1, false)
		return "map<" + key + ", " + idl + ">", reflect.MapOf(krt, w.maybePointer(t, rt))
	case "struct":
		if len(w.structs) > 0 {
			i := rapid.IntRange(0, len(w.structs)-1).Draw(t, "struct")
			return fmt.Sprintf("S%d", i), w.structs[i]
		}
	}
	most := len(scalars) - 1
	if comparable {
		most-- // []byte is no key
	}
	s := scalars[rapid.IntRange(0, most).Draw(t, "scalar")]
	return s.idl, s.rt
}

// maybePointer makes some structs pointers to structs.
func (w *world) maybePointer(t *rapid.T, rt reflect.Type) reflect.Type {
	if rt.Kind() == reflect.Struct && rapid.Bool().Draw(t, "pointer") {
		return reflect.PointerTo(rt)
	}
	return rt
}

var defaultsOf = map[string]string{"i32": " = 7", "string": ` = "d"`, "list<i32>": " = [1, 2]", "bool": " = true"}

// define draws one more struct.
func (w *world) define(t *rapid.T) {
	fmt.Fprintf(&w.idl, "struct S%d {\n", len(w.structs))
	var fields []reflect.StructField
	ids := rapid.SliceOfNDistinct(rapid.Int16Range(1, 300), 0, 7, rapid.ID).Draw(t, "ids")
	for i, id := range ids {
		idl, rt := w.typ(t, 3, false)
		need := rapid.SampledFrom([]string{"", "required ", "optional "}).Draw(t, "need")
		isBytes := rt == reflect.TypeFor[[]byte]()
		if rt.Kind() != reflect.Slice && rt.Kind() != reflect.Map && !isBytes && rapid.Bool().Draw(t, "pointer") {
			rt = reflect.PointerTo(rt)
		}
		def := ""
		if rapid.Bool().Draw(t, "default") {
			def = defaultsOf[idl]
		}
		fmt.Fprintf(&w.idl, "  %d: %s%s f_%d%s\n", id, need, idl, i, def)
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: rt})
	}
	w.idl.WriteString("}\n")
	w.structs = append(w.structs, reflect.StructOf(fields))
}

// fill sets rv, of type t, to a random value that can be written.
func fill(t *rapid.T, rv reflect.Value) {
	switch rv.Kind() {
	case reflect.Bool:
		rv.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		bits := rv.Type().Size()*8 - 1
		rv.SetInt(rapid.Int64Range(-1<<bits, 1<<bits-1).Draw(t, "int"))
	case reflect.Float64:
		rv.SetFloat(rapid.Float64().Draw(t, "float"))
	case reflect.String:
		rv.SetString(rapid.StringN(0, 5, 20).Draw(t, "string"))
	case reflect.Array:
		for i := range rv.Len() {
			rv.Index(i).SetUint(uint64(rapid.Byte().Draw(t, "byte")))
		}
	case reflect.Uint8:
		rv.SetUint(uint64(rapid.Byte().Draw(t, "byte")))
	case reflect.Pointer:
		rv.Set(reflect.New(rv.Type().Elem()))
		fill(t, rv.Elem())
	case reflect.Struct:
		for i := range rv.NumField() {
			kind := rv.Field(i).Kind() // pointers may be required, inside structs too
			if rapid.Bool().Draw(t, "set") || kind == reflect.Pointer || kind == reflect.Struct {
				fill(t, rv.Field(i))
			}
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(t, "n")
		rv.Set(reflect.MakeSlice(rv.Type(), n, n))
		for i := range n {
			fill(t, rv.Index(i))
		}
	case reflect.Map:
		rv.Set(reflect.MakeMap(rv.Type()))
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			key, value := reflect.New(rv.Type().Key()).Elem(), reflect.New(rv.Type().Elem()).Elem()
			fill(t, key)
			fill(t, value)
			rv.SetMapIndex(key, value)
		}
	}
}

// For any schema, Go types for it and value: a plan writes the bytes of the plain path, reads them as it does, and the dynamic codec and
// JSON give back what went in.
func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{}
		w.idl.WriteString("enum Status { ACTIVE = 1, BLOCKED = 2 }\n")
		for range rapid.IntRange(1, 4).Draw(t, "structs") {
			w.define(t)
		}
		rt := w.structs[len(w.structs)-1]
		st := schema.MustParse(w.idl.String()).Lookup(fmt.Sprintf("S%d", len(w.structs)-1)).(*schema.StructType)
		plan, mismatches := Compile(TypeOf(st), rt)
		if plan == nil {
			t.Fatalf("%s\n%v", w.idl.String(), mismatches)
		}
		in := reflect.New(rt)
		fill(t, in.Elem())
		for _, p := range protocols {
			checkRoundTrip(t, p, plan, st, in)
		}
	})
}

var (
	// loops are the protocols that have loops of their own.
	loops = []wire.Protocol{wire.Binary, wire.Compact}
	// protocols are all.
	protocols = []wire.Protocol{wire.Binary, wire.Compact, wire.JSON, wire.ApacheJSON}
)

func checkRoundTrip(t *rapid.T, p wire.Protocol, plan *Plan, st *schema.StructType, in reflect.Value) {
	typed, err := plan.Append(nil, p, in.Interface())
	if err != nil {
		t.Fatal(err)
	}
	dynamic, used, err := DecodeStruct(p, st, typed, wire.Limits{})
	if err != nil || used != len(typed) {
		t.Fatalf("used %d of %d bytes, %v", used, len(typed), err)
	}
	plain := plainValue(TypeOf(st), in)
	if diff := cmp.Diff(sorted(TypeOf(st), plain), sorted(TypeOf(st), dynamic), byType); diff != "" {
		t.Fatalf("typed bytes are not those of the plain path:\n%s", diff)
	}
	again, err := AppendStruct(nil, p, dynamic)
	if err != nil || string(again) != string(typed) {
		t.Fatalf("decoded and encoded again:\n%x, %v\n%x", again, err, typed)
	}
	got, want := reflect.New(in.Type().Elem()), reflect.New(in.Type().Elem())
	if _, err := plan.Decode(p, typed, got.Interface(), wire.Limits{}); err != nil {
		t.Fatal(err)
	}
	if plainSet(TypeOf(st), dynamic, want.Elem(), true); !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Fatalf("typed %+v\nplain %+v", got.Elem(), want.Elem())
	}
	text, err := AppendJSON(nil, TypeOf(st), dynamic)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseJSON(TypeOf(st), text)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	if diff := cmp.Diff(schema.Value(dynamic), back, byType); diff != "" {
		t.Fatalf("%s\n%s", text, diff)
	}
	if _, err := ParseJSON(TypeOf(st), Example(TypeOf(st))); err != nil {
		t.Fatalf("the example is no value: %v\n%s", err, Example(TypeOf(st)))
	}
}
