package codec

import (
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
	"github.com/thriftloom/thriftloom/wire/jsontext"
)

// Translate appends body, a whole struct in protocol from, in protocol to; t is the struct's type.
//
// Binary, compact and Apache's JSON say the types of what they carry: between them t may be nil, and fields that it does not have survive.
// It is looked at for the types of an empty map, which compact does not write, and for which strings of Apache's JSON are base64. ThriftPy's
// JSON goes by t alone: fields that it does not have are dropped.
//
// Of limits, Depth bounds the body and MessageBytes what is appended. The error is a *wire.Error, whose offset is in body, or in what it
// comes to in binary, through which all others go.
func Translate(dst []byte, from, to wire.Protocol, t *schema.StructType, body []byte, limits wire.Limits) ([]byte, error) {
	if from == to {
		return append(dst, body...), nil
	}
	tr := translator{limit: len(dst) + limits.WithDefaults().MessageBytes, depth: limits.WithDefaults().Depth}
	if t != nil {
		tr.whole = TypeOf(t)
	}
	switch {
	case to == wire.Binary:
		return tr.intoBinary(dst, from, body)
	case from == wire.Binary:
		return tr.outOfBinary(dst, to, body)
	}
	hub := translator{limit: tr.limit - len(dst), depth: tr.depth, whole: tr.whole}
	inBinary, err := hub.intoBinary(nil, from, body)
	if err != nil {
		return dst, err
	}
	return tr.outOfBinary(dst, to, inBinary)
}

// intoBinary appends a whole body in binary.
func (t *translator) intoBinary(dst []byte, from wire.Protocol, body []byte) (_ []byte, err error) {
	switch from {
	case wire.Compact:
		r := compact.Reader{Buf: body}
		dst, err = t.toBinary(dst, &r, wire.Struct, t.whole, t.depth)
		return dst, whole(err, r.Pos, body)
	case wire.ApacheJSON:
		r := jsontext.Reader{Buf: body}
		if dst, err = t.fromApache(dst, &r, wire.Struct, t.whole, t.depth, false); err == nil {
			err = r.End()
		}
		return dst, err
	case wire.JSON:
		if t.whole == nil {
			return dst, wire.Errorf(wire.Unsupported, 0, "ThriftPy's JSON cannot be read without the IDL")
		}
		r := jsontext.Reader{Buf: body}
		if dst, err = t.fromTJSON(dst, &r, t.whole, t.depth); err == nil {
			err = r.End()
		}
		return dst, err
	}
	return dst, unsupported(from)
}

// outOfBinary appends a whole body in another protocol.
func (t *translator) outOfBinary(dst []byte, to wire.Protocol, body []byte) (_ []byte, err error) {
	r := binary.Reader{Buf: body}
	switch to {
	case wire.Compact:
		dst, err = t.toCompact(dst, &r, wire.Struct, t.depth)
	case wire.ApacheJSON:
		dst, err = t.toApache(dst, &r, wire.Struct, t.whole, t.depth, false)
	case wire.JSON:
		if t.whole == nil {
			return dst, wire.Errorf(wire.Unsupported, 0, "ThriftPy's JSON cannot be written without the IDL")
		}
		dst, err = t.toTJSON(dst, &r, t.whole, t.depth)
	default:
		return dst, unsupported(to)
	}
	return dst, whole(err, r.Pos, body)
}

// whole checks that all of a body was read.
func whole(err error, used int, body []byte) error {
	if err == nil && used < len(body) {
		return wire.Errorf(wire.Trailing, used, "%d bytes follow the struct", len(body)-used)
	}
	return err
}

// translator is one translation.
type translator struct {
	limit int // the longest that dst may become
	depth int
	whole *schema.Type // of the whole body; nil: not known
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
			dst, err = t.toBinary(binary.AppendField(dst, typ, id), r, typ, fieldOf(of, id), depth)
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
