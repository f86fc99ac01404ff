package schema

import (
	"fmt"

	"github.com/thriftloom/thriftloom/idl"
)

// Break is one change between two versions of a service with which programs of one version misread what those of the other write.
type Break struct {
	Pos  idl.Pos // in the new version
	Text string  // one line: field 2 name of User was string and is i64
}

// Breaks finds what the new version of a service breaks on the wire: fields and results of another type, ids that have moved, fields that
// have become required or that were and are gone, values of enums that have gone or moved, unions, and oneways.
//
// Compatible are new methods, new fields that are not required, removed ones that were not, new names for the same ids and values, and an
// enum for an i32. Methods that are gone are not told: whoever asks knows better whether that is meant. A type is told once, in the order in
// which the methods of the new version lead to it.
func Breaks(old, next *Service) []Break {
	c := comparer{met: map[[2]any]bool{}}
	for _, m := range next.Methods {
		if was := old.Method(m.Name); was != nil {
			c.method(was, m)
		}
	}
	for len(c.structs) > 0 || len(c.enums) > 0 { // breadth first: types may lead back to themselves
		structs, enums := c.structs, c.enums
		c.structs, c.enums = nil, nil
		for _, s := range structs {
			c.structure(s[0], s[1])
		}
		for _, e := range enums {
			c.enum(e[0], e[1])
		}
	}
	return c.found
}

// comparer is one run of Breaks.
type comparer struct {
	found   []Break
	met     map[[2]any]bool
	structs [][2]*StructType // still to be compared, the old version first
	enums   [][2]*EnumType
}

func (c *comparer) add(pos idl.Pos, format string, args ...any) {
	c.found = append(c.found, Break{pos, fmt.Sprintf(format, args...)})
}

func (c *comparer) method(old, next *Method) {
	switch {
	case old.Oneway && !next.Oneway:
		c.add(next.Pos, "%s was a oneway and has an answer now", next.Name)
	case !old.Oneway && next.Oneway:
		c.add(next.Pos, "%s had an answer and is a oneway now", next.Name)
	}
	c.fields(old.Args, next.Args, "argument %d %s of "+next.Name)
	if !c.same(old.Return, next.Return) {
		c.add(next.Pos, "%s returned %s and returns %s", next.Name, old.Return, next.Return)
	}
	for _, f := range next.Throws {
		if was := old.Result.Field(f.ID); was != nil && !c.same(was.Type, f.Type) {
			c.add(f.Pos, "exception %d %s of %s was %s and is %s", f.ID, f.Name, next.Name, was.Type, f.Type)
		}
	}
}

func (c *comparer) structure(old, next *StructType) {
	if (old.Kind == Union) != (next.Kind == Union) {
		c.add(next.Pos, "%s was a %s and is a %s", next.Name, structWord(old), structWord(next))
	}
	c.fields(old, next, "field %d %s of "+next.Name)
}

func structWord(s *StructType) string {
	if s.Kind == Union {
		return "union"
	}
	return "struct"
}

// fields compares the fields of two structs by their ids; named is how one is called, by its id and name.
func (c *comparer) fields(old, next *StructType, named string) {
	for _, f := range next.Fields {
		name := fmt.Sprintf(named, f.ID, f.Name)
		was, moved := old.Field(f.ID), old.FieldByName(f.Name)
		switch {
		case moved != nil && moved.ID != f.ID:
			c.add(f.Pos, "%s had the id %d", name, moved.ID)
		case was == nil && f.Required == Required:
			c.add(f.Pos, "%s is new and required: who does not know it sends messages without it", name)
		case was == nil:
		case !c.same(was.Type, f.Type):
			c.add(f.Pos, "%s was %s and is %s", name, was.Type, f.Type)
		case f.Required == Required && was.Required != Required:
			c.add(f.Pos, "%s is required now: there may be messages without it", name)
		}
	}
	for _, was := range old.Fields {
		if was.Required == Required && next.Field(was.ID) == nil && next.FieldByName(was.Name) == nil {
			c.add(next.Pos, "%s was required and is gone: who still asks for it refuses messages without it", fmt.Sprintf(named, was.ID, was.Name))
		}
	}
}

// same reports whether values of the two types have the same bytes, and notes the structs and enums in them for their own comparison.
func (c *comparer) same(old, next *Type) bool {
	if old.Wire() != next.Wire() {
		return false
	}
	switch {
	case old.Kind == Struct:
		if pair := [2]any{old.Struct, next.Struct}; !c.met[pair] {
			c.met[pair] = true
			c.structs = append(c.structs, [2]*StructType{old.Struct, next.Struct})
		}
	case old.Kind == Enum && next.Kind == Enum:
		if pair := [2]any{old.Enum, next.Enum}; !c.met[pair] {
			c.met[pair] = true
			c.enums = append(c.enums, [2]*EnumType{old.Enum, next.Enum})
		}
	case old.Kind == Map:
		return c.same(old.Key, next.Key) && c.same(old.Elem, next.Elem)
	case old.Kind == List || old.Kind == Set:
		return c.same(old.Elem, next.Elem)
	}
	return true
}

func (c *comparer) enum(old, next *EnumType) {
	for _, v := range old.Values {
		switch now, ok := next.ByName(v.Name); {
		case ok && now != v.Value:
			c.add(next.Pos, "%s of %s was %d and is %d", v.Name, next.Name, v.Value, now)
		case !ok && next.NameOf(v.Value) == "":
			c.add(next.Pos, "%s = %d of %s is gone", v.Name, v.Value, next.Name)
		}
	}
}
