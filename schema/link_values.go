package schema

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"github.com/thriftloom/thriftloom/idl"
)

// maxWeight bounds the constants and defaults of one load, references counted as often as they stand: one for each value, and one for
// each 64 bytes of a string.
const maxWeight = 4_000_000

// constant links a constant and those that it leads through; nil after a mistake.
func (k *linker) constant(d *decl, x *idl.Const) *Const {
	if d.state == linked {
		made, _ := d.made.(*Const)
		return made
	}
	k.enter(d)
	before := k.weight
	var made *Const
	if t := k.typ(x.Type); t != nil {
		if v, ok := k.value(x.Value, t); ok {
			made = &Const{Name: x.Name, Type: t, Value: v, Doc: x.Doc, Pos: x.Pos, weight: k.weight - before}
		}
	}
	if made == nil {
		k.leave(d, nil)
		return nil
	}
	k.leave(d, made)
	return made
}

// weigh counts a value against maxWeight.
func (k *linker) weigh(pos idl.Pos, n int) bool {
	if k.weight > maxWeight {
		return false // reported already
	}
	if k.weight += n; k.weight > maxWeight {
		k.mistake(pos, "constants and defaults are too large together")
		return false
	}
	return true
}

// value returns v as a value of type t. ok is false after a mistake.
func (k *linker) value(v *idl.ConstValue, t *Type) (out Value, ok bool) {
	if v.Kind == idl.Name {
		return k.reference(v, t) // weighs what it leads to
	}
	if !k.weigh(v.Pos, 1+len(v.Text)/64) {
		return nil, false
	}
	switch v.Kind {
	case idl.List:
		return k.listValue(v, t)
	case idl.Map:
		switch {
		case t.Kind == Map:
			return k.mapValue(v, t)
		case t.Kind == Struct:
			return k.structValue(v, t.Struct)
		case t.Kind == Set && len(v.Entries) == 0:
			return []Value{}, true // ThriftPy's empty set
		}
	default:
		out, problem := scalar(v, t)
		if problem != "" {
			k.mistake(v.Pos, "%s", problem)
		}
		return out, problem == ""
	}
	return nil, k.mismatch(v, t)
}

// mismatch reports a value of the wrong sort. It returns false.
func (k *linker) mismatch(v *idl.ConstValue, t *Type) bool {
	k.mistake(v.Pos, "%s", mismatched(v, t))
	return false
}

func mismatched(v *idl.ConstValue, t *Type) string {
	return fmt.Sprintf("expected a value of type %s, found %s", t, [...]string{
		idl.Int: "an integer", idl.Double: "a double", idl.Bool: "a bool", idl.Literal: "a string", idl.Name: "a name",
		idl.List: "a list", idl.Map: "a map",
	}[v.Kind])
}

// scalar converts a number, bool or string as written; problem says why it cannot.
func scalar(v *idl.ConstValue, t *Type) (out Value, problem string) {
	switch {
	case v.Kind == idl.Int, v.Kind == idl.Bool && t.Kind >= Bool && t.Kind <= I64:
		out, problem = fromInt(v.Int, t)
	case v.Kind == idl.Double && t.Kind == Double:
		out = v.Double
	case v.Kind == idl.Literal:
		out, problem = fromString(v.Text, t)
	}
	if out == nil && problem == "" {
		problem = mismatched(v, t)
	}
	return out, problem
}

// fromInt converts an integer; nil without a problem means that t takes none.
func fromInt(n int64, t *Type) (out Value, problem string) {
	bits := [Map + 1]int{I8: 8, I16: 16, I32: 32, I64: 64}[t.Kind]
	switch {
	case t.Kind == Bool:
		return n != 0, ""
	case t.Kind == Double:
		return float64(n), ""
	case t.Kind == Enum:
		if n < math.MinInt32 || n > math.MaxInt32 || t.Enum.NameOf(int32(n)) == "" {
			return nil, fmt.Sprintf("enum %s has no value %d", t.Enum.Name, n)
		}
		return int32(n), ""
	case bits == 0:
		return nil, ""
	case bits < 64 && (n < -1<<(bits-1) || n >= 1<<(bits-1)):
		return nil, fmt.Sprintf("%d does not fit %s", n, t)
	}
	return n, ""
}

