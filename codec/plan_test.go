package codec

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// full returns a value in which every field is set; its maps have one entry, so that its bytes are known.
func full() Everything {
	return Everything{
		Flag: true, Tiny: -1, Small: -2, Medium: -3, Large: math.MinInt64, Real: math.Inf(-1), Text: "täxt", Raw: []byte{0, 255},
		Key: [16]byte{1, 15: 2}, Status: 9, Point: &Point{1, 2}, Names: []string{"a", "", "b"}, Numbers: map[int32]struct{}{5: {}},
		Counts: map[string]int64{"n": 7}, Places: map[Point]string{{3, 4}: "here"}, Path: []*Point{{5, 6}, {}},
		Shape: &Shape{Sides: []int32{1, 2}}, Series: map[Status][]float64{2: {0.5, math.Copysign(0, -1)}},
		Blobs: map[string]bool{"\xff": true}, Sides: map[bool][16]byte{true: {7}}, Levels: map[float64]int8{1.5: -8},
		Labels: map[string]string{"k": "v"},
	}
}

// A plan writes what the dynamic codec writes, and reads it back, for every kind of type.
func TestPlanWritesAndReadsEverything(t *testing.T) {
	plan := mustCompile(t, "Everything", Everything{})
	in := full()
	got, err := plan.Append([]byte("head"), wire.Binary, &in)
	if err != nil {
		t.Fatal(err)
	}
	want, err := AppendValue([]byte("head"), wire.Binary, typeOf("Everything"), plainValue(typeOf("Everything"), reflect.ValueOf(in)))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("typed  %x\nplain  %x, %v", got, want, err)
	}
	out := Everything{Text: "is gone afterwards", Raw: []byte("this too")}
	used, err := plan.Decode(wire.Binary, got[4:], &out, wire.Limits{})
	if err != nil || used != len(got)-4 {
		t.Fatalf("used %d of %d bytes, %v", used, len(got)-4, err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
}

// What decoding returns holds no byte of the body.
func TestDecodedValuesAreCopies(t *testing.T) {
	plan := mustCompile(t, "Everything", Everything{})
	in := full()
	body, _ := plan.Append(nil, wire.Binary, &in)
	var out Everything
	if _, err := plan.Decode(wire.Binary, body, &out, wire.Limits{}); err != nil {
		t.Fatal(err)
	}
	clear(body)
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
}

// Presence, on the way out: the table of Compile's documentation.
func TestPresenceOfWrittenFields(t *testing.T) {
	base := func(change func(*Presence)) Presence {
		p := Presence{Needed: []int32{1}, At: Point{1, 1}, Tags: []string{}}
		change(&p)
		return p
	}
	tests := []struct {
		name   string
		in     Presence
		field  string
		isThat schema.Value
	}{
		{"a zero is written", base(func(*Presence) {}), "plain", int64(0)},
		{"a required zero is written", base(func(*Presence) {}), "must", int64(0)},
		{"an optional zero is unset", base(func(*Presence) {}), "maybe", nil},
		{"an optional value is written", base(func(p *Presence) { p.Maybe = 3 }), "maybe", int64(3)},
		{"an optional zero with a default is written", base(func(*Presence) {}), "limit", int64(0)},
		{"a nil slice is unset", base(func(*Presence) {}), "items", nil},
		{"an empty slice is written", base(func(p *Presence) { p.Items = []int32{} }), "items", []schema.Value{}},
		{"a required nil slice is written empty", base(func(p *Presence) { p.Needed = nil }), "needed", []schema.Value{}},
		{"a nil map is unset", base(func(*Presence) {}), "attrs", nil},
		{"an empty map is written", base(func(p *Presence) { p.Attrs = map[string]int32{} }), "attrs", schema.MapValue{}},
		{"an optional zero struct is unset", base(func(p *Presence) { p.At = Point{} }), "at", nil},
		{"a zero struct is written", base(func(*Presence) {}), "home", sv("Point", "x", int64(0), "y", int64(0))},
		{"a nil pointer is unset", base(func(*Presence) {}), "note", nil},
		{"a pointer to a zero is written", base(func(p *Presence) { p.Note = new(string) }), "note", ""},
	}
	plan := mustCompile(t, "Presence", Presence{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body, err := plan.Append(nil, wire.Binary, &test.in)
			if err != nil {
				t.Fatal(err)
			}
			v, _, err := DecodeStruct(wire.Binary, structType("Presence"), body, wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.isThat, v.Get(test.field), byType); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Presence, on the way in: what is absent is nil or has its default; what is there replaces it wholly.
func TestPresenceOfReadFields(t *testing.T) {
	defaults := Presence{Limit: 10, Size: 20, Tags: []string{"a", "b"}, Home: Point{1, 2}}
	with := func(change func(*Presence)) Presence { p := defaults; change(&p); return p }
	tests := []struct {
		name string
		in   *schema.StructValue
		want Presence
	}{
		{"absent", sv("Presence"), defaults},
		{"zeros", sv("Presence", "limit", int64(0), "size", int64(0)), with(func(p *Presence) { p.Limit, p.Size = 0, 0 })},
		{"empty containers are not nil",
			sv("Presence", "items", []schema.Value{}, "attrs", schema.MapValue{}, "tags", []schema.Value{}),
			with(func(p *Presence) { p.Items, p.Attrs, p.Tags = []int32{}, map[string]int32{}, []string{} })},
		{"a struct does not keep parts of its default", sv("Presence", "home", sv("Point", "x", int64(5))),
			with(func(p *Presence) { p.Home = Point{X: 5} })},
		{"pointers", sv("Presence", "note", ""), with(func(p *Presence) { p.Note = new(string) })},
	}
	plan := mustCompile(t, "Presence", Presence{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body, err := AppendStruct(nil, wire.Binary, test.in)
			if err != nil {
				t.Fatal(err)
			}
			got := Presence{Plain: 99, Note: ptr("old")}
			if _, err := plan.Decode(wire.Binary, body, &got, wire.Limits{}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Arguments and results are demanded: a nil slice is an empty list there, and a nil pointer is unset.
func TestArgumentsAreWrittenEmpty(t *testing.T) {
	doc := schema.MustParse(`struct P {} service S { void f(1: list<i32> ids, 2: P p) }`)
	type args struct {
		IDs []int32
		P   *struct{}
	}
	plan, mismatches := Compile(TypeOf(doc.Service("S").Method("f").Args), reflect.TypeFor[args]())
	if plan == nil {
		t.Fatal(mismatches)
	}
	got, err := plan.Append(nil, wire.Binary, &args{})
	if want := unhex(t, "0f 0001 08 00000000 00"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
}

// A field that comes twice has its last value, and a struct none of its first.
func TestRepeatedFields(t *testing.T) {
	plan := mustCompile(t, "Presence", Presence{})
	body := unhex(t, `
		0c 000b 08 0001 00000007 00  0f 0006 08 00000002 00000001 00000002  // home, items
		08 0001 00000001                                                    // plain
		0c 000b 08 0002 00000008 00  0f 0006 08 00000001 00000003  00`)
	var got Presence
	if _, err := plan.Decode(wire.Binary, body, &got, wire.Limits{}); err != nil {
		t.Fatal(err)
	}
	if got.Home != (Point{Y: 8}) || len(got.Items) != 1 || got.Items[0] != 3 {
		t.Errorf("got %+v", got)
	}
}

// What a plan cannot write is an error with its path.
func TestPlanRefuses(t *testing.T) {
	ring := &Tree{}
	ring.Next = ring
	type needy struct{ Street *string }
	var nilPlan *Point
	tests := []struct {
		name, typ string
		in        any
		want      string
	}{
		{"union of nothing", "Shape", &Shape{}, "Shape: union Shape takes exactly one field, found none"},
		{"union of two", "Everything", &Everything{Shape: &Shape{Circle: ptr(1.0), Sides: []int32{}}},
			"Everything.shape: union Shape takes exactly one field, found 2 (circle, sides)"},
		{"nil in a list", "Everything", &Everything{Path: []*Point{{}, nil}}, "Everything.path[1]: a nil pointer cannot be written here"},
		{"required nil pointer", "Address", &needy{}, "Address.street: the field is required and not set"},
		{"a ring of pointers", "Tree", ring, "Tree" + strings.Repeat(".next", wire.DefaultDepth) + ": nested too deep"},
		{"nil", "Point", nilPlan, "Point: expected *codec.Point, found a nil pointer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan := mustCompile(t, test.typ, test.in)
			_, err := plan.Append(nil, wire.Binary, test.in)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A plan takes pointers to its own type only.
func TestPlanChecksItsTarget(t *testing.T) {
	plan := mustCompile(t, "Point", Point{})
	for _, target := range []any{nil, Point{}, &Address{}} {
		if _, err := plan.Decode(wire.Binary, []byte{0}, target, wire.Limits{}); err == nil {
			t.Errorf("%T was accepted", target)
		}
	}
}

// A set may be a slice, a map to struct{}, or a map to bool, of which the true keys are in the set.
func TestSetsAsGoTypes(t *testing.T) {
	set := kit.Lookup("Everything").(*schema.StructType).FieldByName("numbers").Type
	want := unhex(t, "08 00000001 00000005")
	for _, in := range []any{&[]int32{5}, &map[int32]struct{}{5: {}}, &map[int32]bool{5: true, 6: false}} {
		t.Run(fmt.Sprintf("%T", in), func(t *testing.T) {
			plan, mismatches := Compile(set, reflect.TypeOf(in).Elem())
			if plan == nil {
				t.Fatal(mismatches)
			}
			got, err := plan.Append(nil, wire.Binary, in)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %x, %v, want %x", got, err, want)
			}
			out := reflect.New(reflect.TypeOf(in).Elem())
			if _, err := plan.Decode(wire.Binary, got, out.Interface(), wire.Limits{}); err != nil || out.Elem().Len() != 1 {
				t.Errorf("got %v, %v", out.Elem(), err)
			}
		})
	}
}

// Every mismatch is told at once, with its place, what would fit and what stands there.
func TestMismatches(t *testing.T) {
	type badPoint struct {
		X int64
		Y string
	}
	type badUnion struct {
		Circle float64
		Corner *badPoint
	}
	type mistaken struct {
		Flag    int
		Larg    int64
		Key     []byte
		Status  string
		Point   **Point
		Names   []int
		Numbers map[int32]int
		Counts  map[int32]string
		Path    []badPoint
		Shape   *badUnion
		Number  []int32 `thrift:"numbers"`
		Other   int     `thrift:"-"`
		Tagged  int     `thrift:"levels,21"`
		hidden  int
	}
	_ = mistaken{hidden: 0}
	_, got := Compile(typeOf("Everything"), reflect.TypeFor[mistaken]())
	want := []string{
		`Everything.Larg: expected a field of the IDL, or the tag thrift:"-", found no field "Larg" in Everything; did you mean "large"?`,
		`Everything.Number: expected a field of the IDL, or the tag thrift:"-", found numbers has Numbers already`,
		`Everything.flag: expected bool, found int`,
		`Everything.key: expected [16]byte (uuid), found []uint8`,
		`Everything.status: expected a type based on int32 (Status), found string`,
		`Everything.point: expected a struct (Point), found **codec.Point`,
		`Everything.names[]: expected string, found int`,
		`Everything.numbers: expected a slice, map[T]struct{} or map[T]bool (set<i32>), found map[int32]int`,
		`Everything.counts{key}: expected string, found int32`,
		`Everything.counts{value}: expected int64 (i64), found string`,
		`Everything.path[].x: expected int32 (i32), found int64`,
		`Everything.path[].y: expected int32 (i32), found string`,
		`Everything.shape.circle: expected a pointer, so that a union's field can be unset (double), found float64`,
		`Everything.levels: expected a map (map<double, i8>), found int`,
	}
	var lines []string
	for _, m := range got {
		lines = append(lines, m.String())
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// The rules for names and whole structs.
func TestMatching(t *testing.T) {
	type noError struct{ What string }
	type noStreet struct{ City string }
	type twins struct{ UserID int64 }
	doc := schema.MustParse(`struct Twins { 1: i64 user_id, 2: i64 userId }`)
	tests := []struct {
		name string
		t    *schema.Type
		rt   reflect.Type
		want string
	}{
		{"an exception is an error", typeOf("NotFound"), reflect.TypeFor[noError](),
			"NotFound: expected a type with an Error() string method (exception NotFound), found codec.noError"},
		{"a required field", typeOf("Address"), reflect.TypeFor[noStreet](),
			"Address.street: expected a field of type string, it is required, found none in codec.noStreet"},
		{"a name that fits twice", TypeOf(doc.Lookup("Twins").(*schema.StructType)), reflect.TypeFor[twins](),
			`Twins.UserID: expected a field of the IDL, or the tag thrift:"-", found both user_id and userId; name one in a tag`},
		{"no type", typeOf("Point"), nil, "Point: expected a struct (Point), found nothing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, got := Compile(test.t, test.rt)
			if len(got) != 1 || got[0].String() != test.want {
				t.Errorf("got %v\nwant %s", got, test.want)
			}
		})
	}
}

// Recursive types work, and a default may hold its own struct.
func TestRecursion(t *testing.T) {
	plan := mustCompile(t, "Tree", Tree{})
	in := Tree{Value: 1, Kids: []Tree{{Value: 2, Kids: []Tree{}}, {Value: 3}}, Next: &Tree{Value: 4}}
	body, err := plan.Append(nil, wire.Binary, &in)
	if err != nil {
		t.Fatal(err)
	}
	var out Tree
	if _, err := plan.Decode(wire.Binary, body, &out, wire.Limits{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
}

// Encoding into a buffer that is large enough allocates nothing.
func TestEncodingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes allocations")
	}
	plan := mustCompile(t, "Everything", Everything{})
	in := full()
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { _, _ = plan.Append(buf, wire.Binary, &in) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Decoding an order of 9.6 KB with 39 items stays below the allocations of the best of the other Go codecs, which is 188.
func TestDecodingAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes allocations")
	}
	plan, _ := Compile(TypeOf(orders.Lookup("Order").(*schema.StructType)), reflect.TypeFor[orderGo]())
	body, err := plan.Append(nil, wire.Binary, order10k())
	if err != nil {
		t.Fatal(err)
	}
	var order orderGo
	n := testing.AllocsPerRun(20, func() { _, err = plan.Decode(wire.Binary, body, &order, wire.Limits{}) })
	if err != nil || n >= 188 {
		t.Errorf("%v allocations, %v", n, err)
	}
}
