package idl

import "fmt"

// top reads one header or definition. After a broken one it goes on at the next line that begins one.
func (p *parser) top() {
	kw, doc := p.tok.text, docText(p.tok.doc)
	if p.tok.kind != word || !definitionWord(kw) && oldNamespaces[kw] == "" {
		if kw = p.unknownTop(); kw == "" {
			p.skipToTop()
			return
		}
	}
	p.part()
	if header(kw) && len(p.file.Definitions) > 0 {
		p.mistake(p.at(), "%s behind the first definition; move it to the top of the file", kw)
	}
	if scope := oldNamespaces[kw]; scope != "" {
		p.warn(p.at(), "%s is an old form; write: namespace %s …", kw, scope)
	}
	p.next()
	if !p.definition(kw, doc) && !p.atDefinition() {
		p.skipToTop()
	}
	p.separator()
}

// unknownTop reports what begins no definition, and returns the keyword that it was most likely meant to be.
func (p *parser) unknownTop() string {
	if p.tok.kind == word {
		if near := nearest(p.tok.text, topWords); near != "" {
			p.mistake(p.at(), "unknown word %s%s", quote(p.tok.text), DidYouMean(near))
			return near
		}
	}
	p.unexpected("a definition (struct, enum, service, …)")
	return ""
}

// skipToTop passes over at least one token, unless a definition begins there, up to a line that begins one.
func (p *parser) skipToTop() {
	for p.tok.kind != eof {
		p.next()
		if p.tok.first && (p.atDefinition() || p.word(header)) {
			return
		}
	}
}

func (p *parser) definition(kw, doc string) bool {
	switch kw {
	case "include":
		return p.include()
	case "cpp_include":
		path, ok := p.wantLiteral("the path of the header")
		p.file.CppIncludes = append(p.file.CppIncludes, path)
		return ok
	case "namespace":
		return p.namespace()
	case "const":
		return p.constant(doc)
	case "typedef":
		return p.typedef(doc)
	case "enum":
		return p.enum(doc)
	case "senum":
		return p.senum(doc)
	case "struct":
		return p.structure(Plain, doc)
	case "union":
		return p.structure(Union, doc)
	case "exception":
		return p.structure(Exception, doc)
	case "service":
		return p.service(doc)
	}
	return p.namespaceName(&Namespace{Scope: oldNamespaces[kw]})
}

func (p *parser) define(d Definition) {
	if name, _ := d.Def(); name != "" {
		p.file.Definitions = append(p.file.Definitions, d)
	}
}

func (p *parser) include() bool {
	pos := p.at()
	path, ok := p.wantLiteral("the path of the file")
	if ok && path == "" {
		p.mistake(pos, "the path of the include is empty")
	} else if ok {
		p.file.Includes = append(p.file.Includes, &Include{Path: path, Pos: pos})
	}
	return ok
}

func (p *parser) namespace() bool {
	n := &Namespace{Scope: p.tok.text}
	switch {
	case p.is('*'):
		p.next()
	case p.tok.kind == word:
		p.dashed(&p.tok)
		n.Scope = p.tok.text
		p.next()
	default:
		p.unexpected(`a language, or "*", behind namespace`)
		return false
	}
	return p.namespaceName(n)
}

// namespaceName reads what stands behind the scope: a name, in which dashes are let pass, or a string.
func (p *parser) namespaceName(n *Namespace) bool {
	n.Pos = p.at()
	switch p.tok.kind {
	case word:
		p.dashed(&p.tok)
	case literal:
	default:
		p.unexpected("the name of the namespace")
		return false
	}
	n.Name = p.tok.text
	p.next()
	p.file.Namespaces = append(p.file.Namespaces, n)
	var ok bool
	n.Annotations, ok = p.annotations()
	return ok
}

func (p *parser) constant(doc string) (ok bool) {
	c := &Const{Doc: doc}
	if c.Type = p.typeRef(1); c.Type == nil {
		return false
	}
	if c.Name, c.Pos, ok = p.name("a const"); !ok || !p.want('=', "behind the const's name") {
		return false
	}
	if c.Value = p.value(1); c.Value == nil {
		return false
	}
	p.define(c)
	c.Annotations, ok = p.annotations()
	return ok
}

func (p *parser) typedef(doc string) (ok bool) {
	t := &Typedef{Doc: doc}
	if t.Type = p.typeRef(1); t.Type == nil {
		return false
	}
	if t.Name, t.Pos, ok = p.name("a typedef"); !ok {
		return false
	}
	p.typeName(t)
	p.define(t)
	t.Annotations, ok = p.annotations()
	return ok
}

// typeName reports a type that is named as one that needs no definition: nobody could refer to it.
func (p *parser) typeName(d Definition) {
	switch name, pos := d.Def(); {
	case baseType(name) || name == "void":
		p.mistake(pos, "%s is a type of Thrift itself and cannot be defined", quote(name))
	case name == "uuid":
		p.warn(pos, `"uuid" is a type of newer Thrift; in this file it is what is defined here`)
	}
}

// body reads "{", items, "}".
func (p *parser) body(what string, item func() bool) bool {
	open := p.here()
	if !p.want('{', "behind the name of "+what) {
		return false
	}
	return p.items(open, '}', what, item)
}

func (p *parser) enum(doc string) bool {
	e := &Enum{Doc: doc}
	e.Name, e.Pos, _ = p.name("an enum")
	p.typeName(e)
	p.define(e)
	if !p.body(fmt.Sprintf("enum %s", e.Name), func() bool { return p.enumValue(e) }) {
		return false
	}
	var ok bool
	e.Annotations, ok = p.annotations()
	return ok
}

func (p *parser) enumValue(e *Enum) (ok bool) {
	p.part()
	v := &EnumValue{Doc: docText(p.tok.doc)}
	if v.Name, v.Pos, ok = p.name("a value of the enum"); !ok {
		return false
	}
	if p.take('=') {
		if p.tok.kind != integer {
			p.unexpected("a whole number as the enum's value")
			return false
		}
		v.Value, v.Explicit, v.ValuePos = p.tok.num, true, p.at()
		p.next()
	}
	e.Values = append(e.Values, v)
	if v.Annotations, ok = p.annotations(); ok {
		p.separator()
	}
	return ok
}

// senum reads an old senum { "a", "b" }, which is a string on the wire.
func (p *parser) senum(doc string) (ok bool) {
	t := &Typedef{Doc: doc, Type: &TypeRef{Name: "string", Pos: p.at()}}
	p.warn(p.at(), "senum is gone from Thrift; it is read as a typedef of string")
	if t.Name, t.Pos, ok = p.name("a senum"); !ok {
		return false
	}
	p.typeName(t)
	p.define(t)
	if !p.body("senum "+t.Name, p.senumValue) {
		return false
	}
	t.Annotations, ok = p.annotations()
	return ok
}

func (p *parser) senumValue() bool {
	_, ok := p.wantLiteral("a value of the senum")
	if ok {
		p.separator()
	}
	return ok
}
