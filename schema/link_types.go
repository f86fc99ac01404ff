package schema

import (
	"maps"
	"math"
	"slices"

	"github.com/thriftloom/thriftloom/idl"
)

// baseTypes are shared by all that name them without annotations.
var baseTypes = map[string]*Type{
	"bool": {Kind: Bool}, "byte": {Kind: I8}, "i8": {Kind: I8}, "i16": {Kind: I16}, "i32": {Kind: I32}, "i64": {Kind: I64},
	"double": {Kind: Double}, "string": {Kind: String}, "slist": {Kind: String}, "binary": {Kind: Binary},
}

var (
	uuidType = &Type{Kind: UUID}
	voidType = &Type{Kind: Void}
)

// typ returns the type that ref names; nil after a mistake.
func (k *linker) typ(ref *idl.TypeRef) *Type {
	t := baseTypes[ref.Name]
	switch ref.Name {
	case "list", "set", "map":
		t = k.container(ref)
	case "void":
		return nil // a mistake of syntax
	default:
		if t == nil {
			t = k.named(ref)
		}
	}
	if t == nil || len(ref.Annotations) == 0 {
		return t
	}
	return annotated(t, ref.Annotations)
}

// annotated returns a copy of t with more annotations; they win over those that t has.
func annotated(t *Type, more []idl.Annotation) *Type {
	c := *t
	c.Annotations = maps.Clone(t.Annotations)
	if c.Annotations == nil {
		c.Annotations = Annotations{}
	}
	maps.Copy(c.Annotations, annotations(more))
	return &c
}

func (k *linker) container(ref *idl.TypeRef) *Type {
	t := &Type{Kind: List, depth: 1, nodes: 1}
	switch ref.Name {
	case "set":
		t.Kind = Set
	case "map":
		t.Kind = Map
	}
	for _, part := range [...]struct {
		ref *idl.TypeRef
		to  **Type
	}{{ref.Key, &t.Key}, {ref.Elem, &t.Elem}} {
		if part.ref == nil {
			continue
		}
		inner := k.typ(part.ref)
		if inner == nil {
			return nil
		}
		*part.to = inner
		t.depth = max(t.depth, inner.depth+1)
		t.nodes += inner.nodes + 1
	}
	if t.depth > maxTypeDepth || t.nodes > maxTypeNodes {
		k.mistake(ref.Pos, "the type is too large: at most %d levels and %d types", maxTypeDepth, maxTypeNodes)
		return nil
	}
	return t
}

// named returns the type of that name. uuid is a type of Thrift itself unless the file has its own.
func (k *linker) named(ref *idl.TypeRef) *Type {
	made, found := k.resolve(ref.Name, ref.Pos)
	switch x := made.(type) {
	case *StructType:
		return x.typ
	case *EnumType:
		return x.typ
	case *Typedef:
		return x.Type
	case *Service:
		k.mistake(ref.Pos, "%q is a service, not a type", ref.Name)
	case *Const:
		k.mistake(ref.Pos, "%q is a constant, not a type", ref.Name)
	}
	if found {
		return nil
	}
	if ref.Name == "uuid" {
		return uuidType
	}
	k.unknown(ref.Pos, "type", ref.Name, isType, idl.BaseTypes...)
	return nil
}

// typedef links a typedef and those that it leads through; nil after a mistake.
func (k *linker) typedef(d *decl, x *idl.Typedef) *Typedef {
	if d.state == linked {
		made, _ := d.made.(*Typedef)
		return made
	}
	k.enter(d)
	t := k.typ(x.Type)
	if t == nil {
		k.leave(d, nil)
		return nil
	}
	alias := *t
	alias.Alias = k.prefix + x.Name
	if len(x.Annotations) > 0 {
		alias = *annotated(&alias, x.Annotations)
	}
	made := &Typedef{Name: alias.Alias, Type: &alias, Doc: x.Doc, Pos: x.Pos}
	k.leave(d, made)
	return made
}

func (k *linker) structFields(s *StructType, x *idl.Struct) {
	k.fields(s, x.Fields, x.Kind.String()+" "+x.Name)
	if s.Kind != Union {
		return
	}
	for _, f := range s.Fields {
		if f.Required == Required {
			k.warn(f.Pos, "field %q of a union is required: a union has one of its fields", f.Name)
		}
	}
}

// fields links the fields of a struct or of arguments, behind those that it has, and indexes all.
func (k *linker) fields(s *StructType, list []*idl.Field, of string) {
	s.byID, s.byName = make(map[int16]*Field, len(list)), make(map[string]*Field, len(list))
	for _, f := range s.Fields {
		s.byID[f.ID], s.byName[f.Name] = f, f
	}
	s.Fields = slices.Grow(s.Fields, len(list))
	warned := false
	for _, x := range list {
		if x.Implicit && !warned {
			k.warn(x.Pos, "field %q of %s has no id and gets %d: a field added before it changes that", x.Name, of, x.ID)
			warned = true
		}
		f := k.field(x)
		if !k.fits(s, x, of) || f == nil {
			continue
		}
		f.Index = len(s.Fields)
		s.Fields = append(s.Fields, f)
		s.byID[f.ID], s.byName[f.Name] = f, f
	}
}

// fits checks a field's id and name against the range and the fields before it.
func (k *linker) fits(s *StructType, x *idl.Field, of string) bool {
	if x.ID < math.MinInt16 || x.ID > math.MaxInt16 {
		k.mistake(x.IDPos, "field id %d does not fit 16 bits: at most %d", x.ID, math.MaxInt16)
		return false
	}
	if x.ID <= 0 && !x.Implicit {
		k.warn(x.IDPos, "field id %d is not positive; Apache's compiler replaces it by another", x.ID)
	}
	if other := s.byID[int16(x.ID)]; other != nil {
		k.mistake(x.IDPos, "field id %d of %s is already the id of %q", x.ID, of, other.Name)
		return false
	}
	if s.byName[x.Name] != nil {
		k.mistake(x.Pos, "%s has a field %q already", of, x.Name)
		return false
	}
	return true
}

// field links a field apart from its default; nil after a mistake.
func (k *linker) field(x *idl.Field) *Field {
	t := k.typ(x.Type)
	if t == nil {
		return nil
	}
	f := &Field{ID: int16(x.ID), Implicit: x.Implicit, Name: x.Name, Type: t, Doc: x.Doc, Annotations: annotations(x.Annotations), Pos: x.Pos}
	switch {
	case x.Required:
		f.Required = Required
	case x.Optional:
		f.Required = Optional
	}
	if x.Default != nil {
		f.hasDefault = true
		k.defaults = append(k.defaults, pendingDefault{f, x.Default})
	}
	return f
}
