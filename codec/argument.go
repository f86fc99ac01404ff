package codec

import (
	"strings"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Argument is where an argument of a method stands, or a field in one. The zero value stands nowhere.
type Argument struct {
	args *schema.StructType
	path []*schema.Field // from args on
}

// FindArgument returns where an argument of a method stands: "id", or "user.id" for a field in one. ok is false where the method has none of
// that name, or is nil.
func FindArgument(m *schema.Method, name string) (a Argument, ok bool) {
	if m == nil {
		return Argument{}, false
	}
	a.args = m.Args
	in := m.Args
	for step := range strings.SplitSeq(name, ".") {
		if in == nil {
			return Argument{}, false
		}
		f := in.FieldByName(step)
		if f == nil {
			return Argument{}, false
		}
		a.path, in = append(a.path, f), f.Type.Struct
	}
	return a, true
}

// Stands reports whether a stands anywhere.
func (a Argument) Stands() bool { return a.args != nil }

// Type returns the type of what stands there; nil where nothing does.
func (a Argument) Type() *schema.Type {
	if len(a.path) == 0 {
		return nil
	}
	return a.path[len(a.path)-1].Type
}

// JSON returns the argument out of the body of a call, as JSON, which is the same whatever the protocol. ok is false where the call has none,
// or its body cannot be read.
func (a Argument) JSON(protocol wire.Protocol, body []byte) (text []byte, ok bool) {
	limits := wire.Limits{MessageBytes: 2 * max(len(body), wire.DefaultMessageBytes)}
	in, _, err := DecodeStruct(protocol, a.args, body, limits)
	if err != nil {
		return nil, false
	}
	for i, f := range a.path {
		v := in.Fields[f.Index]
		if v == nil {
			return nil, false
		}
		if i == len(a.path)-1 {
			text, err := AppendJSON(nil, f.Type, v)
			return text, err == nil
		}
		in = v.(*schema.StructValue)
	}
	return nil, false
}
