package compact

import (
	"encoding/binary"
	"math"

	"github.com/thriftloom/thriftloom/wire"
)

// Reader decodes values that are whole in Buf. The zero Reader over a Buf begins at its start. A method that fails returns a *wire.Error
// whose offset counts from the start of Buf. Not safe for concurrent use.
type Reader struct {
	Buf []byte
	Pos int
}

// Left returns how many bytes were not read yet.
func (r *Reader) Left() int { return len(r.Buf) - r.Pos }

func (r *Reader) short(t wire.Type) error {
	return wire.Errorf(wire.Truncated, r.Pos, "the bytes end inside a value of type %s", t)
}

// Field reads what stands before a field's value; last is the id of the field before it, 0 for the first. Of a bool it reads all: v is its
// value. At the struct's end it returns Stop and id 0.
func (r *Reader) Field(last int16) (t wire.Type, id int16, v bool, err error) {
	if r.Left() < 1 {
		return wire.Stop, 0, false, wire.Errorf(wire.Truncated, r.Pos, "the bytes end inside a struct")
	}
	b := r.Buf[r.Pos]
	if b == byte(wire.Stop) {
		r.Pos++
		return wire.Stop, 0, false, nil
	}
	code := b & 0x0f
	if t = types[code]; t == wire.Stop {
		return wire.Stop, 0, false, badType(r.Pos, "a field", code)
	}
	v = code == codeTrue
	if delta := int(b >> 4); delta > 0 {
		if int(last)+delta > math.MaxInt16 {
			return wire.Stop, 0, false, badID(r.Pos)
		}
		r.Pos++
		return t, last + int16(delta), v, nil
	}
	at := r.Pos
	r.Pos++
	if id, err = r.I16(); err != nil {
		r.Pos = at
		return wire.Stop, 0, false, err
	}
	return t, id, v, nil
}

func badType(at int, what string, code byte) error {
	return wire.Errorf(wire.BadType, at, "%s has an unknown type, code %d", what, code)
}

func badID(at int) error {
	return wire.Errorf(wire.BadValue, at, "a field's id is beyond 32767")
}

// Bool reads a bool that is an element: 1 is true and all else false, as ThriftPy and Apache read it.
func (r *Reader) Bool() (bool, error) {
	if r.Left() < 1 {
		return false, r.short(wire.Bool)
	}
	r.Pos++
	return r.Buf[r.Pos-1] == codeTrue, nil
}

// I8 reads one byte.
func (r *Reader) I8() (int8, error) {
	if r.Left() < 1 {
		return 0, r.short(wire.I8)
	}
	r.Pos++
	return int8(r.Buf[r.Pos-1]), nil
}

// I16 reads a zigzag varint; a number beyond 16 bits is an error.
func (r *Reader) I16() (int16, error) {
	v, err := r.zigzag(wire.I16, maxVarint16, math.MaxUint16)
	return int16(v), err
}

// I32 reads a zigzag varint; a number beyond 32 bits is an error.
func (r *Reader) I32() (int32, error) {
	v, err := r.zigzag(wire.I32, maxVarint32, math.MaxUint32)
	return int32(v), err
}

// I64 reads a zigzag varint.
func (r *Reader) I64() (int64, error) { return r.zigzag(wire.I64, maxVarint64, math.MaxUint64) }

// zigzag reads a number of type t, of at most most bytes and bits up to high.
func (r *Reader) zigzag(t wire.Type, most int, high uint64) (int64, error) {
	if r.Pos < len(r.Buf) && r.Buf[r.Pos] < 0x80 {
		u := uint64(r.Buf[r.Pos])
		r.Pos++
		return int64(u>>1) ^ -int64(u&1), nil
	}
	u, next, need, err := uvarint(r.Buf, r.Pos, most)
	switch {
	case need > 0:
		return 0, r.short(t)
	case err != nil:
		return 0, err
	case u > high:
		return 0, wire.Errorf(wire.BadValue, r.Pos, "a number is out of range for %s", t)
	}
	r.Pos = next
	return int64(u>>1) ^ -int64(u&1), nil
}

// Double reads eight bytes of IEEE 754, little-endian; every bit of a NaN is kept.
func (r *Reader) Double() (float64, error) {
	if r.Left() < 8 {
		return 0, r.short(wire.Double)
	}
	r.Pos += 8
	return math.Float64frombits(binary.LittleEndian.Uint64(r.Buf[r.Pos-8:])), nil
}

