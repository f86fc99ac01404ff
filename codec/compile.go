package codec

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Compile makes the plan that reads and writes rt, or a pointer to a struct, as t. Where they do not fit the plan is nil and every
// mismatch is returned at once. It never looks at values and is slow: compile once.
//
// What fits, by kind, so that named types fit too:
//
//	bool; i8 to i64: int8 to int64, i64 also int; double: float64; string: string; binary: []byte or string; uuid: [16]byte
//	enum: int32; list: slice; set: slice, map[T]struct{} or map[T]bool; map: map
//	struct: struct or pointer to one; exception: the same, with an Error() string method; union: a struct of pointers, slices and maps
//
// A Go field belongs to the IDL's field that its tag `thrift:"name"` names, else to the one whose name is the same but for case and
// underscores. An exported Go field that matches nothing is a mismatch, unless it is tagged `thrift:"-"`. An IDL field without a Go field
// is a mismatch if it is required; else it is not written, and ignored when it is read.
//
// Presence. A nil pointer, slice or map is unset and not written, except that a nil slice or map of a required field, an argument or a
// result is written empty; a nil pointer in a required field is an error. Other fields are written always, but for an optional one
// without a default: its zero value means unset. Reading leaves pointers of unset fields nil, and gives other fields their default.
func Compile(t *schema.Type, rt reflect.Type) (*Plan, []Mismatch) {
	c := compiler{structs: map[structKey]*node{}, path: []string{rootName(t)}}
	if rt != nil && rt.Kind() == reflect.Pointer && t.Kind == schema.Struct {
		rt = rt.Elem()
	}
	root := c.node(t, rt)
	if len(c.mismatches) > 0 {
		return nil, c.mismatches
	}
	return &Plan{root: root, typ: t, name: rootName(t)}, nil
}

type compiler struct {
	structs    map[structKey]*node // done, or being compiled
	path       []string
	mismatches []Mismatch
}

type structKey struct {
	st *schema.StructType
	rt reflect.Type
}

// mismatch reports; it returns nil for the node that there is not.
func (c *compiler) mismatch(expected, found string) *node {
	c.mismatches = append(c.mismatches, Mismatch{Path: strings.Join(c.path, ""), Expected: expected, Found: found})
	return nil
}

// under compiles what stands one step deeper in the path.
func (c *compiler) under(step string, t *schema.Type, rt reflect.Type) *node {
	c.path = append(c.path, step)
	n := c.node(t, rt)
	c.path = c.path[:len(c.path)-1]
	return n
}

// ops are the types that are no more than their kind.
var ops = map[schema.Kind]map[reflect.Kind]op{
	schema.Bool:   {reflect.Bool: opBool},
	schema.I8:     {reflect.Int8: opI8},
	schema.I16:    {reflect.Int16: opI16},
	schema.I32:    {reflect.Int32: opI32},
	schema.I64:    {reflect.Int64: opI64, reflect.Int: opI64},
	schema.Double: {reflect.Float64: opDouble},
	schema.String: {reflect.String: opString},
	schema.Binary: {reflect.String: opString},
	schema.Enum:   {reflect.Int32: opI32},
}

func (c *compiler) node(t *schema.Type, rt reflect.Type) *node {
	if rt == nil {
		return c.mismatch(expectedGo(t), "nothing")
	}
	if o, ok := ops[t.Kind][rt.Kind()]; ok && (rt.Kind() != reflect.Int || rt.Size() == 8) {
		return &node{op: o, wire: t.Wire(), rt: rt}
	}
	isBytes := rt.Kind() == reflect.Slice && rt.Elem().Kind() == reflect.Uint8
	switch {
	case t.Kind == schema.Binary && isBytes:
		return &node{op: opBytes, wire: t.Wire(), rt: rt}
	case t.Kind == schema.UUID && rt.Kind() == reflect.Array && rt.Len() == 16 && rt.Elem().Kind() == reflect.Uint8:
		return &node{op: opUUID, wire: t.Wire(), rt: rt}
	case t.Kind == schema.Struct && rt.Kind() == reflect.Struct:
		return c.structNode(t.Struct, rt)
	case t.Kind == schema.Struct && rt.Kind() == reflect.Pointer && rt.Elem().Kind() == reflect.Struct:
		return c.pointer(c.node(t, rt.Elem()), rt)
	case (t.Kind == schema.List || t.Kind == schema.Set) && rt.Kind() == reflect.Slice:
		return &node{op: opSlice, wire: t.Wire(), rt: rt, elem: c.under("[]", t.Elem, rt.Elem())}
	case t.Kind == schema.Set && rt.Kind() == reflect.Map:
		return c.set(t, rt)
	case t.Kind == schema.Map && rt.Kind() == reflect.Map:
		n := &node{op: opMap, wire: t.Wire(), rt: rt}
		n.key, n.elem = c.under(mapKey, t.Key, rt.Key()), c.under(mapValue, t.Elem, rt.Elem())
		if text := reflect.TypeFor[string](); rt.Key() == text && rt.Elem() == text {
			n.op = opTexts
		}
		n.scratch = &sync.Pool{New: n.newEntry}
		return n
	}
	return c.mismatch(expectedGo(t), rt.String())
}

func (c *compiler) pointer(to *node, rt reflect.Type) *node {
	if to == nil {
		return nil
	}
	return &node{op: opPointer, wire: to.wire, rt: rt, elem: to, slab: reflect.SliceOf(rt.Elem())}
}

