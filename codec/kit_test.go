package codec

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// kit is the IDL of this folder's tests.
var kit = schema.MustParse(`
enum Status { ACTIVE = 1, BLOCKED = 2, RETIRED = 9 }

typedef i64 UserID

struct Point { 1: i32 x, 2: i32 y }

struct Address { 1: required string street, 2: optional i32 zip, 3: string city = "Bonn" }

union Shape { 1: double circle, 2: Point corner, 3: list<i32> sides }

exception NotFound { 1: string what, 2: optional UserID id }

struct Everything {
  1: bool flag, 2: i8 tiny, 3: i16 small, 4: i32 medium, 5: i64 large, 6: double real,
  7: string text, 8: binary raw, 9: uuid key, 10: Status status, 11: Point point,
  12: list<string> names, 13: set<i32> numbers, 14: map<string, i64> counts,
  15: map<Point, string> places, 16: list<Point> path, 17: Shape shape,
  18: map<Status, list<double>> series, 19: map<binary, bool> blobs, 20: map<bool, uuid> sides, 21: map<double, i8> levels,
  22: map<string, string> labels
}

struct Presence {
  1: i32 plain, 2: required i32 must, 3: optional i32 maybe, 4: optional i32 limit = 10, 5: i32 size = 20,
  6: list<i32> items, 7: required list<i32> needed, 8: optional map<string, i32> attrs, 9: list<string> tags = ["a", "b"],
  10: optional Point at, 11: Point home = {"x": 1, "y": 2}, 12: optional string note
}

struct Tree { 1: i32 value, 2: list<Tree> kids, 3: optional Tree next }

service Users { string search(1: string text, 2: i32 limit = 10, 3: required Address at), void ping() }
`)

func structType(name string) *schema.StructType { return kit.Lookup(name).(*schema.StructType) }

func typeOf(name string) *schema.Type { return TypeOf(structType(name)) }

// The Go types of the kit.
type (
	Status  int32
	UserID  int64
	Point   struct{ X, Y int32 }
	Address struct {
		Street string
		Zip    *int32
		City   string
	}
	Shape struct {
		Circle *float64
		Corner *Point
		Sides  []int32
	}
	NotFound struct {
		What string
		ID   *UserID
	}
	Everything struct {
		Flag    bool
		Tiny    int8
		Small   int16
		Medium  int32
		Large   int64
		Real    float64
		Text    string
		Raw     []byte
		Key     [16]byte
		Status  Status
		Point   *Point
		Names   []string
		Numbers map[int32]struct{}
		Counts  map[string]int64
		Places  map[Point]string
		Path    []*Point
		Shape   *Shape
		Series  map[Status][]float64
		Blobs   map[string]bool
		Sides   map[bool][16]byte
		Levels  map[float64]int8
		Labels  map[string]string
	}
	Presence struct {
		Plain  int32
		Must   int32
		Maybe  int32
		Limit  int32
		Size   int32
		Items  []int32
		Needed []int32
		Attrs  map[string]int32
		Tags   []string
		At     Point
		Home   Point
		Note   *string
	}
	Tree struct {
		Value int32
		Kids  []Tree
		Next  *Tree
	}
)

func (*NotFound) Error() string { return "not found" }

func mustCompile(t testing.TB, name string, v any) *Plan {
	t.Helper()
	p, mismatches := Compile(typeOf(name), reflect.TypeOf(v))
	for _, m := range mismatches {
		t.Errorf("%s", m)
	}
	if p == nil {
		t.FailNow()
	}
	return p
}

// sv makes a struct value from field names and values.
func sv(name string, pairs ...any) *schema.StructValue {
	st := structType(name)
	v := &schema.StructValue{Type: st, Fields: make([]schema.Value, len(st.Fields))}
	for i := 0; i < len(pairs); i += 2 {
		v.Fields[st.FieldByName(pairs[i].(string)).Index] = pairs[i+1]
	}
	return v
}

// unhex reads hex groups; what stands behind // on a line is a note.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sorted returns v with the entries of its maps and sets in the order of their bytes: what Go's maps leave to chance.
func sorted(t *schema.Type, v schema.Value) schema.Value {
	if v == nil {
		return nil
	}
	key := func(t *schema.Type, v schema.Value) []byte {
		b, _ := AppendValue(nil, wire.Binary, t, v)
		return b
	}
	switch t.Kind {
	case schema.Struct:
		x := v.(*schema.StructValue)
		c := &schema.StructValue{Type: x.Type}
		for i, f := range x.Type.Fields {
			c.Fields = append(c.Fields, sorted(f.Type, x.Fields[i]))
		}
		return c
	case schema.List, schema.Set:
		c := []schema.Value{}
		for _, e := range v.([]schema.Value) {
			c = append(c, sorted(t.Elem, e))
		}
		if t.Kind == schema.Set {
			slices.SortFunc(c, func(a, b schema.Value) int { return bytes.Compare(key(t.Elem, a), key(t.Elem, b)) })
		}
		return c
	case schema.Map:
		c := schema.MapValue{}
		for _, e := range v.(schema.MapValue) {
			c = append(c, schema.MapEntry{Key: sorted(t.Key, e.Key), Value: sorted(t.Elem, e.Value)})
		}
		slices.SortStableFunc(c, func(a, b schema.MapEntry) int { return bytes.Compare(key(t.Key, a.Key), key(t.Key, b.Key)) })
		return c
	}
	return v
}

func ptr[T any](v T) *T { return &v }
