package codec

import (
	"reflect"
	"strings"

	"github.com/thriftloom/thriftloom/schema"
)

// The plain path: Go values ↔ dynamic values by reflection alone, written from Compile's documentation and sharing no code with plans.
// Together with the dynamic codec it is what plans are compared with.

// plainValue returns rv as a value of type t.
func plainValue(t *schema.Type, rv reflect.Value) schema.Value {
	if rv.Kind() == reflect.Pointer {
		return plainValue(t, rv.Elem())
	}
	switch t.Kind {
	case schema.Bool:
		return rv.Bool()
	case schema.I8, schema.I16, schema.I32, schema.I64:
		return rv.Int()
	case schema.Enum:
		return int32(rv.Int())
	case schema.Double:
		return rv.Float()
	case schema.String:
		return rv.String()
	case schema.Binary:
		if rv.Kind() == reflect.String {
			return []byte(rv.String())
		}
		return append([]byte{}, rv.Bytes()...)
	case schema.UUID:
		return rv.Interface().([16]byte)
	case schema.Struct:
		return plainStruct(t.Struct, rv)
	case schema.Map:
		out := schema.MapValue{}
		for it := rv.MapRange(); it.Next(); {
			out = append(out, schema.MapEntry{Key: plainValue(t.Key, it.Key()), Value: plainValue(t.Elem, it.Value())})
		}
		return out
	}
	out := []schema.Value{}
	if rv.Kind() == reflect.Map {
		for it := rv.MapRange(); it.Next(); {
			if it.Value().Kind() == reflect.Struct || it.Value().Bool() {
				out = append(out, plainValue(t.Elem, it.Key()))
			}
		}
		return out
	}
	for i := range rv.Len() {
		out = append(out, plainValue(t.Elem, rv.Index(i)))
	}
	return out
}

func plainField(f *schema.Field, rv reflect.Value) reflect.Value {
	return rv.FieldByNameFunc(func(name string) bool {
		return strings.EqualFold(strings.ReplaceAll(f.Name, "_", ""), name)
	})
}

func isNil(rv reflect.Value) bool {
	switch rv.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return rv.IsNil()
	}
	return false
}

func plainStruct(st *schema.StructType, rv reflect.Value) *schema.StructValue {
	v := &schema.StructValue{Type: st, Fields: make([]schema.Value, len(st.Fields))}
	for i, f := range st.Fields {
		fv := plainField(f, rv)
		switch {
		case isNil(fv) && (fv.Kind() == reflect.Pointer || f.Required != schema.Required):
		case !isNil(fv) && fv.Kind() != reflect.Pointer && fv.Kind() != reflect.Slice && fv.Kind() != reflect.Map &&
			f.Required == schema.Optional && f.Default == nil && fv.IsZero():
		default:
			v.Fields[i] = plainValue(f.Type, fv)
		}
	}
	return v
}

// plainSet sets rv, which is zero, to v. Defaults are given to the fields of structs on the wire, not to those of structs in a default.
func plainSet(t *schema.Type, v schema.Value, rv reflect.Value, defaults bool) {
	if rv.Kind() == reflect.Pointer {
		rv.Set(reflect.New(rv.Type().Elem()))
		rv = rv.Elem()
	}
	switch t.Kind {
	case schema.Bool:
		rv.SetBool(v.(bool))
	case schema.I8, schema.I16, schema.I32, schema.I64:
		rv.SetInt(v.(int64))
	case schema.Enum:
		rv.SetInt(int64(v.(int32)))
	case schema.Double:
		rv.SetFloat(v.(float64))
	case schema.String:
		rv.SetString(v.(string))
	case schema.Binary:
		if rv.Kind() == reflect.String {
			rv.SetString(string(v.([]byte)))
		} else {
			rv.SetBytes(v.([]byte))
		}
	case schema.UUID:
		rv.Set(reflect.ValueOf(v))
	case schema.Struct:
		plainSetStruct(v.(*schema.StructValue), rv, defaults)
	case schema.Map:
		rv.Set(reflect.MakeMap(rv.Type()))
		for _, e := range v.(schema.MapValue) {
			key, value := reflect.New(rv.Type().Key()).Elem(), reflect.New(rv.Type().Elem()).Elem()
			plainSet(t.Key, e.Key, key, defaults)
			plainSet(t.Elem, e.Value, value, defaults)
			rv.SetMapIndex(key, value)
		}
	default:
		plainSetElems(t, v.([]schema.Value), rv, defaults)
	}
}

func plainSetElems(t *schema.Type, v []schema.Value, rv reflect.Value, defaults bool) {
	if rv.Kind() == reflect.Slice {
		rv.Set(reflect.MakeSlice(rv.Type(), len(v), len(v)))
		for i, e := range v {
			plainSet(t.Elem, e, rv.Index(i), defaults)
		}
		return
	}
	rv.Set(reflect.MakeMap(rv.Type()))
	member := reflect.New(rv.Type().Elem()).Elem()
	if member.Kind() == reflect.Bool {
		member.SetBool(true)
	}
	for _, e := range v {
		key := reflect.New(rv.Type().Key()).Elem()
		plainSet(t.Elem, e, key, defaults)
		rv.SetMapIndex(key, member)
	}
}

func plainSetStruct(v *schema.StructValue, rv reflect.Value, defaults bool) {
	for i, f := range v.Type.Fields {
		fv := plainField(f, rv)
		switch {
		case v.Fields[i] != nil:
			plainSet(f.Type, v.Fields[i], fv, defaults)
		case defaults && f.Default != nil && fv.Kind() != reflect.Pointer && v.Type.Kind != schema.Union:
			plainSet(f.Type, f.Default, fv, false)
		}
	}
}
