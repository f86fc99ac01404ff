package codec

import (
	"slices"

	"github.com/thriftloom/thriftloom/schema"
)

// ApplyDefaults sets each unset field of v, and of the structs inside it, that has a default in the IDL: what ThriftPy's constructors do.
// A union gets none, and the structs inside a default have what the IDL gives them there (a struct may stand in its own default). v and its containers are changed in place; what it gets is its own copy of the schema's values.
func ApplyDefaults(v schema.Value) {
	switch x := v.(type) {
	case *schema.StructValue:
		for i, f := range x.Type.Fields {
			switch {
			case x.Fields[i] != nil:
				ApplyDefaults(x.Fields[i])
			case f.Default != nil && x.Type.Kind != schema.Union:
				x.Fields[i] = clone(f.Default)
			}
		}
	case []schema.Value:
		for _, e := range x {
			ApplyDefaults(e)
		}
	case schema.MapValue:
		for _, e := range x {
			ApplyDefaults(e.Key)
			ApplyDefaults(e.Value)
		}
	}
}

// clone copies v deeply: constants of the schema are shared by everybody and never handed out.
func clone(v schema.Value) schema.Value {
	switch x := v.(type) {
	case []byte:
		return slices.Clone(x)
	case []schema.Value:
		c := make([]schema.Value, len(x))
		for i, e := range x {
			c[i] = clone(e)
		}
		return c
	case schema.MapValue:
		c := make(schema.MapValue, len(x))
		for i, e := range x {
			c[i] = schema.MapEntry{Key: clone(e.Key), Value: clone(e.Value)}
		}
		return c
	case *schema.StructValue:
		c := &schema.StructValue{Type: x.Type, Fields: make([]schema.Value, len(x.Fields))}
		for i, e := range x.Fields {
			c.Fields[i] = clone(e)
		}
		return c
	}
	return v
}
