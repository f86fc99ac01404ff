package idl

import (
	"fmt"
	"strings"
)

// Bounds of one file. Past one, parsing gives up with a mistake that says so.
const (
	MaxSourceBytes = 16 << 20  // of a file
	MaxDepth       = 64        // levels of nested types, or of nested values
	maxNameBytes   = 1024      // of what the file defines; a method's name on the wire is no longer either
	maxParts       = 1_000_000 // definitions, fields, types, values, annotations
)

// Parse reads one IDL file. name is the File of every position.
//
// It reports every mistake of syntax that it finds, at most MaxMistakes, in the order of the file, and returns the tree of what it
// could read in any case. It returns for any input, in time and memory proportional to its length.
func Parse(name string, src []byte) (*File, Mistakes) {
	f := &File{Name: name}
	p := &parser{file: f}
	p.reporter = &reporter{file: f}
	if len(src) > MaxSourceBytes {
		f.Incomplete = true
		p.mistake(Pos{name, 1, 1}, "the file has %d bytes; at most %d are read", len(src), MaxSourceBytes)
		return f, p.mistakes
	}
	f.setSource(strings.TrimPrefix(string(src), "\ufeff"))
	p.lexer = lexer{reporter: p.reporter, src: f.Source, line: 1, fresh: true}
	p.next()
	if p.word(header) {
		f.Doc = docText(p.tok.doc)
	}
	for p.tok.kind != eof {
		p.top()
	}
	f.Warnings = Mistakes(f.Warnings).Sorted()
	return f, p.mistakes.Sorted()
}

// header says whether w begins an include or a namespace.
func header(w string) bool {
	return w == "include" || w == "cpp_include" || w == "namespace" || oldNamespaces[w] != ""
}

// parser is a recursive descent parser over one token of look-ahead. A method for a rule of the grammar leaves tok behind the rule; one
// that returns false, or nil, has reported why, and its caller skips to where the next item may begin.
type parser struct {
	lexer
	tok   token
	file  *File
	parts int
}

// next moves to the next token, or to the end where parsing has given up.
func (p *parser) next() {
	p.tok = p.lexer.next()
	if p.full() && !p.file.Incomplete {
		p.giveUp()
	}
}

// giveUp makes all that follows the end of the file.
func (p *parser) giveUp() {
	p.file.Incomplete = true
	p.off, p.cut = len(p.src), true
	p.tok = token{off: p.off, end: p.off, line: p.tok.line, col: p.tok.col}
}

// part counts one node of the tree.
func (p *parser) part() {
	if p.parts++; p.parts > maxParts && !p.file.Incomplete {
		p.mistake(p.at(), "the file has more than %d parts", maxParts)
		p.giveUp()
	}
}

// peek returns the token behind tok.
func (p *parser) peek() token {
	l := p.lexer
	return l.next()
}

// place is a place in the token stream to go back to.
type place struct {
	lexer lexer
	tok   token
}

func (p *parser) here() place { return place{p.lexer, p.tok} }

func (p *parser) back(to place) {
	if !p.file.Incomplete {
		p.lexer, p.tok = to.lexer, to.tok
	}
}

// at returns where tok stands.
func (p *parser) at() Pos { return Pos{p.file.Name, p.tok.line, p.tok.col} }

// is says whether tok is that punctuation mark.
func (p *parser) is(c byte) bool { return p.tok.kind == kind(c) }

// isWord says whether tok is that word.
func (p *parser) isWord(w string) bool { return p.tok.kind == word && p.tok.text == w }

func (p *parser) word(is func(string) bool) bool { return p.tok.kind == word && is(p.tok.text) }

// take uses up that punctuation mark, if it stands here.
func (p *parser) take(c byte) bool {
	if !p.is(c) {
		return false
	}
	p.next()
	return true
}

// takeWord uses up that word, if it stands here.
func (p *parser) takeWord(w string) bool {
	if !p.isWord(w) {
		return false
	}
	p.next()
	return true
}

// want is take that reports what stands there instead. where says what the mark belongs to: "behind the field's id".
func (p *parser) want(c byte, where string) bool {
	if p.take(c) {
		return true
	}
	p.unexpected(fmt.Sprintf(`"%c" %s`, c, where))
	return false
}

// wantLiteral reads a string.
func (p *parser) wantLiteral(what string) (string, bool) {
	if p.tok.kind != literal {
		p.unexpected(what + " in quotes")
		return "", false
	}
	text := p.tok.text
	p.next()
	return text, true
}

