package compact

import (
	"encoding/binary"
	"math"

	"github.com/thriftloom/thriftloom/wire"
)

// The appenders check nothing: lengths and counts must be below 2^31, which every limit in wire.Limits sees to.

// AppendField appends what stands before a field's value. last is the id of the field before it in the same struct, 0 for the first. A bool
// is written with AppendBoolField instead: it has no value behind.
//
//	field:  delta<<4|code:1            value      ids 1 to 15 above the last
//	        code:1  id:zigzag varint   value      all others
func AppendField(dst []byte, t wire.Type, id, last int16) []byte {
	return appendField(dst, codes[t], id, last)
}

// AppendBoolField appends a field that is a bool: its header says which.
func AppendBoolField(dst []byte, v bool, id, last int16) []byte {
	return appendField(dst, boolCode(v), id, last)
}

func appendField(dst []byte, code byte, id, last int16) []byte {
	if delta := int(id) - int(last); delta >= 1 && delta <= 15 {
		return append(dst, byte(delta)<<4|code)
	}
	return AppendI16(append(dst, code), id)
}

func boolCode(v bool) byte {
	if v {
		return codeTrue
	}
	return codeFalse
}

// AppendStop appends the byte that ends a struct.
func AppendStop(dst []byte) []byte { return append(dst, byte(wire.Stop)) }

// AppendBool appends a bool that is an element: 1 for true, 2 for false.
func AppendBool(dst []byte, v bool) []byte { return append(dst, boolCode(v)) }

// AppendI8 appends one byte.
func AppendI8(dst []byte, v int8) []byte { return append(dst, byte(v)) }

// AppendI16 appends a zigzag varint of one to three bytes.
func AppendI16(dst []byte, v int16) []byte { return AppendI64(dst, int64(v)) }

// AppendI32 appends a zigzag varint of one to five bytes.
func AppendI32(dst []byte, v int32) []byte { return AppendI64(dst, int64(v)) }

// AppendI64 appends a zigzag varint of one to ten bytes.
func AppendI64(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

// AppendDouble appends the eight bytes of IEEE 754, little-endian; every bit of a NaN is kept.
func AppendDouble(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// AppendString appends a string, whatever its bytes are.
//
//	string, binary:  n:varint  bytes:n
func AppendString(dst []byte, v string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
}

// AppendBytes appends a binary value: on the wire the same as a string.
func AppendBytes(dst []byte, v []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
}

// AppendUUID appends sixteen bytes.
func AppendUUID(dst []byte, v [16]byte) []byte { return append(dst, v[:]...) }

// AppendList appends what stands before the n elements of a list or a set.
//
//	list, set:  n<<4|element:1               elements    up to 14
//	            f<<4|element:1  n:varint     elements    15 and more
func AppendList(dst []byte, elem wire.Type, n int) []byte {
	if n < 15 {
		return append(dst, byte(n)<<4|codes[elem])
	}
	return binary.AppendUvarint(append(dst, 0xf0|codes[elem]), uint64(n))
}

// AppendMap appends what stands before the n pairs of a map, each a key and then its value. An empty map has no types.
//
//	map:  n:varint  key<<4|value:1  pairs
//	      0:1
func AppendMap(dst []byte, key, value wire.Type, n int) []byte {
	if n == 0 {
		return append(dst, 0)
	}
	return append(binary.AppendUvarint(dst, uint64(n)), codes[key]<<4|codes[value])
}
