package codec

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	thrift "github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/jsontext"
)

// ThriftPy's JSON has fields by name and says no types: all of it goes by the schema. Fields that one side does not know are dropped, and
// null is a field that is not set.

// fromTJSON reads one value of ThriftPy's JSON and appends it in binary.
func (t *translator) fromTJSON(dst []byte, r *jsontext.Reader, of *schema.Type, depth int) (_ []byte, err error) {
	if err := t.fits(dst, 0, r.Pos); err != nil {
		return dst, err
	}
	r.Next()
	at := r.Pos
	switch of.Kind {
	case schema.Bool, schema.I8, schema.I16, schema.I32, schema.I64, schema.Enum:
		return fromInteger(dst, r, of.Wire())
	case schema.Double:
		v, err := double(r)
		return thrift.AppendDouble(dst, v), err
	case schema.String, schema.Binary:
		text, err := r.String()
		if err != nil {
			return dst, err
		}
		return t.text(dst, text, of, at)
	case schema.UUID:
		text, err := r.String()
		if err != nil {
			return dst, err
		}
		v, ok := uuid(string(text)).([16]byte)
		if !ok {
			return dst, wire.Errorf(wire.BadValue, at, "a uuid that is none")
		}
		return thrift.AppendUUID(dst, v), nil
	}
	if depth <= 0 {
		return dst, wire.Errorf(wire.DepthLimit, r.Pos, "nested deeper than the limit")
	}
	switch of.Kind {
	case schema.Struct:
		return t.structFromTJSON(dst, r, of.Struct, depth-1)
	case schema.Map:
		return t.mapFromTJSON(dst, r, of, depth-1)
	}
	if err = r.Take('['); err != nil {
		return dst, err
	}
	dst = thrift.AppendList(dst, of.Elem.Wire(), 0)
	counted := len(dst) - 4
	for n := 0; ; n++ {
		more, err := r.More(']', n)
		if err != nil {
			return dst, err
		}
		if !more {
			binary.BigEndian.PutUint32(dst[counted:], uint32(n))
			return dst, nil
		}
		if dst, err = t.fromTJSON(dst, r, of.Elem, depth-1); err != nil {
			return dst, err
		}
	}
}

func (t *translator) structFromTJSON(dst []byte, r *jsontext.Reader, st *schema.StructType, depth int) ([]byte, error) {
	if err := r.Take('{'); err != nil {
		return dst, err
	}
	for n := 0; ; n++ {
		more, err := r.More('}', n)
		if err != nil {
			return dst, err
		}
		if !more {
			return thrift.AppendStop(dst), nil
		}
		key, err := r.Key()
		if err != nil {
			return dst, err
		}
		switch f := st.FieldByName(string(key)); {
		case r.Null():
		case f == nil:
			err = r.Skip(2 * (depth + 1))
		default:
			dst, err = t.fromTJSON(thrift.AppendField(dst, f.Type.Wire(), f.ID), r, f.Type, depth)
		}
		if err != nil {
			return dst, err
		}
	}
}

// mapFromTJSON reads [{"key": …, "value": …}, …], whose keys may stand in either order.
func (t *translator) mapFromTJSON(dst []byte, r *jsontext.Reader, of *schema.Type, depth int) ([]byte, error) {
	if err := r.Take('['); err != nil {
		return dst, err
	}
	dst = thrift.AppendMap(dst, of.Key.Wire(), of.Elem.Wire(), 0)
	counted := len(dst) - 4
	for n := 0; ; n++ {
		more, err := r.More(']', n)
		if err != nil {
			return dst, err
		}
		if !more {
			binary.BigEndian.PutUint32(dst[counted:], uint32(n))
			return dst, nil
		}
		if dst, err = t.pairFromTJSON(dst, r, of, depth); err != nil {
			return dst, err
		}
	}
}