// fromString converts a string; nil without a problem means that t takes none.
func fromString(s string, t *Type) (out Value, problem string) {
	switch t.Kind {
	case String:
		return s, ""
	case Binary:
		return []byte(s), ""
	case UUID:
		if id, ok := parseUUID(s); ok {
			return id, ""
		}
		return nil, "a uuid is written as 01234567-89ab-cdef-0123-456789abcdef"
	}
	return nil, ""
}

// parseUUID reads the 36 characters, with or without {}.
func parseUUID(s string) (id [16]byte, ok bool) {
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
		s = s[1 : len(s)-1]
	}
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	n, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:]))
	return id, err == nil && n == len(id)
}

func (k *linker) listValue(v *idl.ConstValue, t *Type) (Value, bool) {
	if t.Kind != List && t.Kind != Set {
		return nil, k.mismatch(v, t)
	}
	list, ok := make([]Value, 0, len(v.List)), true
	seen := map[string]bool{}
	for _, x := range v.List {
		item, fine := k.value(x, t.Elem)
		if !fine {
			ok = false
			continue
		}
		if t.Kind == Set {
			key := string(appendValue(nil, item))
			if seen[key] {
				k.warn(x.Pos, "the set has this value already")
				continue
			}
			seen[key] = true
		}
		list = append(list, item)
	}
	return list, ok
}

// mapValue types a map. Of a key that stands twice the last value is taken, as in ThriftPy.
func (k *linker) mapValue(v *idl.ConstValue, t *Type) (Value, bool) {
	entries, ok := make(MapValue, 0, len(v.Entries)), true
	at := map[string]int{}
	for _, e := range v.Entries {
		key, fine := k.value(e.Key, t.Key)
		value, also := k.value(e.Value, t.Elem)
		if !fine || !also {
			ok = false
			continue
		}
		text := string(appendValue(nil, key))
		if i, twice := at[text]; twice {
			k.warn(e.Key.Pos, "the map has this key already; the last value is taken")
			entries[i].Value = value
			continue
		}
		at[text] = len(entries)
		entries = append(entries, MapEntry{key, value})
	}
	return entries, ok
}

// structValue types {"field": value, …}. Fields that are not named stay unset: their defaults are their reader's business.
func (k *linker) structValue(v *idl.ConstValue, s *StructType) (Value, bool) {
	out, ok := &StructValue{Type: s, Fields: make([]Value, len(s.Fields))}, k.weigh(v.Pos, len(s.Fields))
	if !ok {
		return nil, false
	}
	set := 0
	for _, e := range v.Entries {
		name, fine := k.value(e.Key, baseTypes["string"])
		if !fine {
			ok = false
			continue
		}
		f := s.FieldByName(name.(string))
		if f == nil {
			k.mistake(e.Key.Pos, "%s has no field %q%s", s.Name, name, idl.DidYouMean(idl.Nearest(name.(string), fieldNames(s))))
			ok = false
			continue
		}
		if out.Fields[f.Index] != nil {
			k.mistake(e.Key.Pos, "field %q stands twice", f.Name)
			ok = false
		}
		if out.Fields[f.Index], fine = k.value(e.Value, f.Type); !fine {
			ok = false
		}
		set++
	}
	if s.Kind == Union && set > 1 {
		k.mistake(v.Pos, "a value of union %s has one field, not %d", s.Name, set)
		ok = false
	}
	return out, k.complete(v, out) && ok
}

