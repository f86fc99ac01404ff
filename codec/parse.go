package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// ParseJSON reads one value of type t in the form that AppendJSON writes. The error is an Errors with every mistake at once, each with its
// JSON path.
//
// It is strict: unknown and repeated keys, numbers that do not fit exactly, a missing required field, a union that has not exactly one
// field, and data behind the value are mistakes. Enums are names or numbers. null, and leaving a field out, mean unset; but fields of a
// method's arguments (schema.Args) and of the structs in them that are left out get their default, as ThriftPy's client does.
func ParseJSON(t *schema.Type, data []byte) (schema.Value, error) {
	p := parser{dec: json.NewDecoder(bytes.NewReader(data)), path: []string{"$"}}
	p.dec.UseNumber()
	var v schema.Value
	if !utf8.Valid(data) {
		p.fail("the input is not UTF-8")
	} else if tok, ok := p.token(); ok {
		v = p.value(t, tok)
	}
	if !p.broken && len(p.errs) == 0 {
		if _, err := p.dec.Token(); err != io.EOF {
			p.fail("more data behind the value (byte %d)", p.dec.InputOffset())
		}
	}
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	if t.Kind == schema.Struct && t.Struct.Kind == schema.Args {
		ApplyDefaults(v)
	}
	return v, nil
}

// parser reads JSON token by token. After a syntax error it is broken, and everything returns at once; after any other mistake it goes on
// to find the next.
type parser struct {
	dec    *json.Decoder
	path   []string
	errs   Errors
	broken bool
}

// maxMistakes bounds how many mistakes one input is told.
const maxMistakes = 100

func (p *parser) fail(format string, args ...any) {
	if len(p.errs) < maxMistakes {
		p.errs = append(p.errs, &Error{Path: strings.Join(p.path, ""), Text: fmt.Sprintf(format, args...)})
	}
}

// at runs f one step deeper in the path.
func (p *parser) at(step string, f func()) {
	p.path = append(p.path, step)
	f()
	p.path = p.path[:len(p.path)-1]
}

func (p *parser) token() (json.Token, bool) {
	if p.broken {
		return nil, false
	}
	tok, err := p.dec.Token()
	if err == nil {
		return tok, true
	}
	p.broken = true
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		p.fail("the JSON ends too early")
	} else {
		p.fail("not JSON: %s (byte %d)", err, p.dec.InputOffset())
	}
	return nil, false
}

// each calls f with the first token of each element of the array or object that was opened, until it is closed. In an object that is each
// key.
func (p *parser) each(end json.Delim, f func(i int, tok json.Token)) {
	for i := 0; ; i++ {
		tok, ok := p.token()
		if !ok || tok == end {
			return
		}
		f(i, tok)
	}
}

// skip reads to the end of the value that begins with tok.
func (p *parser) skip(tok json.Token) {
	for depth := 0; ; {
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return
		}
		var ok bool
		if tok, ok = p.token(); !ok {
			return
		}
	}
}

// wrong reports tok, which is no t, and skips its value.
func (p *parser) wrong(t string, tok json.Token) schema.Value {
	p.fail("expected %s, found %s", t, describe(tok))
	p.skip(tok)
	return nil
}

func describe(tok json.Token) string {
	switch x := tok.(type) {
	case nil:
		return "null"
	case string:
		if len(x) > 40 {
			x = strings.ToValidUTF8(x[:40], "") + "…"
		}
		return "string " + strconv.Quote(x)
	case json.Number:
		if len(x) > 40 {
			x = x[:40] + "…"
		}
		return "number " + string(x)
	case bool:
		return strconv.FormatBool(x)
	case json.Delim:
		if x == '[' {
			return "an array"
		}
	}
	return "an object"
}

// value reads the value that begins with tok. It returns nil after a mistake.
func (p *parser) value(t *schema.Type, tok json.Token) schema.Value {
	switch t.Kind {
	case schema.Void:
		if tok == nil {
			return nil
		}
	case schema.Struct, schema.List, schema.Set, schema.Map:
		return p.nested(t, tok)
	default:
		if v := scalar(t, tok); v != nil {
			return v
		}
		if n, ok := tok.(json.Number); ok {
			if lo, hi, ok := intRange(t.Kind); ok && !strings.ContainsAny(string(n), ".eE") {
				p.fail("%s is out of range for %s (%d to %d)", n, t, lo, hi)
				return nil
			}
		}
		if name, ok := tok.(string); ok && t.Kind == schema.Enum {
			p.fail("no value %q in enum %s%s", name, t, DidYouMean(name, enumNames(t.Enum)))
			return nil
		}
	}
	return p.wrong(expected(t), tok)
}

