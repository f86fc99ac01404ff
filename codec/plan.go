package codec

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Plan reads and writes one Go type as one schema type. It is compiled once, immutable, and safe for concurrent use.
type Plan struct {
	root *node
	typ  *schema.Type
	name string
}

// Mismatch is one place where a Go type does not fit the IDL.
type Mismatch struct {
	Path     string // "User.address.zip"; elements of lists and sets "User.tags[]", of maps "User.attrs{key}" and "User.attrs{value}"
	Expected string // "int32 (i32)"
	Found    string // "string"
}

// String returns path: expected …, found ….
func (m Mismatch) String() string {
	return fmt.Sprintf("%s: expected %s, found %s", m.Path, m.Expected, m.Found)
}

// Append appends *ptr. ptr is a pointer to the Go type that the plan was compiled for, not nil. Nothing is allocated beyond dst.
//
// The error is an *Error: a nil pointer in a container or in a required field, a union that has not exactly one field, a value nested
// deeper than wire.DefaultDepth.
func (p *Plan) Append(dst []byte, proto wire.Protocol, ptr any) ([]byte, error) {
	v, err := p.target(ptr)
	if err != nil {
		return dst, err
	}
	return written(dst, proto, p.typ, func(dst []byte, w writer) ([]byte, error) {
		out, err := p.root.append(dst, v.UnsafePointer(), w)
		if err != nil {
			return dst, under(p.name, err)
		}
		return out, nil
	})
}

// Decode decodes the start of body into *ptr and returns how many bytes it took. ptr is a pointer to the Go type that the plan was
// compiled for; what it held before is gone, also after an error.
//
// Nothing points into body. Strings of up to 512 bytes share blocks of 2 KiB, and the structs of one list of pointers share blocks of up
// to 256: keeping one keeps its block. Of limits, Depth counts. The error is a *wire.Error, or an *Error for a ptr of another type.
func (p *Plan) Decode(proto wire.Protocol, body []byte, ptr any, limits wire.Limits) (used int, err error) {
	d, err := newDecoder(proto, p.typ, body, limits)
	if err != nil {
		return 0, err
	}
	v, err := p.target(ptr)
	if err != nil {
		return 0, err
	}
	v.Elem().SetZero()
	if err := d.at(p.root, v.UnsafePointer()); err != nil {
		return 0, err
	}
	return d.used(), nil
}

func (p *Plan) target(ptr any) (reflect.Value, error) {
	v := reflect.ValueOf(ptr)
	if v.Kind() != reflect.Pointer || v.Type().Elem() != p.root.rt {
		return v, &Error{Path: p.name, Text: fmt.Sprintf("expected *%s, found %T", p.root.rt, ptr)}
	}
	if v.IsNil() {
		return v, &Error{Path: p.name, Text: fmt.Sprintf("expected *%s, found a nil pointer", p.root.rt)}
	}
	return v, nil
}

// op says how a Go value lies in memory.
type op uint8

const (
	opBool    op = iota
	opI8         // and every type of the same kind
	opI16        //
	opI32        // and enums
	opI64        // and int
	opDouble     //
	opString     // string and binary
	opBytes      // binary
	opUUID       // [16]byte
	opStruct     //
	opPointer    // to what elem says
	opSlice      // list and set
	opSet        // set as map[T]struct{}
	opBoolSet    // set as map[T]bool: the keys that are true
	opMap        //
	opTexts      // map[string]string: the one that is common enough for loops of its own
)

// node is one Go type read and written as one schema type. Nodes of recursive types lead back to themselves.
type node struct {
	op   op
	wire wire.Type
	rt   reflect.Type
	key  *node // of a map or a set that is a Go map
	elem *node // of a slice; a map's value; a pointer's target

	// of structs
	name     string
	union    bool
	fields   []field // those that the Go type has, in declaration order
	byID     map[int16]int
	defaults []fallback

	slab    reflect.Type // []T of a pointer to T: see pointers
	scratch *sync.Pool   // of *entry, for Go maps
}

// field is a field that the schema and the Go type share.
type field struct {
	id     int16
	wire   wire.Type
	rule   rule
	offset uintptr
	node   *node
	name   string
}

// rule says when a field is written.
type rule uint8

const (
	always    rule = iota
	ifSet          // not nil
	mustBeSet      // not nil; nil is a mistake
	ifNotZero
)

// fallback is the default of a field that is not a pointer, as bytes. Decoding begins with it.
type fallback struct {
	node   *node
	offset uintptr
	body   []byte
}

// entry is room for one key and one value of a Go map, which cannot be pointed at inside the map.
type entry struct {
	key, value reflect.Value
	iter       reflect.MapIter
}

func (n *node) newEntry() any {
	return &entry{key: reflect.New(n.rt.Key()).Elem(), value: reflect.New(n.rt.Elem()).Elem()}
}

// borrow returns an entry that goes back with giveBack.
func (n *node) borrow() *entry { return n.scratch.Get().(*entry) }

func (n *node) giveBack(e *entry) {
	e.key.SetZero() // keeps nothing alive
	e.value.SetZero()
	e.iter.Reset(reflect.Value{})
	n.scratch.Put(e)
}

func (e *entry) keyAt() unsafe.Pointer   { return e.key.Addr().UnsafePointer() }
func (e *entry) valueAt() unsafe.Pointer { return e.value.Addr().UnsafePointer() }

// sliceHeader is a slice as the runtime lays it out.
type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

// empty is what empty slices that are not nil point at.
var empty byte

// isZero reports whether the value at p is its type's zero value; of a struct only the fields that the schema knows count. A negative
// zero is not zero.
func (n *node) isZero(p unsafe.Pointer) bool {
	switch n.op {
	case opBool, opI8:
		return *(*uint8)(p) == 0
	case opI16:
		return *(*uint16)(p) == 0
	case opI32:
		return *(*uint32)(p) == 0
	case opI64, opDouble:
		return *(*uint64)(p) == 0
	case opString:
		return *(*string)(p) == ""
	case opUUID:
		return *(*[16]byte)(p) == [16]byte{}
	case opStruct:
		for i := range n.fields {
			if f := &n.fields[i]; !f.node.isZero(unsafe.Add(p, f.offset)) {
				return false
			}
		}
		return true
	}
	return *(*unsafe.Pointer)(p) == nil // pointers, slices, maps
}

// goType returns the Go type that best fits t, for mismatches.
func goType(t *schema.Type) string {
	switch t.Kind {
	case schema.I8, schema.I16, schema.I32, schema.I64:
		return [...]string{schema.I8: "int8", schema.I16: "int16", schema.I32: "int32", schema.I64: "int64"}[t.Kind]
	case schema.Double:
		return "float64"
	case schema.Binary:
		return "[]byte"
	case schema.UUID:
		return "[16]byte"
	case schema.Enum:
		return "a type based on int32"
	case schema.Struct:
		return "a struct"
	case schema.List, schema.Set:
		return "a slice"
	case schema.Map:
		return "a map"
	}
	return t.String()
}

// expectedGo is goType with the IDL's type behind it, where that says more.
func expectedGo(t *schema.Type) string {
	if g := goType(t); g != t.String() {
		return g + " (" + t.String() + ")"
	}
	return t.String()
}