// Bytes reads a string or binary value. The result is a slice of Buf with no room to grow; it is copied by whoever keeps it beyond Buf.
func (r *Reader) Bytes() ([]byte, error) {
	n, from, need, err := size(r.Buf, r.Pos, len(r.Buf), "a string")
	switch {
	case need > 0:
		return nil, r.short(wire.String)
	case err != nil:
		return nil, err
	}
	r.Pos = from + n
	return r.Buf[from:r.Pos:r.Pos], nil
}

// size reads a length in bytes at at; limit is where the bytes may end at the latest. need as uvarint has it.
func size(buf []byte, at, limit int, what string) (n, next, need int, err error) {
	v, next, need, err := uvarint(buf, at, maxVarint32)
	if need > 0 || err != nil {
		return 0, 0, need, err
	}
	switch {
	case v > math.MaxUint32:
		return 0, 0, 0, wire.Errorf(wire.BadValue, at, "%s has a length of more than 32 bits", what)
	case v > math.MaxInt32:
		return 0, 0, 0, wire.Errorf(wire.NegativeSize, at, "%s has a length of %d", what, int32(uint32(v)))
	case int(v) > limit-next:
		return 0, 0, 0, wire.Errorf(wire.SizeLimit, at, "%s has %d bytes, %d can follow", what, v, max(limit-next, 0))
	}
	return int(v), next, 0, nil
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
	elem, n, next, need, err := listHead(r.Buf, r.Pos, len(r.Buf))
	switch {
	case need > 0:
		return 0, 0, r.short(wire.List)
	case err != nil:
		return 0, 0, err
	}
	r.Pos = next
	return elem, n, nil
}

// listHead reads the head of a list or set at at; limit is where the bytes may end at the latest.
func listHead(buf []byte, at, limit int) (elem wire.Type, n, next, need int, err error) {
	if at >= len(buf) {
		return 0, 0, 0, at + 1, nil
	}
	b := buf[at]
	count, next := uint64(b>>4), at+1
	if count == 15 {
		if count, next, need, err = uvarint(buf, at+1, maxVarint32); need > 0 || err != nil {
			return 0, 0, 0, need, err
		}
	}
	if elem = types[b&0x0f]; elem == wire.Stop && (count > 0 || b&0x0f != 0) {
		return 0, 0, 0, 0, badType(at, "a list's element", b&0x0f)
	}
	n, err = counted(at, "list", count, MinSize(elem), limit-next)
	return elem, n, next, 0, err
}

// counted checks a count of elements of at least so many bytes each against the bytes that can follow.
func counted(at int, what string, count uint64, least, left int) (int, error) {
	switch {
	case count > math.MaxUint32:
		return 0, wire.Errorf(wire.BadValue, at, "a %s has a count of more than 32 bits", what)
	case count > math.MaxInt32:
		return 0, wire.Errorf(wire.NegativeSize, at, "a %s has a count of %d", what, int32(uint32(count)))
	case int64(count)*int64(least) > int64(left):
		return 0, wire.Errorf(wire.SizeLimit, at, "a %s has %d elements, %d bytes can follow", what, count, max(left, 0))
	}
	return int(count), nil
}

// Map reads what stands before the n pairs of a map. As for List, so many pairs can be in the bytes left. Of an empty map the types are
// Stop: they are not written.
func (r *Reader) Map() (key, value wire.Type, n int, err error) {
	key, value, n, next, need, err := mapHead(r.Buf, r.Pos, len(r.Buf))
	switch {
	case need > 0:
		return 0, 0, 0, r.short(wire.Map)
	case err != nil:
		return 0, 0, 0, err
	}
	r.Pos = next
	return key, value, n, nil
}

// mapHead is listHead for maps.
func mapHead(buf []byte, at, limit int) (key, value wire.Type, n, next, need int, err error) {
	count, next, need, err := uvarint(buf, at, maxVarint32)
	if need > 0 || err != nil || count == 0 {
		return 0, 0, 0, next, need, err
	}
	if next >= len(buf) {
		return 0, 0, 0, 0, next + 1, nil
	}
	b := buf[next]
	next++
	if key, value = types[b>>4], types[b&0x0f]; key == wire.Stop {
		return 0, 0, 0, 0, 0, badType(at, "a map's key", b>>4)
	} else if value == wire.Stop {
		return 0, 0, 0, 0, 0, badType(at, "a map's value", b&0x0f)
	}
	n, err = counted(at, "map", count, MinSize(key)+MinSize(value), limit-next)
	return key, value, n, next, 0, err
}