// expected names t for people who write JSON.
func expected(t *schema.Type) string {
	switch t.Kind {
	case schema.Binary:
		return "binary (base64)"
	case schema.UUID:
		return "uuid (8-4-4-4-12 hex digits)"
	case schema.Enum:
		return "a name of enum " + t.String()
	case schema.Struct:
		return "an object (" + t.String() + ")"
	case schema.List, schema.Set:
		return "an array (" + t.String() + ")"
	case schema.Map:
		if keyIsText(t.Key) {
			return "an object (" + t.String() + ")"
		}
		return "an array of [key, value] (" + t.String() + ")"
	}
	return t.String()
}

func enumNames(e *schema.EnumType) []string {
	names := make([]string, len(e.Values))
	for i, v := range e.Values {
		names[i] = v.Name
	}
	return names
}

func (p *parser) nested(t *schema.Type, tok json.Token) schema.Value {
	open := json.Delim('[')
	if t.Kind == schema.Struct || t.Kind == schema.Map && keyIsText(t.Key) {
		open = '{'
	}
	if tok != open {
		return p.wrong(expected(t), tok)
	}
	if len(p.path) > wire.DefaultDepth {
		p.fail("nested too deep")
		p.skip(tok)
		return nil
	}
	switch {
	case t.Kind == schema.Struct:
		return p.object(t.Struct)
	case t.Kind != schema.Map:
		return p.array(t)
	case open == '{':
		return p.textMap(t)
	}
	return p.pairMap(t)
}

func (p *parser) array(t *schema.Type) schema.Value {
	v := []schema.Value{}
	p.each(']', func(i int, tok json.Token) {
		p.at(index(i), func() { v = append(v, p.value(t.Elem, tok)) })
	})
	return v
}

func (p *parser) object(t *schema.StructType) schema.Value {
	v := &schema.StructValue{Type: t, Fields: make([]schema.Value, len(t.Fields))}
	seen := make([]presence, len(t.Fields))
	p.each('}', func(_ int, key json.Token) {
		p.at(member(key.(string)), func() { p.field(v, seen, key.(string)) })
	})
	if !p.broken {
		p.checkFields(v, seen)
	}
	return v
}

// presence is what an object says of a field.
type presence uint8

const (
	absent presence = iota
	null
	given
)

// member is a key as a step of a path.
func member(key string) string {
	for i, c := range key {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return "[" + strconv.Quote(key) + "]"
		}
	}
	return "." + key
}

func (p *parser) field(v *schema.StructValue, seen []presence, key string) {
	tok, ok := p.token()
	if !ok {
		return
	}
	f := v.Type.FieldByName(key)
	if f == nil {
		p.unknown(v.Type, key)
		p.skip(tok)
		return
	}
	switch {
	case seen[f.Index] != absent:
		p.fail("repeated key")
		p.skip(tok)
	case tok == nil:
		seen[f.Index] = null
	default:
		seen[f.Index] = given
		v.Fields[f.Index] = p.value(f.Type, tok)
	}
}

func (p *parser) unknown(t *schema.StructType, key string) {
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	what, where := "field", t.Name
	if t.Kind == schema.Args {
		what, where = "argument", strings.TrimSuffix(t.Name, "_args")
	}
	p.fail("no %s %q in %s%s", what, key, where, DidYouMean(key, names))
}

// checkFields sees to required fields, and to the one field of a union. A field that was there and wrong has been reported.
func (p *parser) checkFields(v *schema.StructValue, seen []presence) {
	var set []string
	for i, f := range v.Type.Fields {
		switch {
		case seen[i] == given:
			set = append(set, f.Name)
		case f.Required != schema.Required:
		case f.Default != nil:
			v.Fields[i] = clone(f.Default)
		default:
			p.fail("required field %q of %s is missing", f.Name, v.Type.Name)
		}
	}
	if v.Type.Kind == schema.Union && len(set) != 1 {
		p.fail("union %s takes exactly one field, found %s", v.Type.Name, listed(set))
	}
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d (%s)", len(names), strings.Join(names, ", "))
}
