package idl

// typeRef reads a type at that depth, 1 for the outermost. nil after a mistake.
func (p *parser) typeRef(depth int) *TypeRef {
	t := &TypeRef{Name: p.tok.text, Pos: p.at()}
	switch {
	case p.tok.kind != word:
		p.unexpected("a type")
		return nil
	case t.Name == "void":
		p.mistake(t.Pos, "void is the result of a method and no other type")
	case notAType(t.Name):
		p.unexpected("a type")
		return nil
	case depth > MaxDepth:
		p.mistake(t.Pos, "types nest deeper than %d levels", MaxDepth)
		return nil
	}
	p.part()
	p.next()
	if t.Name == "slist" {
		p.warn(t.Pos, "slist is gone from Thrift; it is read as string")
	}
	p.cppType(t)
	if !p.arguments(t, depth) {
		return nil
	}
	p.cppType(t) // deprecated: behind a list
	if p.is('(') && p.atAnnotations() {
		var ok bool
		if t.Annotations, ok = p.annotations(); !ok {
			return nil
		}
	}
	return t
}

// notAType says whether w is a keyword that can be no type's name.
func notAType(w string) bool {
	switch w {
	case "required", "optional", "oneway", "throws", "extends", "true", "false":
		return true
	}
	return definitionWord(w)
}

func (p *parser) cppType(t *TypeRef) {
	if p.isWord("cpp_type") && p.peek().kind == literal {
		p.next()
		t.CppType = p.tok.text
		p.next()
	}
}

// arguments reads the <…> of a container. On a name that is none, it goes by what was most likely meant.
func (p *parser) arguments(t *TypeRef, depth int) bool {
	container := t.Name
	switch {
	case container == "map" || container == "list" || container == "set":
	case p.is('<'):
		container = nearest(t.Name, []string{"map", "list", "set"})
		p.mistake(t.Pos, "%s takes no types in <>%s", quote(t.Name), DidYouMean(container))
	default:
		return true
	}
	if !p.want('<', "behind "+t.Name) {
		return false
	}
	if t.Elem = p.typeRef(depth + 1); t.Elem == nil {
		return false
	}
	if container == "map" || p.is(',') {
		if container == "list" || container == "set" {
			p.mistake(p.at(), "a %s has one type in <>", container)
		}
		p.want(',', "between the types of key and value")
		t.Key = t.Elem
		if t.Elem = p.typeRef(depth + 1); t.Elem == nil {
			return false
		}
	}
	p.want('>', "at the end of "+t.Name+"<…")
	return true
}

// atAnnotations tells annotations from arguments: a ( here begins annotations if ")", or a key and what may follow one, stands behind it.
func (p *parser) atAnnotations() bool {
	from := p.here()
	defer p.back(from)
	p.next()
	if p.is(')') {
		p.next()
		return p.tok.kind == word && !p.tok.first && !p.isWord("throws")
	}
	if p.tok.kind != word {
		return false
	}
	p.dashed(&p.tok)
	p.next()
	return p.is('=') || p.is(',') || p.is(';') || p.is(')')
}

// annotations reads ( key = "value", key, … ), if it stands here.
func (p *parser) annotations() ([]Annotation, bool) {
	if !p.is('(') {
		return nil, true
	}
	open := p.here()
	p.next()
	var list []Annotation
	ok := p.items(open, ')', "the annotations", func() bool {
		a, ok := p.annotation()
		if ok {
			list = append(list, a)
			p.separator()
		}
		return ok
	})
	return list, ok
}

func (p *parser) annotation() (a Annotation, ok bool) {
	p.part()
	if p.tok.kind != word {
		p.unexpected(`an annotation: key = "value"`)
		return a, false
	}
	a.Pos = p.at()
	p.dashed(&p.tok)
	a.Name = p.tok.text
	p.next()
	if !p.take('=') {
		return a, true
	}
	a.Value, ok = p.wantLiteral("the value of annotation " + a.Name)
	return a, ok
}

// value reads a constant value at that depth, 1 for the outermost. nil after a mistake.
func (p *parser) value(depth int) *ConstValue {
	p.part()
	v := &ConstValue{Pos: p.at(), Text: p.tok.text}
	switch {
	case depth > MaxDepth:
		p.mistake(v.Pos, "values nest deeper than %d levels", MaxDepth)
		return nil
	case p.is('['):
		return p.list(v, depth)
	case p.is('{'):
		return p.mapping(v, depth)
	case p.tok.kind == integer:
		v.Kind, v.Int = Int, p.tok.num
	case p.tok.kind == double:
		v.Kind, v.Double = Double, p.tok.real
	case p.tok.kind == literal:
		v.Kind = Literal
	case p.isWord("true"):
		v.Kind, v.Int = Bool, 1
	case p.isWord("false"):
		v.Kind = Bool
	case p.tok.kind == word:
		v.Kind = Name
	default:
		p.unexpected("a value")
		return nil
	}
	p.next()
	return v
}

func (p *parser) list(v *ConstValue, depth int) *ConstValue {
	v.Kind, v.Text = List, ""
	for p.next(); !p.take(']'); p.separator() {
		x := p.element(depth, "]")
		if x == nil {
			return p.brokenValue(']')
		}
		v.List = append(v.List, x)
	}
	return v
}

func (p *parser) mapping(v *ConstValue, depth int) *ConstValue {
	v.Kind, v.Text = Map, ""
	for p.next(); !p.take('}'); p.separator() {
		key := p.element(depth, "}")
		if key == nil || !p.want(':', "between key and value") && !p.take('=') {
			return p.brokenValue('}')
		}
		x := p.value(depth + 1)
		if x == nil {
			return p.brokenValue('}')
		}
		v.Entries = append(v.Entries, ConstEntry{key, x})
	}
	return v
}

// brokenValue passes over the rest of a list or map that ends on this line, so that its closing mark is not taken for another's.
func (p *parser) brokenValue(closing byte) *ConstValue {
	for depth := 0; p.tok.kind != eof && !p.tok.first; p.next() {
		switch {
		case depth == 0 && p.is(closing):
			p.next()
			return nil
		case p.is('[') || p.is('{'):
			depth++
		case p.is(']') || p.is('}'):
			depth--
		}
	}
	return nil
}

// element reads a value of a list or the key of a map. A definition there means that the closing mark is missing.
func (p *parser) element(depth int, closing string) *ConstValue {
	if p.tok.kind == eof || p.is(')') || p.is('}') || p.is(']') || p.atDefinition() {
		p.unexpected(`a value or "` + closing + `"`)
		return nil
	}
	return p.value(depth + 1)
}
