package codec

import (
	"cmp"
	"slices"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// Canonical writes the arguments of a method, or some of them, as bytes that are equal if and only if the values are, whatever the protocol
// and the order of fields, map entries and set elements. It is compiled once, immutable, and safe for concurrent use. The zero value is
// unusable.
//
// The form is the concatenation of what is written, path by path. The ids and names of arguments are not in it, nor the path: an argument
// of one method and a field inside an argument of another have equal forms where they have equal values of one type. Typedefs are their
// targets. No form begins another of the same types.
//
//	form:    for each path  00 (not there) or 01 value
//	bool:    00 or 01        i8, i16, i32, i64, enum:  1, 2, 4, 8, 4 bytes       double:  8 bytes of IEEE 754       uuid:  16 bytes
//	string, binary:  n:4  bytes:n                   struct:  (type:1  id:2  value) by ascending id  00
//	list:    n:4  elements, in order                set:     n:4  elements, sorted by their bytes, each once
//	map:     n:4  (key  value), sorted by the bytes of the keys
//
// Which values are equal:
//
//   - A field that has a default in the IDL and is neither optional nor required is never unset: without a value it has its default. A
//     field of a union has none. The structs inside a default have the defaults of their own fields; only where a struct stands in its own
//     default does that end. Any other field that is unset differs from one that is set, to whatever value.
//   - A field that comes twice has its last value.
//   - Of empty containers the types that they claim do not count. -0.0 is not 0.0. A string is its bytes.
//
// Some bodies have no form: what is not in the IDL (a field, or the type of a field or element), a key that a map has twice, a NaN.
type Canonical struct {
	args  *schema.StructType
	root  *formStruct
	types []*schema.Type
}

// NewCanonical compiles what writes the arguments that paths name, in the order of paths: "id", or "user.id" for a field in one. Without a
// path it writes every argument, by ascending id. args is a method's Args.
//
// With paths, arguments that none of them touches are skipped without a look at them, and so are such fields of the structs that a path
// leads through; what is written is looked at whole. The error is an Errors, with an *Error for each path that leads nowhere or stands twice,
// and for each default that has no form.
func NewCanonical(args *schema.StructType, paths ...string) (*Canonical, error) {
	c := formCompiler{structs: map[*schema.StructType]*formStruct{}}
	out := &Canonical{args: args, root: &formStruct{closed: len(paths) == 0}}
	if len(paths) == 0 {
		for i, f := range byID(args) {
			out.types = append(out.types, f.Type)
			out.root.fields = append(out.root.fields, formField{key: i, id: f.ID, wire: f.Type.Wire(), name: f.Name, form: c.form(f.Type)})
		}
	}
	for i, path := range paths {
		a, ok := FindArgument(&schema.Method{Args: args}, path)
		if !ok {
			c.mistake(args.Name+"."+path, "there is no such argument, nor such a field in one")
			continue
		}
		out.types = append(out.types, a.Type())
		if !c.place(out.root, a.path, i) {
			c.mistake(args.Name+"."+path, "the path stands twice")
		}
	}
	c.absences(out.root, args)
	for st, s := range c.structs {
		c.absences(s, st)
	}
	if len(c.mistakes) > 0 {
		slices.SortFunc(c.mistakes, func(a, b *Error) int { return cmp.Compare(a.Path, b.Path) })
		return nil, c.mistakes
	}
	return out, nil
}

// Types returns the type of each thing that Append writes, in that order.
func (c *Canonical) Types() []*schema.Type { return slices.Clone(c.types) }

// Append appends the form of body, a whole struct of arguments in protocol p. Of a body in binary or compact nothing is allocated beyond dst,
// unless it has more than some 60 fields, set elements and map entries. What is out of order needs room in dst twice for a moment.
//
// Of limits, Depth bounds the body, and MessageBytes what is appended, counting what is left out again: a repeated field, an element that a
// set has twice. After an error nothing is appended. The error tells two cases apart: an *Error says why a sound body has no form, and where; a
// *wire.Error of reason SizeLimit or DepthLimit says that the body or its form is beyond the limits, or that it has a length beyond its end.
// Of any other reason a *wire.Error says what is wrong with the bytes, or that p is no protocol.
func (c *Canonical) Append(dst []byte, p wire.Protocol, body []byte, limits wire.Limits) ([]byte, error) {
	limits = limits.WithDefaults()
	if p != wire.Binary && p != wire.Compact {
		ofBody := wire.Limits{Depth: limits.Depth, MessageBytes: max(wire.DefaultMessageBytes, len(body))}
		inBinary, err := Translate(nil, p, wire.Binary, c.args, body, ofBody)
		if err != nil {
			return dst, err
		}
		p, body = wire.Binary, inBinary
	}
	var w formWriter
	w.begin(dst, p, body, limits)
	err := w.enter()
	if err == nil {
		err = w.members(c.root)
	}
	if err != nil {
		return dst, under(c.args.Name, err)
	}
	if err := whole(nil, w.r.Pos, body); err != nil {
		return dst, err
	}
	w.settle(0, len(dst))
	return w.dst, nil
}

// form says how the values of one type are written.
type form struct {
	kind   schema.Kind
	key    *form // of a map
	elem   *form // of a list or set; a map's value
	wire   wire.Type
	fields *formStruct // of a struct
}

// formStruct says which fields of a struct are written. Those of recursive types lead back to themselves.
type formStruct struct {
	fields []formField // by ascending id
	closed bool        // any other field is a mistake; else it is skipped
	ids    bool        // type and id stand before a field that is there, and nothing for one that is not; else a byte says whether it is
}

// formField is one field, which is written, or leads to fields that are, or both.
type formField struct {
	id     int16
	wire   wire.Type
	key    int         // its place among what is written
	form   *form       // nil: it is not written
	way    *formStruct // nil: it leads nowhere
	absent []piece     // what is written where it does not come, its struct does
	name   string
}

// piece is bytes that stand at a place.
type piece struct {
	key   int
	bytes []byte
}

// find returns the index of the field with that id, -1 if there is none.
func (s *formStruct) find(id int16) int {
	i, found := slices.BinarySearchFunc(s.fields, id, func(f formField, id int16) int { return int(f.id) - int(id) })
	if !found {
		return -1
	}
	return i
}

// appendHead appends what stands before a field's value.
func (s *formStruct) appendHead(dst []byte, f *formField) []byte {
	if s.ids {
		return binary.AppendField(dst, f.wire, f.id)
	}
	return append(dst, 1)
}
