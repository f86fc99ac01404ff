package codec

import (
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// Required finds required fields that a body does not have. Thrift's own readers differ in this: ThriftPy never asks, Apache's generated
// code refuses the message. A required field with a default is never missing: who reads the struct gives it the default.
//
// It is compiled once from a schema type, immutable, and safe for concurrent use.
type Required struct {
	root  *schema.StructType
	needs map[*schema.StructType]*need // of structs in which something is required, however deep
}

// need is what a walk looks for in one struct.
type need struct {
	demanded []*schema.Field
	inside   map[int16]*schema.Field // whose values have to be looked into
}

// CompileRequired returns what finds missing fields in a struct of type t; nil where nothing in it is required.
func CompileRequired(t *schema.StructType) *Required {
	r := &Required{root: t, needs: map[*schema.StructType]*need{}}
	all := map[*schema.StructType]bool{}
	reach(t, all)
	for changed := true; changed; {
		changed = false
		for st := range all {
			if n := r.needOf(st); n != nil && r.needs[st] == nil {
				r.needs[st], changed = n, true
			}
		}
	}
	for st := range r.needs { // the last ones found may be inside the first
		r.needs[st] = r.needOf(st)
	}
	if r.needs[t] == nil {
		return nil
	}
	return r
}

// reach adds t and every struct inside it to all.
func reach(t *schema.StructType, all map[*schema.StructType]bool) {
	if all[t] {
		return
	}
	all[t] = true
	for _, f := range t.Fields {
		reachType(f.Type, all)
	}
}

func reachType(t *schema.Type, all map[*schema.StructType]bool) {
	switch t.Kind {
	case schema.Struct:
		reach(t.Struct, all)
	case schema.Map:
		reachType(t.Key, all)
		reachType(t.Elem, all)
	case schema.List, schema.Set:
		reachType(t.Elem, all)
	}
}

// needOf returns what is to be looked for in st, as far as it is known of the structs inside; nil for nothing.
func (r *Required) needOf(st *schema.StructType) *need {
	n := &need{inside: map[int16]*schema.Field{}}
	for _, f := range st.Fields {
		if f.Required == schema.Required && f.Default == nil && st.Kind != schema.Union {
			n.demanded = append(n.demanded, f)
		}
		if r.isInside(f.Type) {
			n.inside[f.ID] = f
		}
	}
	if len(n.demanded)+len(n.inside) == 0 {
		return nil
	}
	return n
}

// isInside reports whether something is required in a value of type t.
func (r *Required) isInside(t *schema.Type) bool {
	switch t.Kind {
	case schema.Struct:
		return r.needs[t.Struct] != nil
	case schema.Map:
		return r.isInside(t.Key) || r.isInside(t.Elem)
	case schema.List, schema.Set:
		return r.isInside(t.Elem)
	}
	return false
}

// Missing returns the path of the first required field that body, a whole struct in p, does not have: "createUser_args.user.email"; ""
// where it has all. No value is decoded. Of limits, Depth counts. The error is a *wire.Error.
func (r *Required) Missing(p wire.Protocol, body []byte, limits wire.Limits) (path string, err error) {
	if p != wire.Binary {
		if body, err = Translate(nil, p, wire.Binary, r.root, body, limits); err != nil {
			return "", err
		}
	}
	w := walk{Required: r, r: binary.Reader{Buf: body}}
	missing, err := w.structure(r.root, limits.WithDefaults().Depth)
	if missing == "" || err != nil {
		return "", err
	}
	return r.root.Name + missing, nil
}

// walk is one look through a body. Its methods return the path of a missing field, from where they began.
type walk struct {
	*Required
	r binary.Reader
}

func (w *walk) structure(st *schema.StructType, depth int) (missing string, err error) {
	if depth <= 0 {
		return "", wire.Errorf(wire.DepthLimit, w.r.Pos, "the value is nested too deep")
	}
	n := w.needs[st]
	var few [64]bool
	seen := few[:] // of demanded
	if len(n.demanded) > len(few) {
		seen = make([]bool, len(n.demanded))
	}
	for {
		t, id, err := w.r.Field()
		if err != nil {
			return "", err
		}
		if t == wire.Stop {
			break
		}
		for i, f := range n.demanded {
			seen[i] = seen[i] || f.ID == id && f.Type.Wire() == t
		}
		if f := n.inside[id]; f == nil || f.Type.Wire() != t {
			err = w.r.Skip(t, depth-1)
		} else if missing, err = w.value(f.Type, depth-1); missing != "" {
			missing = "." + f.Name + missing
		}
		if missing != "" || err != nil {
			return missing, err
		}
	}
	for i, f := range n.demanded {
		if !seen[i] {
			return "." + f.Name, nil
		}
	}
	return "", nil
}

// value looks through a value in which something may be required.
func (w *walk) value(t *schema.Type, depth int) (missing string, err error) {
	switch {
	case !w.isInside(t):
		return "", w.r.Skip(t.Wire(), depth)
	case t.Kind == schema.Struct:
		return w.structure(t.Struct, depth)
	case depth <= 0:
		return "", wire.Errorf(wire.DepthLimit, w.r.Pos, "the value is nested too deep")
	case t.Kind == schema.Map:
		return w.pairs(t, depth-1)
	}
	at := w.r.Pos
	elem, n, err := w.r.List()
	if err != nil {
		return "", err
	}
	if elem != t.Elem.Wire() { // read as an empty one
		w.r.Pos = at
		return "", w.r.Skip(wire.List, depth)
	}
	for i := range n {
		if missing, err = w.value(t.Elem, depth-1); err != nil {
			return "", err
		} else if missing != "" {
			return index(i) + missing, nil
		}
	}
	return "", nil
}

func (w *walk) pairs(t *schema.Type, depth int) (missing string, err error) {
	at := w.r.Pos
	key, value, n, err := w.r.Map()
	if err != nil {
		return "", err
	}
	if key != t.Key.Wire() || value != t.Elem.Wire() {
		w.r.Pos = at
		return "", w.r.Skip(wire.Map, depth+1)
	}
	for range n {
		for _, side := range []struct {
			step string
			t    *schema.Type
		}{{mapKey, t.Key}, {mapValue, t.Elem}} {
			if missing, err = w.value(side.t, depth); err != nil {
				return "", err
			} else if missing != "" {
				return side.step + missing, nil
			}
		}
	}
	return "", nil
}
