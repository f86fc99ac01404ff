package codec

import (
	"encoding/json"
	"strconv"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

func (p *parser) textMap(t *schema.Type) schema.Value {
	v, keys := schema.MapValue{}, keySet{}
	p.each('}', func(_ int, tok json.Token) {
		text := tok.(string)
		p.at("["+strconv.Quote(text)+"]", func() {
			key := keyOf(t.Key, text)
			switch {
			case key == nil:
				p.fail("expected a key of type %s, found %q", t.Key, text)
			case !keys.add(t.Key, key):
				p.fail("repeated key")
			}
			if tok, ok := p.token(); ok {
				v = append(v, schema.MapEntry{Key: key, Value: p.value(t.Elem, tok)})
			}
		})
	})
	return v
}

// keyOf returns the key that a text stands for, nil if it stands for none.
func keyOf(t *schema.Type, text string) schema.Value {
	switch t.Kind {
	case schema.Bool:
		if text == "true" || text == "false" {
			return text == "true"
		}
		return nil
	case schema.String, schema.UUID:
		return scalar(t, text)
	}
	if v := scalar(t, text); v != nil { // names of an enum, NaN and the infinities
		return v
	}
	if !json.Valid([]byte(text)) {
		return nil
	}
	return scalar(t, json.Number(text))
}

func (p *parser) pairMap(t *schema.Type) schema.Value {
	v, keys := schema.MapValue{}, keySet{}
	p.each(']', func(i int, tok json.Token) {
		p.at(index(i), func() {
			if tok != json.Delim('[') {
				p.wrong("an array of key and value", tok)
				return
			}
			var e schema.MapEntry
			n := 0
			p.each(']', func(i int, tok json.Token) {
				n++
				p.at(index(i), func() { p.side(t, &e, i, tok) })
			})
			switch {
			case n != 2:
				p.fail("expected an array of key and value, found %d values", n)
			case e.Key != nil && !keys.add(t.Key, e.Key):
				p.fail("repeated key")
			}
			v = append(v, e)
		})
	})
	return v
}

func (p *parser) side(t *schema.Type, e *schema.MapEntry, i int, tok json.Token) {
	switch i {
	case 0:
		e.Key = p.value(t.Key, tok)
	case 1:
		e.Value = p.value(t.Elem, tok)
	default:
		p.skip(tok)
	}
}

// keySet holds the keys of a map by their bytes on the wire, which are the same for equal keys.
type keySet map[string]bool

// add reports whether key is new. A key that cannot be encoded holds a mistake that was reported; it counts as new.
func (s keySet) add(t *schema.Type, key schema.Value) bool {
	b, err := AppendValue(nil, wire.Binary, t, key)
	if err != nil {
		return true
	}
	was := s[string(b)]
	s[string(b)] = true
	return !was
}
