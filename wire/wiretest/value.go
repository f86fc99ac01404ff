// Package wiretest is the kit that every protocol of package wire passes: values and messages to encode, real bytes of other
// implementations, and Test, which checks a protocol's skip and scan over all of them.
package wiretest

import "github.com/thriftloom/thriftloom/wire"

// Value is a value to encode, with no schema: what stands on the wire and nothing else.
type Value struct {
	Type   wire.Type
	Int    int64     // bool (0 or 1) and the integers
	Double float64   // double
	Bytes  string    // string, binary, and the 16 bytes of a uuid
	Key    wire.Type // of a map
	Elem   wire.Type // of a list, a set, or a map's values
	Items  []Value   // elements; of a map keys and values by turns
	Fields []Field   // of a struct, in the order of the wire
}

// Field is a field of a struct.
type Field struct {
	ID    int16
	Value Value
}

// Bool, and the functions that follow, make a value of the type they are named for.
func Bool(v bool) Value {
	if v {
		return Value{Type: wire.Bool, Int: 1}
	}
	return Value{Type: wire.Bool}
}

func I8(v int8) Value        { return Value{Type: wire.I8, Int: int64(v)} }
func I16(v int16) Value      { return Value{Type: wire.I16, Int: int64(v)} }
func I32(v int32) Value      { return Value{Type: wire.I32, Int: int64(v)} }
func I64(v int64) Value      { return Value{Type: wire.I64, Int: v} }
func Double(v float64) Value { return Value{Type: wire.Double, Double: v} }
func String(v string) Value  { return Value{Type: wire.String, Bytes: v} }

// UUID takes 16 bytes.
func UUID(v string) Value { return Value{Type: wire.UUID, Bytes: v} }

// List takes elements that are all of type elem.
func List(elem wire.Type, items ...Value) Value {
	return Value{Type: wire.List, Elem: elem, Items: items}
}

// Set takes elements that are all of type elem.
func Set(elem wire.Type, items ...Value) Value {
	return Value{Type: wire.Set, Elem: elem, Items: items}
}

// Map takes keys and values by turns.
func Map(key, elem wire.Type, items ...Value) Value {
	return Value{Type: wire.Map, Key: key, Elem: elem, Items: items}
}

// Struct takes ids and values by turns: Struct(1, I32(7), 2, String("a")).
func Struct(idsAndValues ...any) Value {
	v := Value{Type: wire.Struct}
	for i := 0; i < len(idsAndValues); i += 2 {
		v.Fields = append(v.Fields, Field{int16(idsAndValues[i].(int)), idsAndValues[i+1].(Value)})
	}
	return v
}

// Nested returns a struct that nests depth levels deep, itself included.
func Nested(depth int) Value {
	v := Struct()
	for range depth - 1 {
		v = Struct(1, v)
	}
	return v
}

// Repeat returns n times v.
func Repeat(n int, v Value) []Value {
	items := make([]Value, n)
	for i := range items {
		items[i] = v
	}
	return items
}