func (c *compiler) set(t *schema.Type, rt reflect.Type) *node {
	n := &node{op: opSet, wire: t.Wire(), rt: rt, key: c.under("[]", t.Elem, rt.Key())}
	n.scratch = &sync.Pool{New: n.newEntry}
	switch e := rt.Elem(); {
	case e.Kind() == reflect.Bool:
		n.op = opBoolSet
	case e.Kind() != reflect.Struct || e.NumField() > 0:
		return c.mismatch("a slice, map[T]struct{} or map[T]bool ("+t.String()+")", rt.String())
	}
	return n
}

func (c *compiler) structNode(st *schema.StructType, rt reflect.Type) *node {
	key := structKey{st, rt}
	if n := c.structs[key]; n != nil {
		return n
	}
	n := &node{op: opStruct, wire: wire.Struct, rt: rt, name: st.Name, union: st.Kind == schema.Union, byID: map[int16]int{}}
	c.structs[key] = n
	if e := reflect.TypeFor[error](); st.Kind == schema.Exception && !reflect.PointerTo(rt).Implements(e) {
		c.mismatch("a type with an Error() string method (exception "+st.Name+")", rt.String())
	}
	bound := c.match(st, rt)
	for i, f := range st.Fields {
		c.path = append(c.path, "."+f.Name)
		if gf := bound[i]; gf != nil {
			c.field(n, st, f, *gf)
		} else if f.Required == schema.Required {
			c.mismatch("a field of type "+expectedGo(f.Type)+", it is required", "none in "+rt.String())
		}
		c.path = c.path[:len(c.path)-1]
	}
	for i := range n.fields {
		n.byID[n.fields[i].id] = i
	}
	return n
}

// match finds the Go field of each of st's fields.
func (c *compiler) match(st *schema.StructType, rt reflect.Type) []*reflect.StructField {
	bound := make([]*reflect.StructField, len(st.Fields))
	for i := range rt.NumField() {
		gf := rt.Field(i)
		tag, _, _ := strings.Cut(gf.Tag.Get("thrift"), ",")
		if !gf.IsExported() || tag == "-" {
			continue
		}
		f, why := find(st, gf.Name, tag)
		if f != nil && bound[f.Index] != nil {
			why = fmt.Sprintf("%s has %s already", f.Name, bound[f.Index].Name)
		}
		if why != "" {
			c.path = append(c.path, "."+gf.Name)
			c.mismatch(`a field of the IDL, or the tag thrift:"-"`, why)
			c.path = c.path[:len(c.path)-1]
			continue
		}
		bound[f.Index] = &gf
	}
	return bound
}

// find returns the IDL's field for a Go field, or why there is none.
func find(st *schema.StructType, name, tag string) (*schema.Field, string) {
	wanted := name
	if tag != "" {
		wanted = tag
	}
	if f := st.FieldByName(wanted); f != nil {
		return f, ""
	}
	var found *schema.Field
	names := make([]string, len(st.Fields))
	for i, f := range st.Fields {
		names[i] = f.Name
		if tag != "" || !SameName(f.Name, name) {
			continue
		}
		if found != nil {
			return nil, fmt.Sprintf("both %s and %s; name one in a tag", found.Name, f.Name)
		}
		found = f
	}
	if found == nil {
		return nil, fmt.Sprintf("no field %q in %s%s", wanted, st.Name, DidYouMean(wanted, names))
	}
	return found, ""
}

// field adds the field f of st, which is gf in Go, to n.
func (c *compiler) field(n *node, st *schema.StructType, f *schema.Field, gf reflect.StructField) {
	rt := gf.Type
	pointer := rt.Kind() == reflect.Pointer
	nilable := pointer || rt.Kind() == reflect.Slice || rt.Kind() == reflect.Map
	if st.Kind == schema.Union && !nilable {
		c.mismatch("a pointer, so that a union's field can be unset ("+f.Type.String()+")", rt.String())
		return
	}
	var fn *node
	switch {
	case pointer && f.Type.Kind != schema.List && f.Type.Kind != schema.Set && f.Type.Kind != schema.Map &&
		rt.Elem().Kind() != reflect.Slice && rt.Elem().Kind() != reflect.Pointer:
		fn = c.pointer(c.node(f.Type, rt.Elem()), rt)
	default:
		fn = c.node(f.Type, rt)
	}
	if fn == nil {
		return
	}
	n.fields = append(n.fields, field{
		id: f.ID, wire: f.Type.Wire(), rule: ruleOf(st, f, pointer, nilable), offset: gf.Offset, node: fn, name: f.Name,
	})
	if f.Default == nil || pointer || st.Kind == schema.Union {
		return
	}
	body, err := AppendValue(nil, wire.Binary, f.Type, f.Default)
	if err != nil {
		c.mismatch("a default of type "+f.Type.String(), err.Error())
		return
	}
	n.defaults = append(n.defaults, fallback{node: fn, offset: gf.Offset, body: body})
}

// ruleOf says when a field is written.
func ruleOf(st *schema.StructType, f *schema.Field, pointer, nilable bool) rule {
	demanded := f.Required == schema.Required ||
		f.Required == schema.Unspecified && (st.Kind == schema.Args || st.Kind == schema.Result)
	switch {
	case st.Kind == schema.Union:
		return ifSet
	case pointer && f.Required == schema.Required:
		return mustBeSet
	case pointer, nilable && !demanded:
		return ifSet
	case !nilable && f.Required == schema.Optional && f.Default == nil:
		return ifNotZero
	}
	return always
}
