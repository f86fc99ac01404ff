package codec

import (
	"cmp"
	"errors"
	"slices"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// maxDefault bounds one default with the defaults inside it, which can double at each step: its values, and the bytes of its strings.
const maxDefault = 64 << 10

type formCompiler struct {
	structs  map[*schema.StructType]*formStruct
	mistakes Errors
}

func (c *formCompiler) mistake(path, text string) {
	c.mistakes = append(c.mistakes, &Error{Path: path, Text: text})
}

// byID returns the fields of st by ascending id.
func byID(st *schema.StructType) []*schema.Field {
	return slices.SortedFunc(slices.Values(st.Fields), func(a, b *schema.Field) int { return cmp.Compare(a.ID, b.ID) })
}

func (c *formCompiler) form(t *schema.Type) *form {
	f := &form{kind: t.Kind, wire: t.Wire()}
	switch t.Kind {
	case schema.List, schema.Set:
		f.elem = c.form(t.Elem)
	case schema.Map:
		f.key, f.elem = c.form(t.Key), c.form(t.Elem)
	case schema.Struct:
		f.fields = c.structForm(t.Struct)
	}
	return f
}

func (c *formCompiler) structForm(st *schema.StructType) *formStruct {
	if s := c.structs[st]; s != nil {
		return s
	}
	s := &formStruct{closed: true, ids: true}
	c.structs[st] = s
	for i, f := range byID(st) {
		s.fields = append(s.fields, formField{key: i, id: f.ID, wire: f.Type.Wire(), name: f.Name, form: c.form(f.Type)})
	}
	return s
}

// place has the end of path, which begins in s, written as the one with that key. It returns false where it is written already.
func (c *formCompiler) place(s *formStruct, path []*schema.Field, key int) bool {
	f := path[0]
	i := s.find(f.ID)
	if i < 0 {
		s.fields = append(s.fields, formField{id: f.ID, wire: f.Type.Wire(), name: f.Name})
		slices.SortFunc(s.fields, func(a, b formField) int { return cmp.Compare(a.id, b.id) })
		i = s.find(f.ID)
	}
	at := &s.fields[i]
	if len(path) > 1 {
		if at.way == nil {
			at.way = &formStruct{}
		}
		return c.place(at.way, path[1:], key)
	}
	if at.form != nil {
		return false
	}
	at.key, at.form = key, c.form(f.Type)
	return true
}

// absences sets what is written for each field of s that does not come, s being of st.
func (c *formCompiler) absences(s *formStruct, st *schema.StructType) {
	for i := range s.fields {
		at := &s.fields[i]
		f := st.Field(at.id)
		v, err := wholeDefault(st, f)
		if err == nil {
			at.absent, err = instead(s, at, f, v)
		}
		if err != nil {
			c.mistake(st.Name+"."+f.Name, "its default has no canonical form: "+err.Error())
		}
		if at.way != nil {
			c.absences(at.way, f.Type.Struct)
		}
	}
}

// instead returns what is written for a field that has the value v without being there; nil: it has none.
func instead(s *formStruct, at *formField, f *schema.Field, v schema.Value) (out []piece, err error) {
	switch {
	case at.form != nil && v != nil:
		b, err := appendForm(s.appendHead(nil, at), at.form, f.Type, v)
		if err != nil {
			return nil, err
		}
		out = append(out, piece{at.key, b})
	case at.form != nil && !s.ids:
		out = append(out, piece{at.key, []byte{0}})
	}
	if at.way == nil {
		return out, nil
	}
	for i := range at.way.fields {
		inner := &at.way.fields[i]
		g := f.Type.Struct.Field(inner.id)
		var x schema.Value
		if v != nil {
			x = v.(*schema.StructValue).Fields[g.Index]
		}
		more, err := instead(at.way, inner, g, x)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// appendForm appends v, which has all the defaults that it is to have.
func appendForm(dst []byte, f *form, t *schema.Type, v schema.Value) ([]byte, error) {
	body, err := AppendValue(nil, wire.Binary, t, v)
	if err != nil {
		return nil, err
	}
	var w formWriter
	w.begin(dst, wire.Binary, body, wire.Limits{}.WithDefaults())
	w.asIs = true
	if err := w.value(f); err != nil {
		return nil, err
	}
	return w.dst, nil
}

// hasDefault reports whether f, a field of st, has its default where it does not come.
func hasDefault(st *schema.StructType, f *schema.Field) bool {
	return f.Default != nil && f.Required == schema.Unspecified && st.Kind != schema.Union
}

// wholeDefault returns what f, a field of st, has where it does not come: nil for nothing, else with the defaults of the structs inside it.
func wholeDefault(st *schema.StructType, f *schema.Field) (schema.Value, error) {
	if !hasDefault(st, f) {
		return nil, nil
	}
	e := expander{within: []*schema.Field{f}, left: maxDefault}
	v := e.expand(f.Default)
	if e.left < 0 {
		return nil, errDefaultTooLarge
	}
	return v, nil
}

var errDefaultTooLarge = errors.New("it is too large, with the defaults inside it")

// expander copies defaults, and gives the structs in them the defaults of their own fields.
type expander struct {
	within []*schema.Field // whose defaults are being expanded: inside them they are left out, which ends what would be endless
	left   int             // what is left of maxDefault; below zero nothing more is expanded
}

func (e *expander) expand(v schema.Value) schema.Value {
	if e.left--; e.left < 0 {
		return v
	}
	switch x := v.(type) {
	case string:
		e.left -= len(x)
	case []byte:
		e.left -= len(x)
	case []schema.Value:
		c := make([]schema.Value, len(x))
		for i, item := range x {
			c[i] = e.expand(item)
		}
		return c
	case schema.MapValue:
		c := make(schema.MapValue, len(x))
		for i, entry := range x {
			c[i] = schema.MapEntry{Key: e.expand(entry.Key), Value: e.expand(entry.Value)}
		}
		return c
	case *schema.StructValue:
		return e.structValue(x)
	}
	return v
}

func (e *expander) structValue(v *schema.StructValue) *schema.StructValue {
	c := &schema.StructValue{Type: v.Type, Fields: make([]schema.Value, len(v.Fields))}
	for i, f := range v.Type.Fields {
		switch {
		case v.Fields[i] != nil:
			c.Fields[i] = e.expand(v.Fields[i])
		case hasDefault(v.Type, f) && !slices.Contains(e.within, f):
			e.within = append(e.within, f)
			c.Fields[i] = e.expand(f.Default)
			e.within = e.within[:len(e.within)-1]
		}
	}
	return c
}
