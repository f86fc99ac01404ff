package codec

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

var (
	canonicalValues = flag.Int("canonical", 50_000, "how many values TestCA5Canonical generates; a tenth of that under the race detector")
	canonicalSeed   = flag.Uint64("canonical-seed", 0, "of TestCA5Canonical; 0 takes another each time")
)

// dice draws IDLs and values. Its ranges are small, so that equal parts are common.
type dice struct {
	*rand.Rand
	structs int // that the IDL has: S0, S1, …
}

func (d *dice) one(in int) bool { return d.IntN(in) == 0 }

func pick[T any](d *dice, from ...T) T { return from[d.IntN(len(from))] }

// typ draws a type of at most so many levels.
func (d *dice) typ(depth int) string {
	if depth > 0 && d.one(2) {
		switch d.IntN(4) {
		case 0:
			return "list<" + d.typ(depth-1) + ">"
		case 1:
			return "set<" + d.typ(depth-1) + ">"
		case 2:
			return "map<" + d.typ(depth-1) + ", " + d.typ(depth-1) + ">"
		case 3:
			if d.structs > 0 {
				return fmt.Sprintf("S%d", d.IntN(d.structs))
			}
		}
	}
	return pick(d, "bool", "i8", "i16", "i32", "i64", "double", "string", "binary", "uuid", "Color", "Number", "Point")
}

var drawnDefaults = map[string][]string{
	"bool": {"true", "false"}, "i8": {"1", "-1"}, "i32": {"0", "1"}, "i64": {"1"}, "double": {"0.0", "1.5"}, "string": {`""`, `"a"`},
	"Color": {"Color.RED"}, "Number": {"1"}, "Point": {"{}", `{"x": 1}`, `{"y": 1}`}, "list<i32>": {"[]", "[1, 0]"}, "set<i8>": {"[1, 0]"},
	"map<i8, i8>": {"{1: 0}"}, "S0": {"{}"}, "S1": {"{}"}, "set<Point>": {`[{"x": 1}, {}]`},
}

// fields draws the fields of a struct, or of arguments.
func (d *dice) fields(out *strings.Builder, least, most int, needs ...string) {
	ids := d.Perm(40)[:least+d.IntN(most-least+1)]
	for i, id := range ids {
		t := d.typ(3)
		def := ""
		if from := drawnDefaults[t]; from != nil && d.one(2) {
			def = " = " + pick(d, from...)
		}
		fmt.Fprintf(out, "  %d: %s%s f%d%s,\n", id*id+1, pick(d, needs...), t, i, def)
	}
}

// idl draws a method and its types.
func (d *dice) idl() string {
	var out strings.Builder
	out.WriteString("enum Color { RED = 1, BLUE = 2 }\ntypedef i32 Number\nstruct Point { 1: i32 x, 2: i32 y = 1 }\n")
	for n := 1 + d.IntN(4); d.structs < n; d.structs++ {
		fmt.Fprintf(&out, "%s S%d {\n", pick(d, "struct", "struct", "union"), d.structs)
		d.fields(&out, 0, 5, "", "optional ")
		if d.one(3) {
			fmt.Fprintf(&out, "  2000: optional S%d same, 2001: list<S%d> kids\n", d.structs, d.structs)
		}
		out.WriteString("}\n")
	}
	out.WriteString("service T { void m(\n")
	d.fields(&out, 2, 7, "", "optional ", "required ")
	out.WriteString(") }\n")
	return out.String()
}

