// Package compact is Apache's compact protocol: encoders that append, a reader of whole slices, and the skip-scan, which finds the end of a
// struct in bytes that come piece by piece.
//
// Whole numbers are varints: seven bits a byte, the least first, the high bit of all but the last set. Signed ones are zigzag: 0, -1, 1,
// -2, … become 0, 1, 2, 3, …. A field's id is written as the distance from the field before. Doubles are little-endian. Layouts are drawn
// beside the functions that write them. Every error is a *wire.Error.
// Source: Apache Thrift, doc/specs/thrift-compact-protocol.md.
package compact

import "github.com/thriftloom/thriftloom/wire"

// The type codes of the compact protocol. A field's header says which bool it is; an element of a container that is a bool has the first
// code of the two, and a byte with one of them as its value. Some writers put the second code before elements.
const (
	codeTrue   = 1
	codeFalse  = 2
	codeI8     = 3
	codeI16    = 4
	codeI32    = 5
	codeI64    = 6
	codeDouble = 7
	codeString = 8
	codeList   = 9
	codeSet    = 10
	codeMap    = 11
	codeStruct = 12
	codeUUID   = 13
)

// codes holds the code of each type. Zero: no value has that type.
var codes = [256]byte{
	wire.Bool: codeTrue, wire.I8: codeI8, wire.I16: codeI16, wire.I32: codeI32, wire.I64: codeI64, wire.Double: codeDouble,
	wire.String: codeString, wire.List: codeList, wire.Set: codeSet, wire.Map: codeMap, wire.Struct: codeStruct, wire.UUID: codeUUID,
}

// types holds the type of each code. Zero (Stop): no value has that code.
var types = [16]wire.Type{
	codeTrue: wire.Bool, codeFalse: wire.Bool, codeI8: wire.I8, codeI16: wire.I16, codeI32: wire.I32, codeI64: wire.I64,
	codeDouble: wire.Double, codeString: wire.String, codeList: wire.List, codeSet: wire.Set, codeMap: wire.Map, codeStruct: wire.Struct,
	codeUUID: wire.UUID,
}

// fixedSizes holds the length of an element of each type whose values are all of one length, in bytes. Zero: the bytes tell. A bool has
// that length in a container; as a field it lies in the field's header.
var fixedSizes = [256]uint8{wire.Bool: 1, wire.I8: 1, wire.Double: 8, wire.UUID: 16}

// MinSize returns the least number of bytes that an element of type t takes, so that a count can be checked against the bytes left before
// anything is made for it. At least 1; 0 for a code that no value has.
func MinSize(t wire.Type) int {
	switch {
	case codes[t] == 0:
		return 0
	case fixedSizes[t] > 0:
		return int(fixedSizes[t])
	}
	return 1
}
