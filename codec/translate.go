package codec

import (
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// Translate appends body, a whole struct in protocol from, in protocol to. What binary and compact write says all that the other needs:
// between them t, the struct's type, may be nil, and fields that it does not have survive. It is looked at for the types of an empty map
// alone, which compact does not write.
//
// Of limits, Depth bounds the body and MessageBytes what is appended. The error is a *wire.Error, whose offset is in body.
func Translate(dst []byte, from, to wire.Protocol, t *schema.StructType, body []byte, limits wire.Limits) ([]byte, error) {
	tr := translator{limit: len(dst) + limits.WithDefaults().MessageBytes}
	var whole *schema.Type
	if t != nil {
		whole = TypeOf(t)
	}
	depth := limits.WithDefaults().Depth
	var used int
	var err error
	switch {
	case from == to:
		return append(dst, body...), nil
	case from == wire.Binary && to == wire.Compact:
		r := binary.Reader{Buf: body}
		dst, err = tr.toCompact(dst, &r, wire.Struct, depth)
		used = r.Pos
	case from == wire.Compact && to == wire.Binary:
		r := compact.Reader{Buf: body}
		dst, err = tr.toBinary(dst, &r, wire.Struct, whole, depth)
		used = r.Pos
	case from != wire.Binary && from != wire.Compact:
		return dst, unsupported(from)
	default:
		return dst, unsupported(to)
	}
	if err == nil && used < len(body) {
		err = wire.Errorf(wire.Trailing, used, "%d bytes follow the struct", len(body)-used)
	}
	return dst, err
}

// translator is one translation.
type translator struct {
	limit int // the longest that dst may become
}

func (t *translator) fits(dst []byte, more, at int) error {
	if len(dst)+more > t.limit {
		return wire.Errorf(wire.SizeLimit, at, "the message is longer than the limit in the other protocol")
	}
	return nil
}

// toCompact appends one value of type t, an element or a struct.
func (t *translator) toCompact(dst []byte, r *binary.Reader, typ wire.Type, depth int) (_ []byte, err error) {
	if err := t.fits(dst, 0, r.Pos); err != nil {
		return dst, err
	}
	switch typ {
	case wire.Bool:
		v, err := r.Bool()
		return compact.AppendBool(dst, v), err
	case wire.I8:
		v, err := r.I8()
		return compact.AppendI8(dst, v), err
	case wire.I16:
		v, err := r.I16()
		return compact.AppendI16(dst, v), err
	case wire.I32:
		v, err := r.I32()
		return compact.AppendI32(dst, v), err
	case wire.I64:
		v, err := r.I64()
		return compact.AppendI64(dst, v), err
	case wire.Double:
		v, err := r.Double()
		return compact.AppendDouble(dst, v), err
	case wire.UUID:
		v, err := r.UUID()
		return compact.AppendUUID(dst, v), err
	case wire.String:
		v, err := r.Bytes()
		if err == nil {
			err = t.fits(dst, len(v), r.Pos)
		}
		if err != nil {
			return dst, err
		}
		return compact.AppendBytes(dst, v), nil
	}
	if depth <= 0 {
		return dst, wire.Errorf(wire.DepthLimit, r.Pos, "nested deeper than the limit")
	}
	switch typ {
	case wire.Struct:
		return t.structToCompact(dst, r, depth-1)
	case wire.Map:
		key, value, n, err := r.Map()
		if err != nil {
			return dst, err
		}
		dst = compact.AppendMap(dst, key, value, n)
		for range n {
			if dst, err = t.toCompact(dst, r, key, depth-1); err != nil {
				return dst, err
			}
			if dst, err = t.toCompact(dst, r, value, depth-1); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}
	elem, n, err := r.List()
	if err != nil {
		return dst, err
	}
	dst = compact.AppendList(dst, elem, n)
	for range n {
		if dst, err = t.toCompact(dst, r, elem, depth-1); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (t *translator) structToCompact(dst []byte, r *binary.Reader, depth int) ([]byte, error) {
	for last := int16(0); ; {
		typ, id, err := r.Field()
		switch {
		case err != nil:
			return dst, err
		case typ == wire.Stop:
			return compact.AppendStop(dst), nil
		case typ == wire.Bool:
			var v bool
			v, err = r.Bool()
			dst = compact.AppendBoolField(dst, v, id, last)
		default:
			dst, err = t.toCompact(compact.AppendField(dst, typ, id, last), r, typ, depth)
		}
		if err != nil {
			return dst, err
		}
		last = id
	}
}

// toBinary is toCompact the other way round; of is what the schema says of the value, nil where it says nothing.
func (t *translator) toBinary(dst []byte, r *compact.Reader, typ wire.Type, of *schema.Type, depth int) (_ []byte, err error) {
	if err := t.fits(dst, 0, r.Pos); err != nil {
		return dst, err
	}
	switch typ {
	case wire.Bool:
		v, err := r.Bool()
		return binary.AppendBool(dst, v), err
	case wire.I8:
		v, err := r.I8()
		return binary.AppendI8(dst, v), err
	case wire.I16:
		v, err := r.I16()
		return binary.AppendI16(dst, v), err
	case wire.I32:
		v, err := r.I32()
		return binary.AppendI32(dst, v), err
	case wire.I64:
		v, err := r.I64()
		return binary.AppendI64(dst, v), err
	case wire.Double:
		v, err := r.Double()
		return binary.AppendDouble(dst, v), err
	case wire.UUID:
		v, err := r.UUID()
		return binary.AppendUUID(dst, v), err
	case wire.String:
		v, err := r.Bytes()
		if err == nil {
			err = t.fits(dst, len(v), r.Pos)
		}
		if err != nil {
			return dst, err
		}
		return binary.AppendBytes(dst, v), nil
	}
	if depth <= 0 {
		return dst, wire.Errorf(wire.DepthLimit, r.Pos, "nested deeper than the limit")
	}
	if of != nil && of.Wire() != typ {
		of = nil
	}
	switch typ {
	case wire.Struct:
		return t.structToBinary(dst, r, of, depth-1)
	case wire.Map:
		return t.mapToBinary(dst, r, of, depth-1)
	}
	elem, n, err := r.List()
	if err != nil {
		return dst, err
	}
	dst = binary.AppendList(dst, elem, n)
	for range n {
		if dst, err = t.toBinary(dst, r, elem, inside(of), depth-1); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// inside is what the schema says of the elements, or of a map's values.
func inside(of *schema.Type) *schema.Type {
	if of == nil {
		return nil
	}
	return of.Elem
}

func (t *translator) structToBinary(dst []byte, r *compact.Reader, of *schema.Type, depth int) ([]byte, error) {
	for last := int16(0); ; {
		typ, id, v, err := r.Field(last)
		switch {
		case err != nil:
			return dst, err
		case typ == wire.Stop:
			return binary.AppendStop(dst), nil
		case typ == wire.Bool:
			dst = binary.AppendBool(binary.AppendField(dst, typ, id), v)
		default:
			var field *schema.Type
			if of != nil {
				if f := of.Struct.Field(id); f != nil {
					field = f.Type
				}
			}
			dst, err = t.toBinary(binary.AppendField(dst, typ, id), r, typ, field, depth)
		}
		if err != nil {
			return dst, err
		}
		last = id
	}
}

func (t *translator) mapToBinary(dst []byte, r *compact.Reader, of *schema.Type, depth int) ([]byte, error) {
	key, value, n, err := r.Map()
	if err != nil {
		return dst, err
	}
	var ofKey *schema.Type
	if of != nil {
		ofKey = of.Key
		if n == 0 {
			key, value = of.Key.Wire(), of.Elem.Wire()
		}
	}
	dst = binary.AppendMap(dst, key, value, n)
	for range n {
		if dst, err = t.toBinary(dst, r, key, ofKey, depth); err != nil {
			return dst, err
		}
		if dst, err = t.toBinary(dst, r, value, inside(of), depth); err != nil {
			return dst, err
		}
	}
	return dst, nil
}
