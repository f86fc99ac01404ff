package schema

import (
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/idl"
)

// maxChain bounds how many typedefs, constants or parents a definition leads through before one that is linked already, in steps.
const maxChain = 64

// Bounds of one type, in levels and in types: typedefs of typedefs could make it grow without end.
const (
	maxTypeDepth = idl.MaxDepth
	maxTypeNodes = 4096
)

// linker links one file. What it includes is linked already.
type linker struct {
	*loader
	doc      *Document
	file     *idl.File
	prefix   string // before the names of types
	decls    map[string]*decl
	stack    []string // what is being linked, outermost first: a name that comes twice is a cycle
	defaults []pendingDefault
}

// decl is a definition on its way to becoming one of the document's names.
type decl struct {
	def   idl.Definition
	made  any // of the types that Document.Lookup returns; nil after a mistake
	state state
}

type state uint8

const (
	waiting state = iota
	linking
	linked
)

// pendingDefault is a default that is typed once every struct's fields are known.
type pendingDefault struct {
	field *Field
	value *idl.ConstValue
}

func newLinker(l *loader, d *Document, tree *idl.File, prefix string) *linker {
	k := &linker{loader: l, doc: d, file: tree, prefix: prefix}
	k.decls = make(map[string]*decl, len(tree.Definitions))
	d.names = make(map[string]any, len(tree.Definitions))
	return k
}

// link works in passes, so that the file's order does not matter: names; types; fields and methods; values; inheritance.
func (k *linker) link() {
	defs := k.declare()
	for _, d := range defs {
		if t, ok := d.def.(*idl.Typedef); ok {
			if made := k.typedef(d, t); made != nil {
				k.doc.Typedefs = append(k.doc.Typedefs, made)
			}
		}
	}
	for _, d := range defs {
		switch x := d.def.(type) {
		case *idl.Struct:
			k.structFields(d.made.(*StructType), x)
		case *idl.Service:
			k.ownMethods(d.made.(*Service), x)
		}
	}
	for _, d := range defs {
		if c, ok := d.def.(*idl.Const); ok {
			if made := k.constant(d, c); made != nil {
				k.doc.Consts = append(k.doc.Consts, made)
			}
		}
	}
	for _, p := range k.defaults {
		p.field.Default, _ = k.value(p.value, p.field.Type)
	}
	for _, d := range defs {
		if s, ok := d.def.(*idl.Service); ok {
			k.inherit(d, s)
		}
	}
}

// declare makes what can be made of each definition alone, and returns those whose name is their own.
func (k *linker) declare() []*decl {
	var defs []*decl
	for _, def := range k.file.Definitions {
		name, pos := def.Def()
		if first := k.decls[name]; first != nil {
			_, at := first.def.Def()
			k.mistake(pos, "%q is already defined in line %d", name, at.Line)
			continue
		}
		d := &decl{def: def}
		k.decls[name] = d
		defs = append(defs, d)
		switch x := def.(type) {
		case *idl.Struct:
			s := &StructType{Name: k.prefix + x.Name, Kind: StructKind(x.Kind), Doc: x.Doc, Annotations: annotations(x.Annotations), Pos: x.Pos}
			s.typ = &Type{Kind: Struct, Struct: s}
			d.made, k.doc.Structs = s, append(k.doc.Structs, s)
		case *idl.Enum:
			e := k.enum(x)
			d.made, k.doc.Enums = e, append(k.doc.Enums, e)
		case *idl.Service:
			s := &Service{Name: x.Name, Doc: x.Doc, Annotations: annotations(x.Annotations), Pos: x.Pos, Document: k.doc}
			d.made, k.doc.Services = s, append(k.doc.Services, s)
		}
		if d.made != nil {
			k.doc.names[name] = d.made
		}
	}
	return defs
}

// resolve returns what a name means in this file, linked as far as it must be; nil where nothing has it, or after a mistake in it.
// found says whether the name exists.
func (k *linker) resolve(name string, pos idl.Pos) (made any, found bool) {
	d := k.decls[name]
	if d == nil {
		made = k.doc.visible(name)
		return made, made != nil
	}
	if d.state == linked || d.made != nil {
		return d.made, true
	}
	if d.state == linking || len(k.stack) >= maxChain {
		k.cycle(name, pos)
		return nil, true
	}
	switch x := d.def.(type) {
	case *idl.Typedef:
		if t := k.typedef(d, x); t != nil {
			return t, true
		}
		return nil, true
	case *idl.Const:
		if c := k.constant(d, x); c != nil {
			return c, true
		}
		return nil, true
	}
	return nil, true
}

// cycle reports that a definition leads back to itself, or through too many others.
func (k *linker) cycle(name string, pos idl.Pos) {
	if i := slices.Index(k.stack, name); i >= 0 {
		k.mistake(pos, "%q leads back to itself: %s", name, strings.Join(append(slices.Clone(k.stack[i:]), name), " → "))
	} else {
		k.mistake(pos, "%q is behind more than %d others that lead to it; define it before them", name, maxChain)
	}
}

