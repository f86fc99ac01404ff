package codec

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/apachejson"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/jsontext"
)

// Apache's JSON says the type of every value, so that no schema is needed but for one thing: whether a string is binary, which is written as
// base64. Of what the schema does not have, text that is UTF-8 is taken for a string.

// fromApache reads one value of Apache's JSON and appends it in binary. of is what the schema says of it, nil where it says nothing; isKey
// says that it is a map's key, which is a string whatever its type.
func (t *translator) fromApache(dst []byte, r *jsontext.Reader, typ wire.Type, of *schema.Type, depth int, isKey bool) (_ []byte, err error) {
	if err := t.fits(dst, 0, r.Pos); err != nil {
		return dst, err
	}
	if of != nil && of.Wire() != typ {
		of = nil
	}
	at := r.Pos
	switch typ {
	case wire.Bool, wire.I8, wire.I16, wire.I32, wire.I64:
		return fromInteger(dst, r, typ)
	case wire.Double:
		v, err := double(r)
		return binary.AppendDouble(dst, v), err
	case wire.String, wire.UUID:
		text, err := r.String()
		if err != nil {
			return dst, err
		}
		if typ == wire.UUID {
			v, ok := uuid(string(text)).([16]byte)
			if !ok {
				return dst, wire.Errorf(wire.BadValue, at, "a uuid that is none")
			}
			return binary.AppendUUID(dst, v), nil
		}
		return t.text(dst, text, of, at)
	}
	if depth <= 0 {
		return dst, wire.Errorf(wire.DepthLimit, r.Pos, "nested deeper than the limit")
	}
	switch {
	case isKey:
		return dst, wire.Errorf(wire.Unsupported, at, "a map's key of type %s in Apache's JSON", typ)
	case typ == wire.Struct:
		return t.structFromApache(dst, r, of, depth-1)
	case typ == wire.Map:
		return t.mapFromApache(dst, r, of, depth-1)
	}
	elem, n, err := t.listHead(r)
	if err != nil {
		return dst, err
	}
	dst = binary.AppendList(dst, elem, n)
	for range n {
		if err = r.Take(','); err == nil {
			dst, err = t.fromApache(dst, r, elem, inside(of), depth-1, false)
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, r.Take(']')
}

// text appends a string that stood at at, or the bytes for which it stands where the schema says that they are binary.
func (t *translator) text(dst, text []byte, of *schema.Type, at int) ([]byte, error) {
	if of != nil && of.Kind == schema.Binary {
		decoded, err := fromBase64(text)
		if err != nil {
			return dst, wire.Errorf(wire.BadValue, at, "a binary value that is no base64")
		}
		text = decoded
	}
	if err := t.fits(dst, len(text), at); err != nil {
		return dst, err
	}
	return binary.AppendBytes(dst, text), nil
}

// fromBase64 decodes base64, whether it is padded or not.
func fromBase64(text []byte) ([]byte, error) {
	for range 2 {
		text = bytes.TrimSuffix(text, []byte("="))
	}
	return base64.RawStdEncoding.Strict().AppendDecode(nil, text)
}

// fromInteger reads a whole number, or a bool, which is a number there.
func fromInteger(dst []byte, r *jsontext.Reader, typ wire.Type) ([]byte, error) {
	r.Next()
	at := r.Pos
	text, err := numberText(r)
	if err != nil {
		return dst, err
	}
	bits := map[wire.Type]int{wire.Bool: 8, wire.I8: 8, wire.I16: 16, wire.I32: 32, wire.I64: 64}[typ]
	v, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return dst, wire.Errorf(wire.BadValue, at, "a number that is out of range for %s, or no integer", typ)
	}
	switch typ {
	case wire.Bool:
		return binary.AppendBool(dst, v != 0), nil
	case wire.I8:
		return binary.AppendI8(dst, int8(v)), nil
	case wire.I16:
		return binary.AppendI16(dst, int16(v)), nil
	case wire.I32:
		return binary.AppendI32(dst, int32(v)), nil
	}
	return binary.AppendI64(dst, v), nil
}

// numberText reads a number, or a string that holds one, as keys and doubles that are no numbers do.
func numberText(r *jsontext.Reader) (string, error) {
	switch r.Next() {
	case '"':
		text, err := r.String()
		return string(text), err
	case 't', 'f':
		v, err := r.Bool()
		if v {
			return "1", err
		}
		return "0", err
	}
	return r.Number()
}

func double(r *jsontext.Reader) (float64, error) {
	r.Next()
	at := r.Pos
	text, err := numberText(r)
	if err != nil {
		return 0, err
	}
	switch text {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	probe := jsontext.Reader{Buf: []byte(text)}
	if _, err := probe.Number(); err != nil || probe.Pos < len(text) {
		return 0, wire.Errorf(wire.BadValue, at, "a double that is no number")
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, wire.Errorf(wire.BadValue, at, "a number that is out of range for double")
	}
	return v, nil
}

func (t *translator) structFromApache(dst []byte, r *jsontext.Reader, of *schema.Type, depth int) ([]byte, error) {
	if err := r.Take('{'); err != nil {
		return dst, err
	}
	for n := 0; ; n++ {
		more, err := r.More('}', n)
		if err != nil {
			return dst, err
		}
		if !more {
			return binary.AppendStop(dst), nil
		}
		id, typ, err := apachejson.Field(r)
		if err != nil {
			return dst, err
		}
		if dst, err = t.fromApache(binary.AppendField(dst, typ, id), r, typ, fieldOf(of, id), depth, false); err == nil {
			err = r.Take('}')
		}
		if err != nil {
			return dst, err
		}
	}
}

// fieldOf is what the schema says of a field, nil where it says nothing.
func fieldOf(of *schema.Type, id int16) *schema.Type {
	if of == nil {
		return nil
	}
	if f := of.Struct.Field(id); f != nil {
		return f.Type
	}
	return nil
}

// listHead reads ["tag",n, without the comma behind it. So many elements can be in what is left.
func (t *translator) listHead(r *jsontext.Reader) (elem wire.Type, n int, err error) {
	if err = r.Take('['); err != nil {
		return 0, 0, err
	}
	if elem, err = tag(r); err == nil {
		err = r.Take(',')
	}
	if err != nil {
		return 0, 0, err
	}
	n, err = count(r)
	return elem, n, err
}

func tag(r *jsontext.Reader) (wire.Type, error) {
	r.Next()
	at := r.Pos
	text, err := r.String()
	if err != nil {
		return 0, err
	}
	typ := apachejson.TypeOf(string(text))
	if typ == wire.Stop {
		return 0, wire.Errorf(wire.BadType, at, "an element has an unknown type")
	}
	return typ, nil
}

func count(r *jsontext.Reader) (int, error) {
	r.Next()
	at := r.Pos
	text, err := r.Number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 32)
	switch left := int64(len(r.Buf) - r.Pos); {
	case err != nil:
		return 0, wire.Errorf(wire.BadValue, at, "a count that is no number of 32 bits")
	case n < 0:
		return 0, wire.Errorf(wire.NegativeSize, at, "a count of %d", n)
	case 2*n > left: // a comma and a digit each
		return 0, wire.Errorf(wire.SizeLimit, at, "%d elements, %d bytes can follow", n, left)
	}
	return int(n), nil
}

func (t *translator) mapFromApache(dst []byte, r *jsontext.Reader, of *schema.Type, depth int) ([]byte, error) {
	key, err := t.mapKeyTag(r)
	if err != nil {
		return dst, err
	}
	value, err := tag(r)
	if err == nil {
		err = r.Take(',')
	}
	n := 0
	if err == nil {
		n, err = count(r)
	}
	if err == nil {
		err = r.Take(',')
	}
	if err == nil {
		err = r.Take('{')
	}
	if err != nil {
		return dst, err
	}
	var ofKey *schema.Type
	if of != nil {
		ofKey = of.Key
	}
	dst = binary.AppendMap(dst, key, value, n)
	for i := range n {
		more, err := r.More('}', i)
		if err == nil && !more {
			err = wire.Errorf(wire.BadValue, r.Pos, "a map has fewer pairs than its count")
		}
		if err == nil {
			dst, err = t.fromApache(dst, r, key, ofKey, depth, true)
		}
		if err == nil {
			err = r.Take(':')
		}
		if err == nil {
			dst, err = t.fromApache(dst, r, value, inside(of), depth, false)
		}
		if err != nil {
			return dst, err
		}
	}
	if err = r.Take('}'); err == nil {
		err = r.Take(']')
	}
	return dst, err
}

func (t *translator) mapKeyTag(r *jsontext.Reader) (wire.Type, error) {
	if err := r.Take('['); err != nil {
		return 0, err
	}
	key, err := tag(r)
	if err == nil {
		err = r.Take(',')
	}
	return key, err
}

// toApache is fromApache the other way round.
func (t *translator) toApache(dst []byte, r *binary.Reader, typ wire.Type, of *schema.Type, depth int, isKey bool) (_ []byte, err error) {
	if err := t.fits(dst, 0, r.Pos); err != nil {
		return dst, err
	}
	if of != nil && of.Wire() != typ {
		of = nil
	}
	switch typ {
	case wire.Bool, wire.I8, wire.I16, wire.I32, wire.I64:
		v, err := integerOf(r, typ)
		if isKey {
			return append(strconv.AppendInt(append(dst, '"'), v, 10), '"'), err
		}
		return strconv.AppendInt(dst, v, 10), err
	case wire.Double:
		v, err := r.Double()
		if isKey || math.IsNaN(v) || math.IsInf(v, 0) {
			return append(jsontext.AppendDouble(append(dst, '"'), v), '"'), err
		}
		return jsontext.AppendDouble(dst, v), err
	case wire.UUID:
		v, err := r.UUID()
		return append(appendUUID(append(dst, '"'), v), '"'), err
	case wire.String:
		v, err := r.Bytes()
		if err == nil {
			err = t.fits(dst, len(v), r.Pos)
		}
		if err != nil {
			return dst, err
		}
		if of != nil && of.Kind == schema.Binary || of == nil && !utf8.Valid(v) {
			return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"'), nil
		}
		return jsontext.AppendString(dst, v, false), nil
	}
	if depth <= 0 {
		return dst, wire.Errorf(wire.DepthLimit, r.Pos, "nested deeper than the limit")
	}
	switch {
	case isKey:
		return dst, wire.Errorf(wire.Unsupported, r.Pos, "a map's key of type %s in Apache's JSON", typ)
	case typ == wire.Struct:
		return t.structToApache(dst, r, of, depth-1)
	case typ == wire.Map:
		return t.mapToApache(dst, r, of, depth-1)
	}
	elem, n, err := r.List()
	if err != nil {
		return dst, err
	}
	dst = appendTag(append(dst, '['), elem, of)
	dst = strconv.AppendInt(append(dst, ','), int64(n), 10)
	for range n {
		if dst, err = t.toApache(append(dst, ','), r, elem, inside(of), depth-1, false); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// appendTag appends the word for the type of elements. That of an empty container may be unknown; the schema says it then, or it is i32.
func appendTag(dst []byte, elem wire.Type, of *schema.Type) []byte {
	if elem == wire.Stop {
		elem = wire.I32
		if of != nil && of.Elem != nil {
			elem = of.Elem.Wire()
		}
	}
	return append(append(append(dst, '"'), apachejson.Tag(elem)...), '"')
}

func integerOf(r *binary.Reader, typ wire.Type) (int64, error) {
	switch typ {
	case wire.Bool:
		v, err := r.Bool()
		if v {
			return 1, err
		}
		return 0, err
	case wire.I8:
		v, err := r.I8()
		return int64(v), err
	case wire.I16:
		v, err := r.I16()
		return int64(v), err
	case wire.I32:
		v, err := r.I32()
		return int64(v), err
	}
	return r.I64()
}

func (t *translator) structToApache(dst []byte, r *binary.Reader, of *schema.Type, depth int) ([]byte, error) {
	dst = append(dst, '{')
	for n := 0; ; n++ {
		typ, id, err := r.Field()
		if err != nil {
			return dst, err
		}
		if typ == wire.Stop {
			return append(dst, '}'), nil
		}
		dst = appendComma(dst, n == 0)
		dst = strconv.AppendInt(append(dst, '"'), int64(id), 10)
		dst = append(append(append(dst, `":{"`...), apachejson.Tag(typ)...), `":`...)
		if dst, err = t.toApache(dst, r, typ, fieldOf(of, id), depth, false); err != nil {
			return dst, err
		}
		dst = append(dst, '}')
	}
}

func (t *translator) mapToApache(dst []byte, r *binary.Reader, of *schema.Type, depth int) ([]byte, error) {
	key, value, n, err := r.Map()
	if err != nil {
		return dst, err
	}
	var ofKey *schema.Type
	if of != nil {
		ofKey = of.Key
	}
	if key == wire.Stop && ofKey != nil {
		key = ofKey.Wire()
	}
	dst = appendTag(append(dst, '['), key, nil)
	dst = appendTag(append(dst, ','), value, of)
	dst = append(strconv.AppendInt(append(dst, ','), int64(n), 10), ",{"...)
	for i := range n {
		if dst, err = t.toApache(appendComma(dst, i == 0), r, key, ofKey, depth, true); err != nil {
			return dst, err
		}
		if dst, err = t.toApache(append(dst, ':'), r, value, inside(of), depth, false); err != nil {
			return dst, err
		}
	}
	return append(dst, "}]"...), nil
}
