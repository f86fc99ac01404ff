package binary

import (
	"encoding/binary"
	"math"

	"github.com/thriftloom/thriftloom/wire"
)

var be = binary.BigEndian

// The appenders check nothing: lengths and counts must be below 2^31, which every limit in wire.Limits sees to.

// AppendField appends what stands before a field's value.
//
//	field:  type:1  id:2  value
func AppendField(dst []byte, t wire.Type, id int16) []byte {
	return append(dst, byte(t), byte(uint16(id)>>8), byte(id))
}

// AppendStop appends the byte that ends a struct.
func AppendStop(dst []byte) []byte { return append(dst, byte(wire.Stop)) }

// AppendBool appends 1 for true and 0 for false.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendI8 appends one byte.
func AppendI8(dst []byte, v int8) []byte { return append(dst, byte(v)) }

// AppendI16 appends two bytes.
func AppendI16(dst []byte, v int16) []byte { return be.AppendUint16(dst, uint16(v)) }

// AppendI32 appends four bytes.
func AppendI32(dst []byte, v int32) []byte { return be.AppendUint32(dst, uint32(v)) }

// AppendI64 appends eight bytes.
func AppendI64(dst []byte, v int64) []byte { return be.AppendUint64(dst, uint64(v)) }

// AppendDouble appends the eight bytes of IEEE 754; every bit of a NaN is kept.
func AppendDouble(dst []byte, v float64) []byte { return be.AppendUint64(dst, math.Float64bits(v)) }

// AppendString appends a string, whatever its bytes are.
//
//	string, binary:  n:4  bytes:n
func AppendString(dst []byte, v string) []byte {
	return append(be.AppendUint32(dst, uint32(len(v))), v...)
}

// AppendBytes appends a binary value: on the wire the same as a string.
func AppendBytes(dst []byte, v []byte) []byte {
	return append(be.AppendUint32(dst, uint32(len(v))), v...)
}

// AppendUUID appends sixteen bytes.
func AppendUUID(dst []byte, v [16]byte) []byte { return append(dst, v[:]...) }

// AppendList appends what stands before the n elements of a list or a set.
//
//	list, set:  element:1  n:4  elements
func AppendList(dst []byte, elem wire.Type, n int) []byte {
	return be.AppendUint32(append(dst, byte(elem)), uint32(n))
}

// AppendMap appends what stands before the n pairs of a map, each a key and then its value.
//
//	map:  key:1  value:1  n:4  pairs
func AppendMap(dst []byte, key, value wire.Type, n int) []byte {
	return be.AppendUint32(append(dst, byte(key), byte(value)), uint32(n))
}
