package codec

import (
	"bytes"
	"encoding/json"

	"github.com/thriftloom/thriftloom/schema"
)

// Example returns a value of type t as indented JSON, to be filled in: every field with its default or a zero, one element in each
// container, the first field of a union. A struct inside itself is left out. ParseJSON accepts the result.
func Example(t *schema.Type) []byte {
	m := maker{open: map[*schema.StructType]bool{}, left: maxExampleStructs}
	compact, err := AppendJSON(nil, t, m.value(t))
	if err != nil { // a struct that requires itself, of which there is no value, or one beyond all bounds
		return []byte("{}")
	}
	var out bytes.Buffer
	_ = json.Indent(&out, compact, "", "  ") // our own JSON is well formed
	return out.Bytes()
}

// maxExampleStructs bounds how many structs an example has: structs that hold several of another kind that holds several …
const maxExampleStructs = 4096

// maker makes one example.
type maker struct {
	open map[*schema.StructType]bool // being made
	left int                         // structs that may still be made
}

// value returns nil where there is no value without a struct inside itself.
func (m *maker) value(t *schema.Type) schema.Value {
	switch t.Kind {
	case schema.Bool:
		return false
	case schema.I8, schema.I16, schema.I32, schema.I64:
		return int64(0)
	case schema.Double:
		return 0.0
	case schema.String:
		return ""
	case schema.Binary:
		return []byte{}
	case schema.UUID:
		return [16]byte{}
	case schema.Enum:
		if len(t.Enum.Values) > 0 {
			return t.Enum.Values[0].Value
		}
		return int32(0)
	case schema.Struct:
		return m.structValue(t.Struct)
	case schema.List, schema.Set:
		if e := m.value(t.Elem); e != nil {
			return []schema.Value{e}
		}
		return []schema.Value{}
	case schema.Map:
		if k, e := m.value(t.Key), m.value(t.Elem); k != nil && e != nil {
			return schema.MapValue{{Key: k, Value: e}}
		}
		return schema.MapValue{}
	}
	return nil
}

func (m *maker) structValue(t *schema.StructType) schema.Value {
	if m.open[t] || m.left == 0 {
		return nil
	}
	m.left--
	m.open[t] = true
	defer delete(m.open, t)
	v := &schema.StructValue{Type: t, Fields: make([]schema.Value, len(t.Fields))}
	for i, f := range t.Fields {
		if v.Fields[i] = f.Default; f.Default == nil {
			v.Fields[i] = m.value(f.Type)
		}
		switch {
		case v.Fields[i] != nil && t.Kind == schema.Union:
			return v
		case v.Fields[i] == nil && f.Required == schema.Required:
			return nil
		}
	}
	if t.Kind == schema.Union {
		return nil
	}
	return v
}