// enter and leave stand around the linking of one definition.
func (k *linker) enter(d *decl) {
	name, _ := d.def.Def()
	d.state, k.stack = linking, append(k.stack, name)
}

func (k *linker) leave(d *decl, made any) {
	name, _ := d.def.Def()
	d.state, k.stack = linked, k.stack[:len(k.stack)-1]
	if d.made = made; made != nil {
		k.doc.names[name] = made
	}
}

// mistake takes no more than are shown in the end, and one.
func (k *linker) mistake(pos idl.Pos, format string, args ...any) {
	if k.full() {
		return
	}
	k.mistakes = append(k.mistakes, k.file.Mistake(pos, format, args...))
}

func (k *linker) warn(pos idl.Pos, format string, args ...any) {
	if len(k.doc.Warnings) < 2*idl.MaxMistakes {
		k.doc.Warnings = append(k.doc.Warnings, k.file.Warning(pos, format, args...))
	}
}

// unknown reports a name that nothing has, with the nearest of those that would fit.
func (k *linker) unknown(pos idl.Pos, what, name string, fits func(any) bool, more ...string) {
	if k.full() || k.doc.excused(name) {
		return
	}
	near := idl.Nearest(name, k.names(fits, more))
	if near == "" {
		near = k.elsewhere(name, fits)
	}
	k.mistake(pos, "no %s named %q%s", what, name, idl.DidYouMean(near))
}

// names yields more, then the names that this file sees and that lead to what fits: its own in their order, then those of its includes.
func (k *linker) names(fits func(any) bool, more []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range more {
			if !yield(name) {
				return
			}
		}
		for _, def := range k.file.Definitions {
			if name, _ := def.Def(); fits(def) && !yield(name) {
				return
			}
		}
		for seen, name := range k.includedNames(fits) {
			if !yield(seen + "." + name) {
				return
			}
		}
	}
}

// elsewhere returns the name of an include that is near to one that was written without the include's own: "shared.User" for "User".
func (k *linker) elsewhere(name string, fits func(any) bool) string {
	near := idl.Nearest(name, func(yield func(string) bool) {
		for _, bare := range k.includedNames(fits) {
			if !yield(bare) {
				return
			}
		}
	})
	for seen, bare := range k.includedNames(fits) {
		if bare == near {
			return seen + "." + bare
		}
	}
	return ""
}

// includedNames yields the names of the included files that fit, each behind the name of its file.
func (k *linker) includedNames(fits func(any) bool) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, in := range k.file.Includes {
			seen := base(in.Path)
			for _, inner := range k.doc.includes[seen].docs {
				for _, name := range slices.Sorted(maps.Keys(inner.names)) {
					if fits(inner.names[name]) && !yield(seen, name) {
						return
					}
				}
			}
		}
	}
}

func isType(x any) bool {
	switch x.(type) {
	case *idl.Struct, *idl.Enum, *idl.Typedef, *StructType, *EnumType, *Typedef:
		return true
	}
	return false
}

func isService(x any) bool {
	switch x.(type) {
	case *idl.Service, *Service:
		return true
	}
	return false
}

func isConst(x any) bool {
	switch x.(type) {
	case *idl.Const, *Const:
		return true
	}
	return false
}

func annotations(list []idl.Annotation) Annotations {
	if len(list) == 0 {
		return nil
	}
	m := make(Annotations, len(list))
	for _, a := range list {
		m[a.Name] = a.Value
	}
	return m
}

// enum numbers the values: as written, else one more than the one before, from 0 on.
func (k *linker) enum(x *idl.Enum) *EnumType {
	e := &EnumType{Name: k.prefix + x.Name, Doc: x.Doc, Annotations: annotations(x.Annotations), Pos: x.Pos}
	e.typ = &Type{Kind: Enum, Enum: e}
	e.byName, e.byValue = make(map[string]int32, len(x.Values)), make(map[int32]string, len(x.Values))
	next := int64(0)
	for _, v := range x.Values {
		n, pos := next, v.Pos
		if v.Explicit {
			n, pos = v.Value, v.ValuePos
		}
		if n < math.MinInt32 || n > math.MaxInt32 {
			k.mistake(pos, "value %d of %q does not fit 32 bits", n, v.Name)
			n = 0
		}
		next = n + 1
		if _, twice := e.byName[v.Name]; twice {
			k.mistake(v.Pos, "enum %s has %q already", x.Name, v.Name)
			continue
		}
		if other, twice := e.byValue[int32(n)]; twice {
			k.warn(pos, "%q has the value of %q: %d", v.Name, other, n)
		} else {
			e.byValue[int32(n)] = v.Name
		}
		e.byName[v.Name] = int32(n)
		e.Values = append(e.Values, EnumValue{v.Name, int32(n), v.Doc, annotations(v.Annotations)})
	}
	return e
}
