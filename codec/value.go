package codec

import (
	"fmt"
	"math"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// AppendValue appends v, which is of type t. v must be one of the Go types that schema.Value names, fit its type (an i8 is -128 to 127),
// and have no nil inside a container; else the error is an *Error. Structs and containers nest at most wire.DefaultDepth levels.
func AppendValue(dst []byte, p wire.Protocol, t *schema.Type, v schema.Value) ([]byte, error) {
	return written(dst, p, t, func(dst []byte, w writer) ([]byte, error) {
		out, err := appendValue(dst, t, v, w)
		if err != nil {
			return dst, under(rootName(t), err)
		}
		return out, nil
	})
}

// AppendStruct is AppendValue for structs. Required fields are not demanded: a struct that was decoded can always be encoded again.
func AppendStruct(dst []byte, p wire.Protocol, v *schema.StructValue) ([]byte, error) {
	return AppendValue(dst, p, TypeOf(v.Type), v)
}

// DecodeValue decodes one value of type t from the start of body, and returns how many bytes it took. Nothing in the value points into
// body. Of limits, Depth counts. The error is a *wire.Error.
func DecodeValue(p wire.Protocol, t *schema.Type, body []byte, limits wire.Limits) (v schema.Value, used int, err error) {
	d, err := newDecoder(p, t, body, limits)
	if err != nil {
		return nil, 0, err
	}
	if v, err = d.value(t); err != nil {
		return nil, 0, err
	}
	return v, d.used(), nil
}

// DecodeStruct is DecodeValue for structs. Fields that are not there stay nil; see ApplyDefaults.
func DecodeStruct(p wire.Protocol, t *schema.StructType, body []byte, limits wire.Limits) (v *schema.StructValue, used int, err error) {
	d, err := newDecoder(p, TypeOf(t), body, limits)
	if err != nil {
		return nil, 0, err
	}
	if v, err = d.structValue(t); err != nil {
		return nil, 0, err
	}
	return v, d.used(), nil
}

func rootName(t *schema.Type) string {
	if t.Kind == schema.Struct {
		return t.Struct.Name
	}
	return t.String()
}

func appendValue(dst []byte, t *schema.Type, v schema.Value, w writer) ([]byte, error) {
	switch x := v.(type) {
	case bool:
		if t.Kind == schema.Bool {
			if w.compact {
				return compact.AppendBool(dst, x), nil
			}
			return binary.AppendBool(dst, x), nil
		}
	case int64:
		return appendInt(dst, t, x, w)
	case int32:
		if t.Kind == schema.Enum {
			if w.compact {
				return compact.AppendI32(dst, x), nil
			}
			return binary.AppendI32(dst, x), nil
		}
	case float64:
		if t.Kind == schema.Double {
			if w.compact {
				return compact.AppendDouble(dst, x), nil
			}
			return binary.AppendDouble(dst, x), nil
		}
	case string:
		if t.Kind == schema.String && len(x) <= maxStringBytes {
			if w.compact {
				return compact.AppendString(dst, x), nil
			}
			return binary.AppendString(dst, x), nil
		}
	case []byte:
		if t.Kind == schema.Binary && len(x) <= maxStringBytes {
			if w.compact {
				return compact.AppendBytes(dst, x), nil
			}
			return binary.AppendBytes(dst, x), nil
		}
	case [16]byte:
		if t.Kind == schema.UUID {
			return append(dst, x[:]...), nil
		}
	default:
		return appendNested(dst, t, v, w)
	}
	return dst, wrongValue(t, v)
}

func appendInt(dst []byte, t *schema.Type, x int64, w writer) ([]byte, error) {
	lo, hi, ok := intRange(t.Kind)
	switch {
	case !ok:
		return dst, wrongValue(t, x)
	case x < lo || x > hi:
		return dst, &Error{Text: fmt.Sprintf("%d is out of range for %s", x, t)}
	case t.Kind == schema.I8:
		return append(dst, byte(x)), nil
	case w.compact:
		return compact.AppendI64(dst, x), nil // of any width
	case t.Kind == schema.I16:
		return binary.AppendI16(dst, int16(x)), nil
	case t.Kind == schema.I32, t.Kind == schema.Enum:
		return binary.AppendI32(dst, int32(x)), nil
	}
	return binary.AppendI64(dst, x), nil
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

func appendNested(dst []byte, t *schema.Type, v schema.Value, w writer) ([]byte, error) {
	if w.depth == 0 {
		return dst, &Error{Text: "nested too deep"}
	}
	switch x := v.(type) {
	case *schema.StructValue:
		if t.Kind == schema.Struct && x != nil && x.Type == t.Struct && len(x.Fields) == len(t.Struct.Fields) {
			return appendFields(dst, x, w.deeper())
		}
	case []schema.Value:
		if t.Kind == schema.List || t.Kind == schema.Set {
			return appendElems(dst, t, x, w.deeper())
		}
	case schema.MapValue:
		if t.Kind == schema.Map {
			return appendPairs(dst, t, x, w.deeper())
		}
	}
	return dst, wrongValue(t, v)
}

func appendFields(dst []byte, v *schema.StructValue, w writer) (_ []byte, err error) {
	last := int16(0)
	for i, f := range v.Type.Fields {
		if v.Fields[i] == nil {
			continue
		}
		switch x, isBool := v.Fields[i].(bool); {
		case !w.compact:
			dst = binary.AppendField(dst, f.Type.Wire(), f.ID)
		case isBool && f.Type.Kind == schema.Bool:
			dst, last = compact.AppendBoolField(dst, x, f.ID, last), f.ID
			continue
		default:
			dst, last = compact.AppendField(dst, f.Type.Wire(), f.ID, last), f.ID
		}
		if dst, err = appendValue(dst, f.Type, v.Fields[i], w); err != nil {
			return dst, under("."+f.Name, err)
		}
	}
	return append(dst, byte(wire.Stop)), nil
}

func appendElems(dst []byte, t *schema.Type, v []schema.Value, w writer) (_ []byte, err error) {
	dst = w.list(dst, t.Elem.Wire(), len(v))
	for i, x := range v {
		if dst, err = appendValue(dst, t.Elem, x, w); err != nil {
			return dst, under(index(i), err)
		}
	}
	return dst, nil
}

func appendPairs(dst []byte, t *schema.Type, v schema.MapValue, w writer) (_ []byte, err error) {
	dst = w.mapHead(dst, t.Key.Wire(), t.Elem.Wire(), len(v))
	for _, e := range v {
		if dst, err = appendValue(dst, t.Key, e.Key, w); err != nil {
			return dst, under(mapKey, err)
		}
		if dst, err = appendValue(dst, t.Elem, e.Value, w); err != nil {
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
