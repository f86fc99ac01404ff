package codec

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// AppendJSON appends v, which is of type t, as JSON without white space. The error is an *Error.
//
// Unset fields are left out; enums are their names, or a number that has none; binary is standard base64; a uuid is its text; i64 is a
// number; NaN, Infinity and -Infinity are strings; bytes of a string that are not UTF-8 become U+FFFD. A map with keys of a base type is
// an object with the keys as text, another map (structs, containers, binary) is [[key, value], …]. nil, the result of a void method, is
// null.
func AppendJSON(dst []byte, t *schema.Type, v schema.Value) ([]byte, error) {
	if v == nil && t.Kind == schema.Void {
		return append(dst, "null"...), nil
	}
	out, err := appendJSON(dst, t, v, wire.DefaultDepth)
	if err != nil {
		return dst, under(rootName(t), err)
	}
	return out, nil
}

func appendJSON(dst []byte, t *schema.Type, v schema.Value, depth int) ([]byte, error) {
	switch x := v.(type) {
	case bool:
		if t.Kind == schema.Bool {
			return strconv.AppendBool(dst, x), nil
		}
	case int64:
		if _, _, ok := intRange(t.Kind); ok && t.Kind != schema.Enum {
			return strconv.AppendInt(dst, x, 10), nil
		}
	case int32:
		if t.Kind == schema.Enum {
			return appendEnum(dst, t.Enum, x), nil
		}
	case float64:
		if t.Kind == schema.Double {
			return appendDouble(dst, x), nil
		}
	case string:
		if t.Kind == schema.String {
			return appendQuoted(dst, x), nil
		}
	case []byte:
		if t.Kind == schema.Binary {
			return append(base64.StdEncoding.AppendEncode(append(dst, '"'), x), '"'), nil
		}
	case [16]byte:
		if t.Kind == schema.UUID {
			return append(appendUUID(append(dst, '"'), x), '"'), nil
		}
	default:
		return appendNestedJSON(dst, t, v, depth)
	}
	return dst, wrongValue(t, v)
}

func appendNestedJSON(dst []byte, t *schema.Type, v schema.Value, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, &Error{Text: "nested too deep"}
	}
	switch x := v.(type) {
	case *schema.StructValue:
		if t.Kind == schema.Struct && x != nil && x.Type == t.Struct {
			return appendObject(dst, x, depth-1)
		}
	case []schema.Value:
		if t.Kind == schema.List || t.Kind == schema.Set {
			return appendArray(dst, t, x, depth-1)
		}
	case schema.MapValue:
		switch {
		case t.Kind != schema.Map:
		case keyIsText(t.Key):
			return appendTextMap(dst, t, x, depth-1)
		default:
			return appendPairMap(dst, t, x, depth-1)
		}
	}
	return dst, wrongValue(t, v)
}

func appendObject(dst []byte, v *schema.StructValue, depth int) (_ []byte, err error) {
	dst = append(dst, '{')
	first := true
	for i, f := range v.Type.Fields {
		if v.Fields[i] == nil {
			continue
		}
		dst = appendComma(dst, first)
		first = false
		dst = append(appendQuoted(dst, f.Name), ':')
		if dst, err = appendJSON(dst, f.Type, v.Fields[i], depth); err != nil {
			return dst, under("."+f.Name, err)
		}
	}
	return append(dst, '}'), nil
}

func appendArray(dst []byte, t *schema.Type, v []schema.Value, depth int) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, x := range v {
		dst = appendComma(dst, i == 0)
		if dst, err = appendJSON(dst, t.Elem, x, depth); err != nil {
			return dst, under(index(i), err)
		}
	}
	return append(dst, ']'), nil
}

// keyIsText reports whether maps with such keys are JSON objects.
func keyIsText(key *schema.Type) bool {
	switch key.Kind {
	case schema.Binary, schema.Struct, schema.List, schema.Set, schema.Map:
		return false
	}
	return true
}

func appendTextMap(dst []byte, t *schema.Type, v schema.MapValue, depth int) (_ []byte, err error) {
	dst = append(dst, '{')
	for i, e := range v {
		dst = appendComma(dst, i == 0)
		at := len(dst)
		if dst, err = appendJSON(append(dst, '"'), t.Key, e.Key, depth); err != nil {
			return dst, under(mapKey, err)
		}
		if dst[at+1] == '"' { // a string as it is
			dst = append(dst[:at], dst[at+1:]...)
		} else {
			dst = append(dst, '"')
		}
		if dst, err = appendJSON(append(dst, ':'), t.Elem, e.Value, depth); err != nil {
			return dst, under(mapValue, err)
		}
	}
	return append(dst, '}'), nil
}

func appendPairMap(dst []byte, t *schema.Type, v schema.MapValue, depth int) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, e := range v {
		dst = append(appendComma(dst, i == 0), '[')
		if dst, err = appendJSON(dst, t.Key, e.Key, depth); err != nil {
			return dst, under(mapKey, err)
		}
		if dst, err = appendJSON(append(dst, ','), t.Elem, e.Value, depth); err != nil {
			return dst, under(mapValue, err)
		}
		dst = append(dst, ']')
	}
	return append(dst, ']'), nil
}

func appendComma(dst []byte, first bool) []byte {
	if first {
		return dst
	}
	return append(dst, ',')
}

func appendEnum(dst []byte, e *schema.EnumType, v int32) []byte {
	if name := e.NameOf(v); name != "" {
		return appendQuoted(dst, name)
	}
	return strconv.AppendInt(dst, int64(v), 10)
}

func appendDouble(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) { // as JavaScript and encoding/json write numbers
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, 64)
}

// appendUUID appends 8-4-4-4-12 hex digits.
func appendUUID(dst []byte, v [16]byte) []byte {
	for i, b := range v {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, []byte{b})
	}
	return dst
}

// appendQuoted appends s as a JSON string. Only what JSON demands is escaped.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0 // of what was not copied yet
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = appendEscape(append(dst, s[from:i]...), c)
		i += size
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if c >= utf8.RuneSelf {
		return append(dst, "\ufffd"...)
	}
	return fmt.Appendf(dst, `\u%04x`, c)
}
