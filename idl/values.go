package idl

import (
	"strconv"
	"strings"
)

// startsNumber says whether a number begins here: a digit, or a sign or dot with a digit behind it.
func (l *lexer) startsNumber() bool {
	i := l.off
	if c := l.src[i]; c == '+' || c == '-' {
		i++
	}
	if i < len(l.src) && l.src[i] == '.' {
		i++
	}
	return l.is(i, digit)
}

// number reads an integer (12, -7, 0x1F, -0x10) or a double (1.5, 1., .5, 1e9).
func (l *lexer) number(t *token) {
	t.kind = integer
	i := l.off
	if c := l.src[i]; c == '+' || c == '-' {
		i++
	}
	hex := strings.HasPrefix(l.src[i:], "0x")
	if hex {
		i += 2
		for l.is(i, inName) && isHex(l.src[i]) {
			i++
		}
	} else {
		i = l.decimal(t, i)
	}
	if l.is(i, startsName) || hex && l.src[i-1] == 'x' {
		for l.is(i, inName) {
			i++
		}
		l.off, t.bad, t.text = i, true, l.src[l.off:i]
		l.mistake(l.pos(t.off), "malformed number %s", quote(t.text))
		return
	}
	t.text, l.off = l.src[l.off:i], i
	l.convert(t, hex)
}

// decimal finds the end of a number that is not hex, from its first digit or dot on.
func (l *lexer) decimal(t *token, i int) int {
	for l.is(i, digit) {
		i++
	}
	if i < len(l.src) && l.src[i] == '.' {
		t.kind = double
		for i++; l.is(i, digit); i++ {
		}
	}
	if i < len(l.src) && l.src[i]|0x20 == 'e' {
		j := i + 1
		if j < len(l.src) && (l.src[j] == '+' || l.src[j] == '-') {
			j++
		}
		if l.is(j, digit) {
			t.kind = double
			for i = j; l.is(i, digit); i++ {
			}
		}
	}
	return i
}

// convert sets the number's value.
func (l *lexer) convert(t *token, hex bool) {
	var err error
	switch {
	case t.kind == double:
		t.real, err = strconv.ParseFloat(t.text, 64)
	case hex:
		t.num, err = strconv.ParseInt(strings.Replace(t.text, "0x", "", 1), 16, 64)
	default:
		t.num, err = strconv.ParseInt(t.text, 10, 64)
	}
	if err == nil {
		return
	}
	t.bad = true
	if t.kind == double {
		l.mistake(l.pos(t.off), "%s does not fit a double", quote(t.text))
	} else {
		l.mistake(l.pos(t.off), "%s does not fit 64 bits", quote(t.text))
	}
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// literal reads a string in either quotes. One that is not closed ends with its line.
func (l *lexer) literal(t *token, mark byte) {
	t.kind = literal
	l.off++
	from := l.off
	for l.off < len(l.src) {
		switch l.src[l.off] {
		case mark:
			t.text = l.unescape(t, from, l.off)
			l.off++
			return
		case '\\':
			l.off++
			if l.off < len(l.src) && l.src[l.off] != '\n' {
				l.off++
			}
			continue
		case '\n':
			l.unclosed(t, from)
			return
		}
		l.off++
	}
	l.unclosed(t, from)
}

func (l *lexer) unclosed(t *token, from int) {
	t.bad, t.text = true, strings.TrimSuffix(l.src[from:l.off], "\r")
	l.mistake(l.pos(t.off), "string is not closed on its line: missing %c", l.src[t.off])
}

// unescape returns src[from:to] with its escapes replaced.
func (l *lexer) unescape(t *token, from, to int) string {
	raw := l.src[from:to]
	if strings.IndexByte(raw, '\\') < 0 {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			b.WriteByte(raw[i])
			continue
		}
		i++
		n := strings.IndexByte(`trn\'"`, raw[i])
		if n < 0 {
			t.bad = true
			l.mistake(l.pos(from+i-1), `unknown escape %s; the escapes are \t \r \n \\ \' \"`, quote(`\`+firstRune(raw[i:])))
			continue
		}
		b.WriteByte("\t\r\n\\'\""[n])
	}
	return b.String()
}
