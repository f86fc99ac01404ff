package idl

// structure reads a struct, union or exception behind its keyword.
func (p *parser) structure(kind StructKind, doc string) bool {
	s := &Struct{Kind: kind, Doc: doc}
	s.Name, s.Pos, _ = p.name("the " + kind.String())
	p.typeName(s)
	p.define(s)
	p.takeWord("xsd_all")
	var n numbering
	ok := p.body(kind.String()+" "+s.Name, func() bool { return p.field(&s.Fields, &n) })
	if ok {
		s.Annotations, ok = p.annotations()
	}
	return ok
}

// numbering gives the fields without an id of one list theirs: -1, -2, …
type numbering struct{ given int64 }

func (n *numbering) next() int64 {
	n.given--
	return n.given
}

// field reads [id:] [required|optional] type [&] name [= value] [xsd…] [annotations] [separator].
func (p *parser) field(list *[]*Field, n *numbering) (ok bool) {
	p.part()
	f := &Field{Doc: docText(p.tok.doc), IDPos: p.at(), Implicit: p.tok.kind != integer}
	if f.Implicit {
		f.ID = n.next()
	} else {
		f.ID = p.tok.num
		p.next()
		if !p.want(':', "behind the field's id") && p.tok.kind != word {
			return false
		}
	}
	if !p.fieldTypeAndName(f) {
		return false
	}
	if f.Implicit {
		f.IDPos = f.Pos
	}
	*list = append(*list, f)
	if p.take('=') {
		if f.Default = p.value(1); f.Default == nil {
			return false
		}
	}
	p.xsd()
	if f.Annotations, ok = p.annotations(); ok {
		p.separator()
	}
	return ok
}

func (p *parser) fieldTypeAndName(f *Field) (ok bool) {
	if p.takeWord("required") {
		f.Required = true
	} else if p.takeWord("optional") {
		f.Optional = true
	}
	p.misspeltRequiredness(f)
	if f.Type = p.typeRef(1); f.Type == nil {
		return false
	}
	f.Reference = p.take('&')
	f.Name, f.Pos, ok = p.name("the field")
	return ok
}

// misspeltRequiredness reports a word near to required or optional where a type and a name follow on the same line.
func (p *parser) misspeltRequiredness(f *Field) {
	if p.tok.kind != word || len(p.tok.text) < 6 || baseType(p.tok.text) {
		return
	}
	near := nearest(p.tok.text, []string{"required", "optional"})
	if near == "" {
		return
	}
	from := p.here()
	p.next()
	if p.tok.kind == word && !p.tok.first {
		if then := p.peek(); then.kind == word && !then.first || then.kind == '<' {
			p.mistake(Pos{p.file.Name, from.tok.line, from.tok.col}, "unknown word %s%s", quote(from.tok.text), DidYouMean(near))
			f.Required, f.Optional = near == "required", near == "optional"
			return
		}
	}
	p.back(from)
}

// xsd passes over what old files say of XML schemas.
func (p *parser) xsd() {
	for p.isWord("xsd_optional") || p.isWord("xsd_nillable") || p.isWord("xsd_attrs") {
		attrs := p.isWord("xsd_attrs")
		open := p.here()
		p.next()
		if attrs && p.take('{') {
			var unused []*Field
			p.items(open, '}', "xsd_attrs", func() bool { return p.attribute(&unused) })
		}
	}
}

// attribute is a field without attributes of its own, so that input cannot nest them without end.
func (p *parser) attribute(list *[]*Field) bool {
	f := &Field{}
	if p.tok.kind == integer {
		p.next()
		p.take(':')
	}
	if !p.fieldTypeAndName(f) {
		return false
	}
	*list = append(*list, f)
	if p.take('=') && p.value(1) == nil {
		return false
	}
	p.separator()
	return true
}

// service reads a service behind its keyword.
func (p *parser) service(doc string) bool {
	s := &Service{Doc: doc}
	s.Name, s.Pos, _ = p.name("a service")
	p.define(s)
	if p.takeWord("extends") {
		s.ExtendsPos = p.at()
		if p.tok.kind == word {
			s.Extends = p.tok.text
			p.next()
		} else {
			p.unexpected("the name of the service to extend")
		}
	}
	ok := p.body("service "+s.Name, func() bool { return p.function(s) })
	if ok {
		s.Annotations, ok = p.annotations()
	}
	return ok
}

// function reads [oneway] type name ( fields ) [throws ( fields )] [annotations] [separator].
func (p *parser) function(s *Service) (ok bool) {
	p.part()
	f := &Function{Doc: docText(p.tok.doc)}
	if f.Oneway = p.takeWord("oneway"); !f.Oneway && p.isWord("async") {
		p.warn(p.at(), "async is an old word for oneway")
		f.Oneway = true
		p.next()
	}
	if ok = p.resultAndName(f); !ok {
		return false
	}
	s.Functions = append(s.Functions, f)
	if f.Args, ok = p.fields("the arguments of " + f.Name); !ok {
		return false
	}
	if p.takeWord("throws") {
		if f.Throws, ok = p.fields("the throws of " + f.Name); !ok {
			return false
		}
	}
	if f.Annotations, ok = p.annotations(); ok {
		p.separator()
	}
	return ok
}

// resultAndName reads what stands before the arguments. A name without a type before it is taken for a method of result void.
func (p *parser) resultAndName(f *Function) (ok bool) {
	if p.tok.kind == word && !baseType(p.tok.text) && !p.isWord("void") && p.peek().kind == '(' {
		from := p.here()
		p.next()
		annotated := p.atAnnotations() && p.namedBehindAnnotations()
		p.back(from)
		if !annotated {
			p.mistake(p.at(), "method %s has no result type; write void if it returns nothing", quote(p.tok.text))
			f.Name, f.Pos, ok = p.name("the method")
			return ok
		}
	}
	if !p.takeWord("void") {
		if f.Result = p.typeRef(1); f.Result == nil {
			return false
		}
	}
	f.Name, f.Pos, ok = p.name("the method")
	return ok
}

// namedBehindAnnotations says whether a name stands behind the ) that closes the ( here. The caller goes back.
func (p *parser) namedBehindAnnotations() bool {
	for !p.is(')') && p.tok.kind != eof && !p.is('}') {
		p.next()
	}
	p.next()
	return p.tok.kind == word && !p.isWord("throws") && p.peek().kind == '('
}

// fields reads ( fields ).
func (p *parser) fields(what string) ([]*Field, bool) {
	open := p.here()
	if !p.want('(', "before "+what) {
		return nil, false
	}
	var list []*Field
	var n numbering
	ok := p.items(open, ')', what, func() bool { return p.field(&list, &n) })
	return list, ok
}