func (t *translator) pairFromTJSON(dst []byte, r *jsontext.Reader, of *schema.Type, depth int) ([]byte, error) {
	at := r.Pos
	if err := r.Take('{'); err != nil {
		return dst, err
	}
	var key, value []byte
	for n := 0; ; n++ {
		more, err := r.More('}', n)
		if err != nil {
			return dst, err
		}
		if !more {
			break
		}
		name, err := r.Key()
		if err != nil {
			return dst, err
		}
		switch string(name) {
		case "key":
			key, err = t.fromTJSON(key[:0], r, of.Key, depth)
		case "value":
			value, err = t.fromTJSON(value[:0], r, of.Elem, depth)
		default:
			err = r.Skip(2 * (depth + 1))
		}
		if err != nil {
			return dst, err
		}
	}
	if key == nil || value == nil {
		return dst, wire.Errorf(wire.BadValue, at, "a map's entry without key or value")
	}
	return append(append(dst, key...), value...), nil
}

// toTJSON is fromTJSON the other way round, of a value whose type is the schema's.
func (t *translator) toTJSON(dst []byte, r *thrift.Reader, of *schema.Type, depth int) (_ []byte, err error) {
	if err := t.fits(dst, 0, r.Pos); err != nil {
		return dst, err
	}
	switch of.Kind {
	case schema.Bool:
		v, err := r.Bool()
		return strconv.AppendBool(dst, v), err
	case schema.I8, schema.I16, schema.I32, schema.I64, schema.Enum:
		v, err := integerOf(r, of.Wire())
		return strconv.AppendInt(dst, v, 10), err
	case schema.Double:
		v, err := r.Double()
		return jsontext.AppendDouble(dst, v), err
	case schema.UUID:
		v, err := r.UUID()
		return append(appendUUID(append(dst, '"'), v), '"'), err
	case schema.String, schema.Binary:
		v, err := r.Bytes()
		if err == nil {
			err = t.fits(dst, len(v), r.Pos)
		}
		if err != nil {
			return dst, err
		}
		if of.Kind == schema.Binary {
			return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"'), nil
		}
		return jsontext.AppendString(dst, v, true), nil
	}
	if depth <= 0 {
		return dst, wire.Errorf(wire.DepthLimit, r.Pos, "nested deeper than the limit")
	}
	switch of.Kind {
	case schema.Struct:
		return t.structToTJSON(dst, r, of.Struct, depth-1)
	case schema.Map:
		return t.mapToTJSON(dst, r, of, depth-1)
	}
	at := r.Pos
	elem, n, err := r.List()
	if err == nil && elem != of.Elem.Wire() { // as an empty one, which is how ThriftPy reads it
		r.Pos, n = at, 0
		err = r.Skip(wire.List, depth)
	}
	if err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	for i := range n {
		if dst, err = t.toTJSON(appendBlankComma(dst, i == 0), r, of.Elem, depth-1); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendBlankComma(dst []byte, first bool) []byte {
	if first {
		return dst
	}
	return append(dst, ", "...)
}

func (t *translator) structToTJSON(dst []byte, r *thrift.Reader, st *schema.StructType, depth int) ([]byte, error) {
	dst = append(dst, '{')
	for first := true; ; {
		typ, id, err := r.Field()
		if err != nil {
			return dst, err
		}
		if typ == wire.Stop {
			return append(dst, '}'), nil
		}
		f := st.Field(id)
		if f == nil || f.Type.Wire() != typ {
			if err := r.Skip(typ, depth); err != nil {
				return dst, err
			}
			continue
		}
		dst = append(jsontext.AppendString(appendBlankComma(dst, first), []byte(f.Name), true), ": "...)
		if dst, err = t.toTJSON(dst, r, f.Type, depth); err != nil {
			return dst, err
		}
		first = false
	}
}

func (t *translator) mapToTJSON(dst []byte, r *thrift.Reader, of *schema.Type, depth int) ([]byte, error) {
	at := r.Pos
	key, value, n, err := r.Map()
	if err == nil && n > 0 && (key != of.Key.Wire() || value != of.Elem.Wire()) {
		r.Pos, n = at, 0
		err = r.Skip(wire.Map, depth+1)
	}
	if err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	for i := range n {
		dst = append(appendBlankComma(dst, i == 0), `{"key": `...)
		if dst, err = t.toTJSON(dst, r, of.Key, depth); err != nil {
			return dst, err
		}
		if dst, err = t.toTJSON(append(dst, `, "value": `...), r, of.Elem, depth); err != nil {
			return dst, err
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}