// value draws a value of type t. sound says that it has a form.
func (d *dice) value(t *schema.Type, depth int, sound bool) schema.Value {
	switch t.Kind {
	case schema.Bool:
		return d.one(2)
	case schema.I8, schema.I16, schema.I32, schema.I64:
		if d.one(3) {
			return int64(int8(d.Uint32()))
		}
		bits := map[schema.Kind]int{schema.I8: 7, schema.I16: 15, schema.I32: 31, schema.I64: 63}[t.Kind]
		return int64(pick(d, 0, 0, 1, 1, -1, 300>>(16-min(bits, 16)), -1<<bits, 1<<bits-1))
	case schema.Enum:
		return pick(d, int32(0), 1, 2, 77)
	case schema.Double:
		if !sound && d.one(100) {
			return math.NaN()
		}
		if d.one(3) {
			return d.NormFloat64()
		}
		return pick(d, 0, math.Copysign(0, -1), 1.5, math.Inf(1), 5e-324)
	case schema.String:
		if d.one(3) {
			return fmt.Sprint(d.IntN(1000))
		}
		return pick(d, "", "a", "b", "\u00e9", "e\u0301", "a\x00", "longer than any of the others")
	case schema.Binary:
		return []byte(pick(d, "", "a", "\xff\x00", "\x00"))
	case schema.UUID:
		return pick(d, [16]byte{}, [16]byte{1}, [16]byte{15: 1})
	case schema.Struct:
		return d.structValue(t.Struct, depth, sound)
	}
	n := d.IntN(4)
	if depth <= 0 {
		n = 0
	}
	if t.Kind == schema.Map {
		out := schema.MapValue{}
		seen := map[string]bool{}
		for range n {
			key := d.value(t.Key, depth-1, sound)
			if text, _ := plainForm(t.Key, key); !seen[text] || !sound && d.one(20) {
				seen[text] = true
				out = append(out, schema.MapEntry{Key: key, Value: d.value(t.Elem, depth-1, sound)})
			}
		}
		return out
	}
	out := []schema.Value{}
	for range n {
		out = append(out, d.value(t.Elem, depth-1, sound))
	}
	return out
}

func (d *dice) structValue(st *schema.StructType, depth int, sound bool) *schema.StructValue {
	v := &schema.StructValue{Type: st, Fields: make([]schema.Value, len(st.Fields))}
	for i, f := range st.Fields {
		if depth > 0 && !d.one(3) {
			v.Fields[i] = d.value(f.Type, depth-1, sound)
		}
	}
	return v
}

// other returns a value that differs from v in one place at most. v is not changed.
func (d *dice) other(t *schema.Type, v schema.Value, depth int) schema.Value {
	switch x := v.(type) {
	case *schema.StructValue:
		c := &schema.StructValue{Type: x.Type, Fields: slices.Clone(x.Fields)}
		if len(c.Fields) == 0 {
			return c
		}
		f := pick(d, x.Type.Fields...)
		switch at := &c.Fields[f.Index]; {
		case *at == nil && f.Default != nil && d.one(2):
			*at = f.Default
		case *at == nil:
			*at = d.value(f.Type, depth-1, true)
		case d.one(4):
			*at = nil
		default:
			*at = d.other(f.Type, *at, depth-1)
		}
		return c
	case []schema.Value:
		c := slices.Clone(x)
		switch {
		case len(c) == 0 || d.one(4):
			return append(c, d.value(t.Elem, depth-1, true))
		case d.one(4):
			return c[1:]
		case d.one(4):
			return append(c, c[0])
		case d.one(4):
			slices.Reverse(c)
			return c
		}
		i := d.IntN(len(c))
		c[i] = d.other(t.Elem, c[i], depth-1)
		return c
	case schema.MapValue:
		c := slices.Clone(x)
		if len(c) == 0 || d.one(4) {
			return append(c, schema.MapEntry{Key: d.value(t.Key, depth-1, true), Value: d.value(t.Elem, depth-1, true)})
		}
		e := &c[d.IntN(len(c))]
		if d.one(2) {
			e.Key = d.other(t.Key, e.Key, depth-1)
		} else {
			e.Value = d.other(t.Elem, e.Value, depth-1)
		}
		return c
	}
	return d.value(t, depth, true)
}

// arrangement draws one of the ways to write a value.
func (d *dice) arrangement() arrangement {
	if d.one(4) {
		return arrangement{order: inOrder, elements: inOrder}
	}
	return arrangement{
		order: d.Perm,
		elements: func(n int) []int {
			order := d.Perm(n)
			for range min(n, d.IntN(3)) {
				order = append(order, d.IntN(n))
			}
			return order
		},
		before: func(f *schema.Field) (schema.Value, bool) {
			if !d.one(10) {
				return nil, false
			}
			return d.value(f.Type, 2, true), true
		},
	}
}

