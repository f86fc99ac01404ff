package schema

import (
	"slices"

	"github.com/thriftloom/thriftloom/idl"
)

// maxMethods bounds the methods of all services of one load, inherited ones included: each is a copy.
const maxMethods = 1 << 20

// ownMethods links the methods that the service itself declares.
func (k *linker) ownMethods(s *Service, x *idl.Service) {
	s.byName = make(map[string]*Method, len(x.Functions))
	for _, f := range x.Functions {
		if first := s.byName[f.Name]; first != nil {
			k.mistake(f.Pos, "service %s has a method %q already, in line %d", s.Name, f.Name, first.Pos.Line)
			continue
		}
		m := k.method(s, f)
		m.Index = len(s.Methods)
		s.Methods = append(s.Methods, m)
		s.byName[m.Name] = m
	}
	k.methods += len(s.Methods)
}

func (k *linker) method(s *Service, f *idl.Function) *Method {
	m := &Method{
		Name: f.Name, Service: s, Declared: s, Oneway: f.Oneway, Return: voidType,
		Doc: f.Doc, Annotations: annotations(f.Annotations), Pos: f.Pos,
		Args:   &StructType{Name: f.Name + "_args", Kind: Args, Pos: f.Pos},
		Result: &StructType{Name: f.Name + "_result", Kind: Result, Pos: f.Pos},
	}
	m.Args.typ, m.Result.typ = &Type{Kind: Struct, Struct: m.Args}, &Type{Kind: Struct, Struct: m.Result}
	k.fields(m.Args, f.Args, "the arguments of "+f.Name)
	if f.Result != nil {
		if f.Oneway {
			k.mistake(f.Result.Pos, "oneway method %q has a result; its caller gets no answer, so it must be void", f.Name)
		}
		if t := k.typ(f.Result); t != nil {
			m.Return = t
			m.Result.Fields = []*Field{{ID: 0, Name: "success", Type: t, Pos: f.Result.Pos}}
		}
	}
	k.throws(m, f)
	return m
}

// throws links the declared exceptions, behind success. Requiredness means nothing there: a result has one of its fields.
func (k *linker) throws(m *Method, f *idl.Function) {
	if f.Oneway && len(f.Throws) > 0 {
		k.mistake(f.Throws[0].Pos, "oneway method %q throws; its caller gets no answer", f.Name)
	}
	k.fields(m.Result, f.Throws, "the throws of "+f.Name)
	m.Throws = m.Result.Fields
	if m.Return.Kind != Void {
		m.Throws = m.Result.Fields[1:]
	}
	for _, x := range f.Throws {
		e := m.Result.FieldByName(x.Name)
		if e == nil {
			continue // a mistake already
		}
		e.Required = Unspecified
		if e.Type.Kind != Struct || e.Type.Struct.Kind != Exception {
			k.mistake(x.Type.Pos, "%s is thrown and is not an exception", e.Type)
		}
	}
}

// inherit adds the parent's methods behind the service's own.
func (k *linker) inherit(d *decl, x *idl.Service) {
	s := d.made.(*Service)
	if d.state == linked {
		return
	}
	k.enter(d)
	defer k.leave(d, s)
	if x.Extends == "" {
		return
	}
	if s.Extends = k.parent(x); s.Extends == nil {
		return
	}
	if k.methods += len(s.Extends.Methods); k.methods > maxMethods {
		k.mistake(x.ExtendsPos, "the services have more than %d methods together, inherited ones included", maxMethods)
		return
	}
	s.Methods = slices.Grow(s.Methods, len(s.Extends.Methods))
	for _, m := range s.Extends.Methods {
		if own := s.byName[m.Name]; own != nil {
			k.warn(own.Pos, "method %q hides the one that service %s has from %s", m.Name, s.Name, m.Declared.Name)
			continue
		}
		inherited := *m
		inherited.Service, inherited.Index = s, len(s.Methods)
		s.Methods = append(s.Methods, &inherited)
		s.byName[m.Name] = &inherited
	}
}

// parent returns the service that x extends, with all its methods; nil after a mistake.
func (k *linker) parent(x *idl.Service) *Service {
	d := k.decls[x.Extends]
	if d != nil && (d.state == linking || len(k.stack) >= maxChain && d.state != linked) {
		k.cycle(x.Extends, x.ExtendsPos)
		return nil
	}
	var made any
	if d != nil {
		if own, ok := d.def.(*idl.Service); ok {
			k.inherit(d, own)
		}
		made = d.made
	} else {
		made = k.doc.visible(x.Extends)
	}
	switch p := made.(type) {
	case *Service:
		return p
	case nil:
		if d == nil {
			k.unknown(x.ExtendsPos, "service", x.Extends, isService)
		}
	default:
		k.mistake(x.ExtendsPos, "%q is not a service", x.Extends)
	}
	return nil
}
