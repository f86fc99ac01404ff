package idl

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is. A punctuation mark is its own byte.
type kind uint8

const (
	eof kind = iota
	word
	integer
	double
	literal
)

// token is one word, number, literal or punctuation mark.
type token struct {
	kind      kind
	first     bool // the first on its line
	bad       bool // a mistake in it is reported already; its value is a guess
	off, end  int  // in the source
	line, col int
	text      string // a word or number as written; a literal without quotes, unescaped
	num       int64
	real      float64
	doc       string // the /** */ comment before it, as written
}

// lexer cuts a source into tokens. A copy of it is a place to come back to.
type lexer struct {
	*reporter
	src       string
	off       int
	line      int
	lineStart int
	fresh     bool // no token yet on this line
	cut       bool // a comment that never ends has swallowed the rest
}

// The classes of bytes.
const (
	startsName = 1 << iota
	inName
	digit
	mark
)

var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			t[c] = startsName | inName
		case '0' <= c && c <= '9':
			t[c] = digit | inName
		case strings.IndexByte("{}()[]<>,;:=*&", byte(c)) >= 0:
			t[c] = mark
		}
	}
	return t
}()

// is says whether byte i of the source is of a class.
func (l *lexer) is(i int, c uint8) bool { return i < len(l.src) && class[l.src[i]]&c != 0 }

func (l *lexer) pos(off int) Pos { return Pos{l.file.Name, l.line, off - l.lineStart + 1} }

// next reads one token. What is no token is reported and passed over.
func (l *lexer) next() token {
	t := token{}
	for {
		t.doc = l.space(t.doc)
		t.off, t.line, t.col, t.first = l.off, l.line, l.off-l.lineStart+1, l.fresh
		if l.off >= len(l.src) {
			t.end = l.off
			return t
		}
		if l.token(&t) {
			t.end, l.fresh = l.off, false
			return t
		}
	}
}

// token reads what stands at l.off; false if it is nothing.
func (l *lexer) token(t *token) bool {
	c := l.src[l.off]
	switch {
	case class[c]&startsName != 0:
		l.name(t)
	case class[c]&mark != 0:
		l.off++
		t.kind, t.text = kind(c), l.src[t.off:l.off]
	case c == '"' || c == '\'':
		l.literal(t, c)
	case l.startsNumber():
		l.number(t)
	default:
		return l.stray(t)
	}
	return true
}

// name reads a word: letters, digits, _, and a dot where one of those follows.
func (l *lexer) name(t *token) {
	t.kind = word
	for l.is(l.off, inName) || l.off < len(l.src) && l.src[l.off] == '.' && l.is(l.off+1, inName) {
		l.off++
	}
	if l.off < len(l.src) && l.src[l.off] >= utf8.RuneSelf {
		l.foreignName(t)
	}
	t.text = l.src[t.off:l.off]
}

// foreignName reads on through letters beyond ASCII, so that a name with one is one mistake.
func (l *lexer) foreignName(t *token) {
	from := l.off
	for l.off < len(l.src) {
		r, n := utf8.DecodeRuneInString(l.src[l.off:])
		if r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.Is(unicode.M, r) && !l.is(l.off, inName) {
			break
		}
		l.off += n
	}
	if l.off > from {
		t.kind, t.bad = word, true
		l.mistake(l.pos(from), "names have ASCII letters, digits and _ only, not %s", quote(firstRune(l.src[from:])))
	}
}

// dashed reads on where t is a word with dashes, as namespaces and annotation keys of other tools have them. No token behind t may
// have been read.
func (l *lexer) dashed(t *token) {
	for l.is(l.off, inName) || l.is(l.off+1, inName) && (l.src[l.off] == '-' || l.src[l.off] == '.') {
		l.off++
	}
	t.end, t.text = l.off, l.src[t.off:l.off]
}

// stray passes over bytes that begin no token, and reports the first of them. A foreign letter is a word and gives true.
func (l *lexer) stray(t *token) bool {
	if l.foreignName(t); t.kind == word {
		t.text = l.src[t.off:l.off]
		return true
	}
	r := firstRune(l.src[l.off:])
	hint := ""
	switch {
	case r == "@":
		hint = ": structured annotations are not part of Apache Thrift; write (key = \"value\") behind what they belong to"
	case r == "/":
		hint = ": a comment begins with //, # or /*"
	}
	if c, _ := utf8.DecodeRuneInString(r); c == utf8.RuneError || !unicode.IsGraphic(c) || c == '\u00a0' {
		l.mistake(l.pos(l.off), "illegal character %#x%s", r, hint)
	} else {
		l.mistake(l.pos(l.off), "illegal character %s%s", quote(r), hint)
	}
	l.off += len(r)
	for r == "@" && (l.is(l.off, inName) || l.is(l.off+1, inName) && l.src[l.off] == '.') {
		l.off++ // the annotation's name is no word of its own
	}
	for l.off < len(l.src) && strings.HasPrefix(l.src[l.off:], r) {
		l.off += len(r)
	}
	return false
}

// firstRune returns the bytes of the first rune of s, or its first byte if that is no UTF-8.
func firstRune(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// space passes over white space and comments. It returns the last doc comment among them, else doc.
func (l *lexer) space(doc string) string {
	for l.off < len(l.src) {
		switch c := l.src[l.off]; {
		case c == '\n':
			l.newline(l.off)
			l.off++
		case c == ' ' || c == '\t' || c == '\r':
			l.off++
		case c == '#' || c == '/' && strings.HasPrefix(l.src[l.off:], "//"):
			if n := strings.IndexByte(l.src[l.off:], '\n'); n >= 0 {
				l.off += n
			} else {
				l.off = len(l.src)
			}
		case c == '/' && strings.HasPrefix(l.src[l.off:], "/*"):
			if text := l.comment(); len(text) > len("/***/") && text[2] == '*' {
				doc = text
			}
		default:
			return doc
		}
	}
	return doc
}

func (l *lexer) newline(at int) {
	l.line++
	l.lineStart, l.fresh = at+1, true
}

// comment passes over a block comment, which ends at the first */ and nowhere else, and returns it.
func (l *lexer) comment() string {
	from := l.off
	n := strings.Index(l.src[from+2:], "*/")
	if n < 0 {
		l.mistake(l.pos(from), "comment is never closed: missing */")
		l.off, l.cut = len(l.src), true
	} else {
		l.off = from + 2 + n + 2
	}
	text := l.src[from:l.off]
	for i := 0; ; {
		n := strings.IndexByte(text[i:], '\n')
		if n < 0 {
			return text
		}
		i += n + 1
		l.newline(from + i - 1)
	}
}
