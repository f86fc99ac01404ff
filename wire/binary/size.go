package binary

import "github.com/thriftloom/thriftloom/wire"

// minSizes holds the least length of a value of each type, in bytes. Zero: no value has that type.
var minSizes = [256]uint8{
	wire.Bool: 1, wire.I8: 1, wire.Double: 8, wire.I16: 2, wire.I32: 4, wire.I64: 8, wire.UUID: 16,
	wire.String: 4, wire.Struct: 1, wire.Map: 6, wire.Set: 5, wire.List: 5,
}

// fixedSizes holds the length of a value of each type whose values are all of one length, in bytes. Zero: the bytes tell.
var fixedSizes = [256]uint8{
	wire.Bool: 1, wire.I8: 1, wire.Double: 8, wire.I16: 2, wire.I32: 4, wire.I64: 8, wire.UUID: 16,
}

// MinSize returns the least number of bytes that a value of type t takes, so that a count can be checked against the bytes left before
// anything is made for it. At least 1; 0 for a code that no value has (Stop, Void, unknown).
func MinSize(t wire.Type) int { return int(minSizes[t]) }
