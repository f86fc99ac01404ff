package codec

import (
	"fmt"
	"math"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// AppendValue appends v, which is of type t. v must be one of the Go types that schema.Value names, fit its type (an i8 is -128 to 127),
// and have no nil inside a container; else the error is an *Error. Structs and containers nest at most wire.DefaultDepth levels.
func AppendValue(dst []byte, p wire.Protocol, t *schema.Type, v schema.Value) ([]byte, error) {
	if p != wire.Binary {
		return dst, unsupported(p)
	}
	out, err := appendValue(dst, t, v, wire.DefaultDepth)
	if err != nil {
		return dst, under(rootName(t), err)
	}
	return out, nil
}

// AppendStruct is AppendValue for structs. Required fields are not demanded: a struct that was decoded can always be encoded again.
func AppendStruct(dst []byte, p wire.Protocol, v *schema.StructValue) ([]byte, error) {
	return AppendValue(dst, p, TypeOf(v.Type), v)
}

// DecodeValue decodes one value of type t from the start of body, and returns how many bytes it took. Nothing in the value points into
// body. Of limits, Depth counts. The error is a *wire.Error.
func DecodeValue(p wire.Protocol, t *schema.Type, body []byte, limits wire.Limits) (v schema.Value, used int, err error) {
	d, err := newDecoder(p, body, limits)
	if err != nil {
		return nil, 0, err
	}
	if v, err = d.value(t); err != nil {
		return nil, 0, err
	}
	return v, d.r.Pos, nil
}

// DecodeStruct is DecodeValue for structs. Fields that are not there stay nil; see ApplyDefaults.
func DecodeStruct(p wire.Protocol, t *schema.StructType, body []byte, limits wire.Limits) (v *schema.StructValue, used int, err error) {
	d, err := newDecoder(p, body, limits)
	if err != nil {
		return nil, 0, err
	}
	if v, err = d.structValue(t); err != nil {
		return nil, 0, err
	}
	return v, d.r.Pos, nil
}

func rootName(t *schema.Type) string {
	if t.Kind == schema.Struct {
		return t.Struct.Name
	}
	return t.String()
}

func appendValue(dst []byte, t *schema.Type, v schema.Value, depth int) ([]byte, error) {
	switch x := v.(type) {
	case bool:
		if t.Kind == schema.Bool {
			return binary.AppendBool(dst, x), nil
		}
	case int64:
		return appendInt(dst, t, x)
	case int32:
		if t.Kind == schema.Enum {
			return binary.AppendI32(dst, x), nil
		}
	case float64:
		if t.Kind == schema.Double {
			return binary.AppendDouble(dst, x), nil
		}
	case string:
		if t.Kind == schema.String && len(x) <= maxStringBytes {
			return binary.AppendString(dst, x), nil
		}
	case []byte:
		if t.Kind == schema.Binary && len(x) <= maxStringBytes {
			return binary.AppendBytes(dst, x), nil
		}
	case [16]byte:
		if t.Kind == schema.UUID {
			return binary.AppendUUID(dst, x), nil
		}
	default:
		return appendNested(dst, t, v, depth)
	}
	return dst, wrongValue(t, v)
}

func appendInt(dst []byte, t *schema.Type, x int64) ([]byte, error) {
	if lo, hi, ok := intRange(t.Kind); ok && lo <= x && x <= hi {
		switch t.Kind {
		case schema.I8:
			return binary.AppendI8(dst, int8(x)), nil
		case schema.I16:
			return binary.AppendI16(dst, int16(x)), nil
		case schema.I32:
			return binary.AppendI32(dst, int32(x)), nil
		}
		return binary.AppendI64(dst, x), nil
	} else if ok {
		return dst, &Error{Text: fmt.Sprintf("%d is out of range for %s", x, t)}
	}
	return dst, wrongValue(t, x)
}

// intRange returns the least and the greatest number of an integer kind.
func intRange(k schema.Kind) (lo, hi int64, ok bool) {
	switch k {
	case schema.I8:
		return math.MinInt8, math.MaxInt8, true
	case schema.I16:
		return math.MinInt16, math.MaxInt16, true
	case schema.I32, schema.Enum:
		return math.MinInt32, math.MaxInt32, true
	case schema.I64:
		return math.MinInt64, math.MaxInt64, true
	}
	return 0, 0, false
}

func appendNested(dst []byte, t *schema.Type, v schema.Value, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, &Error{Text: "nested too deep"}
	}
	switch x := v.(type) {
	case *schema.StructValue:
		if t.Kind == schema.Struct && x != nil && x.Type == t.Struct && len(x.Fields) == len(t.Struct.Fields) {
			return appendFields(dst, x, depth-1)
		}
	case []schema.Value:
		if t.Kind == schema.List || t.Kind == schema.Set {
			return appendElems(dst, t, x, depth-1)
		}
	case schema.MapValue:
		if t.Kind == schema.Map {
			return appendPairs(dst, t, x, depth-1)
		}
	}
	return dst, wrongValue(t, v)
}

func appendFields(dst []byte, v *schema.StructValue, depth int) (_ []byte, err error) {
	for i, f := range v.Type.Fields {
		if v.Fields[i] == nil {
			continue
		}
		dst = binary.AppendField(dst, f.Type.Wire(), f.ID)
		if dst, err = appendValue(dst, f.Type, v.Fields[i], depth); err != nil {
			return dst, under("."+f.Name, err)
		}
	}
	return binary.AppendStop(dst), nil
}

func appendElems(dst []byte, t *schema.Type, v []schema.Value, depth int) (_ []byte, err error) {
	dst = binary.AppendList(dst, t.Elem.Wire(), len(v))
	for i, x := range v {
		if dst, err = appendValue(dst, t.Elem, x, depth); err != nil {
			return dst, under(index(i), err)
		}
	}
	return dst, nil
}

func appendPairs(dst []byte, t *schema.Type, v schema.MapValue, depth int) (_ []byte, err error) {
	dst = binary.AppendMap(dst, t.Key.Wire(), t.Elem.Wire(), len(v))
	for _, e := range v {
		if dst, err = appendValue(dst, t.Key, e.Key, depth); err != nil {
			return dst, under(mapKey, err)
		}
		if dst, err = appendValue(dst, t.Elem, e.Value, depth); err != nil {
			return dst, under(mapValue, err)
		}
	}
	return dst, nil
}

func wrongValue(t *schema.Type, v schema.Value) *Error {
	found := fmt.Sprintf("%T", v)
	switch x := v.(type) {
	case nil:
		found = "nothing (nil)"
	case *schema.StructValue:
		if x != nil {
			found = "a " + x.Type.Name
		}
	}
	return &Error{Text: fmt.Sprintf("expected %s, found %s", t, found)}
}