// paths draws paths into args; none: all of it.
func (d *dice) paths(args *schema.StructType) (paths []string) {
	if len(args.Fields) == 0 || d.one(3) {
		return nil
	}
	for range 1 + d.IntN(3) {
		path, in := "", args
		for {
			f := pick(d, in.Fields...)
			path += f.Name
			if in = f.Type.Struct; in == nil || len(in.Fields) == 0 || d.one(3) {
				break
			}
			path += "."
		}
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// forms are the forms of one schema's values, each with its reference.
type forms struct {
	t       *testing.T
	args    *schema.StructType
	paths   []string
	form    *Canonical
	sayable bool // in Apache's JSON
	byForm  map[string]string
	byPlain map[string]string
	none    int // values
}

// check says that the form of body is the one that belongs to its value, whose reference is plain, and no other value's.
func (s *forms) check(p wire.Protocol, body []byte, plain string, ok bool) {
	b, err := s.form.Append(nil, p, body, wire.Limits{})
	if (err == nil) != ok {
		s.t.Fatalf("%s, paths %q: %v for %s\n%x", p, s.paths, err, plain, body)
	}
	if !ok {
		return
	}
	form := string(b)
	if was, known := s.byForm[form]; known && was != plain {
		s.t.Fatalf("%s, paths %q: one form\n%x\nof two values\n%s\n%s", p, s.paths, form, plain, was)
	}
	if was, known := s.byPlain[plain]; known && was != form {
		s.t.Fatalf("%s, paths %q: one value\n%s\nhas two forms\n%x\n%x", p, s.paths, plain, form, was)
	}
	s.byForm[form], s.byPlain[plain] = plain, form
}

// inEach checks v in each protocol that can say it, each time arranged anew.
func (s *forms) inEach(d *dice, v *schema.StructValue) {
	plain, ok := plainArguments(v, s.paths)
	if !ok {
		s.none++
	}
	for _, p := range protocols {
		if p != wire.ApacheJSON || s.sayable {
			s.check(p, encode(s.t, p, s.args, d.arrangement().value(TypeOf(s.args), v)), plain, ok)
		}
	}
}

// sayable reports whether Apache's JSON can say every value of t: it has no keys that are structs or containers.
func sayable(t *schema.Type, above []*schema.StructType) bool {
	switch t.Kind {
	case schema.List, schema.Set:
		return sayable(t.Elem, above)
	case schema.Map:
		return t.Key.Kind < schema.Struct && sayable(t.Elem, above)
	case schema.Struct:
		if slices.Contains(above, t.Struct) {
			return true
		}
		for _, f := range t.Struct.Fields {
			if !sayable(f.Type, append(above, t.Struct)) {
				return false
			}
		}
	}
	return true
}

// canonicalBatch is how many values of one schema are compared with each other.
const canonicalBatch = 200

// checkBatch checks that the values of one drawn schema have equal forms exactly where they are equal. Half of them differ in one place at
// most from the one before.
func checkBatch(t *testing.T, seed, batch uint64) (equal, none int) {
	d := &dice{Rand: rand.New(rand.NewPCG(seed, batch))}
	text := d.idl()
	doc, err := schema.LoadBytes("drawn", []byte(text), schema.Options{})
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	s := &forms{t: t, args: doc.Service("T").Method("m").Args, byForm: map[string]string{}, byPlain: map[string]string{}}
	s.paths, s.sayable = d.paths(s.args), sayable(TypeOf(s.args), nil)
	if s.form, err = NewCanonical(s.args, s.paths...); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("-canonical-seed %d, batch %d, IDL:\n%s", seed, batch, text)
		}
	}()
	for range canonicalBatch / 2 {
		v := d.structValue(s.args, 5, false)
		s.inEach(d, v)
		s.inEach(d, d.other(TypeOf(s.args), v, 5).(*schema.StructValue))
	}
	return canonicalBatch - s.none - len(s.byForm), s.none
}

// CA-5: generated values have equal forms if and only if they are equal, whatever the protocol, and however fields, entries and elements are
// ordered and repeated.
func TestCA5Canonical(t *testing.T) {
	seed, values := *canonicalSeed, *canonicalValues
	if seed == 0 {
		seed = rand.Uint64()
	}
	if raceEnabled {
		values /= 10
	}
	batches := uint64((values + canonicalBatch - 1) / canonicalBatch)
	var next, equal, none atomic.Int64
	t.Cleanup(func() {
		t.Logf("-canonical-seed %d: %d values, %d equal to another, %d without a form", seed, batches*canonicalBatch, equal.Load(), none.Load())
	})
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for batch := uint64(next.Add(1) - 1); batch < batches; batch = uint64(next.Add(1) - 1) {
				e, n := checkBatch(t, seed, batch)
				equal.Add(int64(e))
				none.Add(int64(n))
			}
		})
	}
}