// complete reports required fields that are neither set nor have a default.
func (k *linker) complete(v *idl.ConstValue, out *StructValue) bool {
	for i, f := range out.Type.Fields {
		if f.Required == Required && !f.hasDefault && out.Fields[i] == nil && out.Type.Kind != Union {
			k.mistake(v.Pos, "required field %q of %s is not set", f.Name, out.Type.Name)
			return false
		}
	}
	return true
}

func fieldNames(s *StructType) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, f := range s.Fields {
			if !yield(f.Name) {
				return
			}
		}
	}
}

// reference types the name of a constant or of an enum's value.
func (k *linker) reference(v *idl.ConstValue, t *Type) (Value, bool) {
	made, found := k.resolve(v.Text, v.Pos)
	if c, ok := made.(*Const); ok {
		return k.constValue(v, c, t)
	}
	if found {
		if made != nil {
			k.mistake(v.Pos, "%q is a type or service, not a constant", v.Text)
		}
		return nil, false
	}
	if i := strings.LastIndexByte(v.Text, '.'); i >= 0 {
		if e := k.enumNamed(v.Text[:i], v.Pos); e != nil {
			return k.enumValue(v, e, v.Text[i+1:], t)
		}
	}
	if t.Kind == Enum {
		if _, member := t.Enum.ByName(v.Text); member {
			k.mistake(v.Pos, "no constant named %q; did you mean \"%s.%s\"?", v.Text, t.Enum.Name, v.Text)
			return nil, false
		}
	}
	k.unknown(v.Pos, "constant", v.Text, isConst, "true", "false")
	return nil, false
}

func (k *linker) enumNamed(name string, pos idl.Pos) *EnumType {
	made, _ := k.resolve(name, pos)
	switch x := made.(type) {
	case *EnumType:
		return x
	case *Typedef:
		return x.Type.Enum
	}
	return nil
}

func (k *linker) enumValue(v *idl.ConstValue, e *EnumType, name string, t *Type) (Value, bool) {
	n, ok := e.ByName(name)
	if !ok {
		near := idl.Nearest(name, func(yield func(string) bool) {
			for _, x := range e.Values {
				if !yield(x.Name) {
					return
				}
			}
		})
		k.mistake(v.Pos, "enum %s has no value %q%s", e.Name, name, idl.DidYouMean(near))
		return nil, false
	}
	return k.converted(v, n, e.typ, t)
}

// constValue returns the value of a constant as a value of type t.
func (k *linker) constValue(v *idl.ConstValue, c *Const, t *Type) (Value, bool) {
	if !k.weigh(v.Pos, c.weight) {
		return nil, false
	}
	return k.converted(v, c.Value, c.Type, t)
}

// converted returns a typed value as one of type t: the same where the types are, a number or string where it fits.
func (k *linker) converted(v *idl.ConstValue, from Value, has, t *Type) (out Value, ok bool) {
	problem := ""
	switch x := from.(type) {
	case bool:
		if t.Kind >= Bool && t.Kind <= I64 {
			n := int64(0)
			if x {
				n = 1
			}
			out, problem = fromInt(n, t)
		}
	case int64:
		out, problem = fromInt(x, t)
	case int32:
		if t.Kind != Enum || t.Enum == has.Enum {
			out, problem = fromInt(int64(x), t)
		}
	case string:
		out, problem = fromString(x, t)
	case []byte:
		out, problem = fromString(string(x), t)
	default:
		if sameType(has, t) {
			out = x
		}
	}
	if out == nil && problem == "" {
		problem = fmt.Sprintf("expected a value of type %s, found %s of type %s", t, v.Text, has)
	}
	if problem != "" {
		k.mistake(v.Pos, "%s", problem)
	}
	return out, problem == ""
}

// sameType says whether two types have the same values, whatever they are called.
func sameType(a, b *Type) bool {
	if a.Kind != b.Kind || a.Struct != b.Struct || a.Enum != b.Enum {
		return false
	}
	return (a.Key == nil || sameType(a.Key, b.Key)) && (a.Elem == nil || sameType(a.Elem, b.Elem))
}
