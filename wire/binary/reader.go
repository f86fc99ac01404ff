package binary

import (
	"math"

	"github.com/thriftloom/thriftloom/wire"
)

// Reader decodes values that are whole in Buf. The zero Reader over a Buf begins at its start. A method that fails returns a *wire.Error
// whose offset counts from the start of Buf, and leaves Pos where the value began. Not safe for concurrent use.
type Reader struct {
	Buf []byte
	Pos int
}

// Left returns how many bytes were not read yet.
func (r *Reader) Left() int { return len(r.Buf) - r.Pos }

// short says that a value of type t does not fit. Out of line: it keeps the readers below small.
//
//go:noinline
func (r *Reader) short(t wire.Type) error {
	return wire.Errorf(wire.Truncated, r.Pos, "the bytes end inside a value of type %s", t)
}

// Field reads what stands before a field's value. At the struct's end it returns Stop and id 0.
func (r *Reader) Field() (t wire.Type, id int16, err error) {
	b := r.Buf[r.Pos:]
	if len(b) >= 3 && minSizes[b[0]] != 0 {
		r.Pos += 3
		return wire.Type(b[0]), int16(b[1])<<8 | int16(b[2]), nil
	}
	if len(b) >= 1 && b[0] == byte(wire.Stop) {
		r.Pos++
		return wire.Stop, 0, nil
	}
	return wire.Stop, 0, r.badField(b)
}

func (r *Reader) badField(b []byte) error {
	if len(b) > 0 && minSizes[b[0]] == 0 {
		return badType(r.Pos, "a field", wire.Type(b[0]))
	}
	return wire.Errorf(wire.Truncated, r.Pos, "the bytes end inside a struct")
}

func badType(at int, what string, t wire.Type) error {
	return wire.Errorf(wire.BadType, at, "%s has an unknown type, code %d", what, uint8(t))
}

// Bool reads one byte: anything but 0 is true, as every Thrift implementation reads it.
func (r *Reader) Bool() (bool, error) {
	if r.Left() < 1 {
		return false, r.short(wire.Bool)
	}
	r.Pos++
	return r.Buf[r.Pos-1] != 0, nil
}

// I8 reads one byte.
func (r *Reader) I8() (int8, error) {
	if r.Left() < 1 {
		return 0, r.short(wire.I8)
	}
	r.Pos++
	return int8(r.Buf[r.Pos-1]), nil
}

// I16 reads two bytes.
func (r *Reader) I16() (int16, error) {
	if r.Left() < 2 {
		return 0, r.short(wire.I16)
	}
	r.Pos += 2
	return int16(be.Uint16(r.Buf[r.Pos-2:])), nil
}

// I32 reads four bytes.
func (r *Reader) I32() (int32, error) {
	if r.Left() < 4 {
		return 0, r.short(wire.I32)
	}
	r.Pos += 4
	return int32(be.Uint32(r.Buf[r.Pos-4:])), nil
}

// I64 reads eight bytes.
func (r *Reader) I64() (int64, error) {
	if r.Left() < 8 {
		return 0, r.short(wire.I64)
	}
	r.Pos += 8
	return int64(be.Uint64(r.Buf[r.Pos-8:])), nil
}

// Double reads eight bytes of IEEE 754; every bit of a NaN is kept.
func (r *Reader) Double() (float64, error) {
	if r.Left() < 8 {
		return 0, r.short(wire.Double)
	}
	r.Pos += 8
	return math.Float64frombits(be.Uint64(r.Buf[r.Pos-8:])), nil
}

// Bytes reads a string or binary value. The result is a slice of Buf with no room to grow; it is copied by whoever keeps it beyond Buf.
func (r *Reader) Bytes() ([]byte, error) {
	if r.Left() < 4 {
		return nil, r.short(wire.String)
	}
	from := r.Pos + 4
	n := int32(be.Uint32(r.Buf[r.Pos:]))
	if n < 0 || int(n) > len(r.Buf)-from {
		return nil, badLength(r.Pos, n, len(r.Buf)-from)
	}
	r.Pos = from + int(n)
	return r.Buf[from:r.Pos:r.Pos], nil
}

func badLength(at int, n int32, left int) error {
	if n < 0 {
		return wire.Errorf(wire.NegativeSize, at, "a string has a length of %d", n)
	}
	return wire.Errorf(wire.SizeLimit, at, "a string has %d bytes, %d can follow", n, left)
}

// UUID reads sixteen bytes.
func (r *Reader) UUID() (v [16]byte, err error) {
	if r.Left() < 16 {
		return v, r.short(wire.UUID)
	}
	r.Pos += 16
	return [16]byte(r.Buf[r.Pos-16:]), nil
}

// List reads what stands before the n elements of a list or set. So many elements can be in the bytes left: n of them is safe to make
// room for. The element type of an empty list may be Stop, as writers that do not know it put there.
func (r *Reader) List() (elem wire.Type, n int, err error) {
	if r.Left() < 5 {
		return 0, 0, r.short(wire.List)
	}
	b := r.Buf[r.Pos:]
	elem = wire.Type(b[0])
	if n, err = count(r.Pos, be.Uint32(b[1:]), r.Left()-5, elem); err != nil {
		return 0, 0, err
	}
	r.Pos += 5
	return elem, n, nil
}

// Map reads what stands before the n pairs of a map. As for List, so many pairs can be in the bytes left.
func (r *Reader) Map() (key, value wire.Type, n int, err error) {
	if r.Left() < 6 {
		return 0, 0, 0, r.short(wire.Map)
	}
	b := r.Buf[r.Pos:]
	key, value = wire.Type(b[0]), wire.Type(b[1])
	if n, err = pairs(r.Pos, be.Uint32(b[2:]), r.Left()-6, key, value); err != nil {
		return 0, 0, 0, err
	}
	r.Pos += 6
	return key, value, n, nil
}

// count checks the count of a list or set whose head stands at at; left is how many bytes can follow that head.
func count(at int, word uint32, left int, elem wire.Type) (int, error) {
	n, least := int64(int32(word)), int64(minSizes[elem])
	switch {
	case least == 0 && (n != 0 || elem != wire.Stop):
		return 0, badType(at, "a list's element", elem)
	case n < 0 || n*least > int64(left):
		return 0, badCount(at, "list", int32(word), left)
	}
	return int(n), nil
}

// pairs is count for maps.
func pairs(at int, word uint32, left int, key, value wire.Type) (int, error) {
	n := int64(int32(word))
	k, v := int64(minSizes[key]), int64(minSizes[value])
	switch {
	case k == 0 && (n != 0 || key != wire.Stop):
		return 0, badType(at, "a map's key", key)
	case v == 0 && (n != 0 || value != wire.Stop):
		return 0, badType(at, "a map's value", value)
	case n < 0 || n*(k+v) > int64(left):
		return 0, badCount(at, "map", int32(word), left)
	}
	return int(n), nil
}

func badCount(at int, what string, n int32, left int) error {
	if n < 0 {
		return wire.Errorf(wire.NegativeSize, at, "a %s has a count of %d", what, n)
	}
	return wire.Errorf(wire.SizeLimit, at, "a %s has %d elements, %d bytes can follow", what, n, left)
}