// unexpected reports tok as not what should stand here.
func (p *parser) unexpected(want string) {
	if p.tok.bad || p.tok.kind == eof && p.cut {
		return // what is wrong is reported already
	}
	p.mistake(p.at(), "expected %s, found %s", want, p.found())
}

func (p *parser) found() string {
	switch p.tok.kind {
	case eof:
		return "the end of the file"
	case literal:
		return "the string " + quote(p.tok.text)
	}
	return quote(p.tok.text)
}

// name reads the name of what a definition, field, function or value is.
func (p *parser) name(of string) (string, Pos, bool) {
	if p.tok.kind != word {
		p.unexpected("the name of " + of)
		return "", p.at(), false
	}
	name, pos := p.tok.text, p.at()
	switch {
	case len(name) > maxNameBytes:
		p.mistake(pos, "the name of %s is longer than %d bytes", of, maxNameBytes)
		return "", pos, false
	case strings.IndexByte(name, '.') >= 0:
		p.mistake(pos, "the name of %s has a dot: %s", of, quote(name))
	case name == "true" || name == "false":
		p.mistake(pos, "%s cannot be the name of %s", quote(name), of)
	case notNames[name]:
		p.warn(pos, "%s is a reserved word: ThriftPy and older Thrift compilers refuse it as a name", quote(name))
	}
	p.next()
	return name, pos, true
}

// separator uses up one , or ; and reports a second.
func (p *parser) separator() {
	if !p.take(',') && !p.take(';') {
		return
	}
	for p.is(',') || p.is(';') {
		p.mistake(p.at(), "extra %s", quote(p.tok.text))
		p.next()
	}
}

// atDefinition says whether a definition begins here: its keyword, then on the same line its name or type.
func (p *parser) atDefinition() bool {
	if !p.word(definitionWord) {
		return false
	}
	then := p.peek()
	return (then.kind == word || then.kind == literal) && !then.first
}

// atFunction says whether a new line begins a method here: what a list of arguments runs into where its ) is missing.
func (p *parser) atFunction() bool {
	if !p.tok.first || p.tok.kind != word {
		return false
	}
	if p.isWord("oneway") || p.isWord("void") {
		return p.peek().kind == word
	}
	from := p.here()
	defer p.back(from)
	for p.next(); p.is('<') || p.is('>') || p.is(','); p.next() {
		if !p.is('>') {
			p.next()
		}
	}
	if p.tok.kind != word {
		return false
	}
	p.next()
	return p.is('(') && !p.atAnnotations()
}

// items reads items up to the closing mark, which it uses up; what names their owner. A broken item is passed over: up to the next
// separator, the next line, the closing mark, or a definition.
func (p *parser) items(open place, closing byte, what string, item func() bool) bool {
	for !p.take(closing) {
		if p.tok.kind == eof || p.atDefinition() || closing == ')' && (p.is('}') || p.atFunction()) {
			p.neverClosed(open, closing, what)
			return false
		}
		from := p.tok.off
		if item() {
			continue
		}
		if p.tok.off == from && p.tok.kind != eof {
			if !p.tok.bad {
				p.unexpected("an item of " + what)
			}
			p.next()
		}
		p.resync(closing)
	}
	return true
}

// neverClosed reports the mark that opened what has no end: at the opening mark, where the file ends before it is closed.
func (p *parser) neverClosed(open place, closing byte, what string) {
	if p.tok.kind == eof {
		if !p.cut {
			p.mistake(Pos{p.file.Name, open.tok.line, open.tok.col}, `%s is never closed: missing "%c"`, what, closing)
		}
		return
	}
	p.unexpected(fmt.Sprintf(`"%c" at the end of %s (opened in line %d)`, closing, what, open.tok.line))
}

// resync passes over the rest of a broken item.
func (p *parser) resync(closing byte) {
	for depth := 0; p.tok.kind != eof; p.next() {
		switch {
		case p.tok.first && p.atDefinition():
			return
		case depth == 0 && (p.is(closing) || p.is('}') || p.tok.first):
			return
		case p.is('(') || p.is('[') || p.is('{'):
			depth++
		case p.is(')') || p.is(']') || p.is('}'):
			depth = max(depth-1, 0)
		case depth == 0 && (p.is(',') || p.is(';')):
			for p.take(',') || p.take(';') {
			}
			return
		}
	}
}
