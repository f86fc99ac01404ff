// Package jsontext reads JSON text as Thrift's two JSON protocols write it: strictly, whole, and token by token. It knows nothing of Thrift.
//
// Besides RFC 8259 the bare words NaN, Infinity and -Infinity stand for numbers, as Python writes them. Every error is a *wire.Error.
package jsontext

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/thriftloom/thriftloom/wire"
)

// Reader reads the tokens of Buf from Pos on. A method that fails returns a *wire.Error whose offset counts from the start of Buf. Not safe
// for concurrent use.
type Reader struct {
	Buf []byte
	Pos int
}

// Next returns the first byte of the next token, white space left out; 0 at the end.
func (r *Reader) Next() byte {
	for ; r.Pos < len(r.Buf); r.Pos++ {
		switch c := r.Buf[r.Pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// Take reads the byte c, one of []{},:.
func (r *Reader) Take(c byte) error {
	if r.Next() != c {
		return r.wrong("expected " + strconv.QuoteRune(rune(c)))
	}
	r.Pos++
	return nil
}

func (r *Reader) wrong(text string) error {
	if r.Pos >= len(r.Buf) {
		return wire.Errorf(wire.Truncated, r.Pos, "the JSON ends too early")
	}
	return wire.Errorf(wire.BadValue, r.Pos, "not JSON: %s", text)
}

// More reads what stands between the values of an array or object that end closes, n of which were read: a comma, or the end. false: it has
// ended.
func (r *Reader) More(end byte, n int) (bool, error) {
	switch c := r.Next(); {
	case c == end:
		r.Pos++
		return false, nil
	case n == 0:
		return true, nil
	case c != ',':
		return false, r.wrong("expected a comma or the end")
	}
	r.Pos++
	if r.Next() == end {
		return false, r.wrong("a comma before the end")
	}
	return true, nil
}

// Key reads an object's key and the colon behind it.
func (r *Reader) Key() ([]byte, error) {
	key, err := r.String()
	if err == nil {
		err = r.Take(':')
	}
	return key, err
}

// String reads a string and returns what it stands for: a slice of Buf where nothing is escaped. Bytes that are not UTF-8 are kept.
func (r *Reader) String() ([]byte, error) {
	if err := r.Take('"'); err != nil {
		return nil, err
	}
	from := r.Pos
	for ; r.Pos < len(r.Buf); r.Pos++ {
		switch c := r.Buf[r.Pos]; {
		case c == '"':
			r.Pos++
			return r.Buf[from : r.Pos-1 : r.Pos-1], nil
		case c == '\\':
			return r.escaped(from)
		case c < ' ':
			return nil, r.wrong("a control character in a string")
		}
	}
	return nil, r.wrong("")
}

// escaped goes on with a string that began at from and has its first escape here.
func (r *Reader) escaped(from int) ([]byte, error) {
	out := append([]byte{}, r.Buf[from:r.Pos]...)
	for r.Pos < len(r.Buf) {
		c := r.Buf[r.Pos]
		switch {
		case c == '"':
			r.Pos++
			return out, nil
		case c < ' ':
			return nil, r.wrong("a control character in a string")
		case c != '\\':
			out = append(out, c)
			r.Pos++
			continue
		}
		var err error
		if out, err = r.escape(out); err != nil {
			return nil, err
		}
	}
	return nil, r.wrong("")
}

// escapes are the letters behind a backslash.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (r *Reader) escape(out []byte) ([]byte, error) {
	if r.Pos+1 >= len(r.Buf) {
		r.Pos = len(r.Buf)
		return nil, r.wrong("")
	}
	c := r.Buf[r.Pos+1]
	if e := escapes[c]; e != 0 {
		r.Pos += 2
		return append(out, e), nil
	}
	if c != 'u' {
		return nil, r.wrong("an unknown escape")
	}
	v, err := r.hex()
	if err != nil {
		return nil, err
	}
	if utf16.IsSurrogate(v) { // what has no other half stands for U+FFFD
		at := r.Pos
		if r.Pos+1 < len(r.Buf) && r.Buf[r.Pos] == '\\' && r.Buf[r.Pos+1] == 'u' {
			low, err := r.hex()
			if err != nil {
				return nil, err
			}
			if v = utf16.DecodeRune(v, low); v == utf8.RuneError {
				r.Pos = at
			}
		} else {
			v = utf8.RuneError
		}
	}
	return utf8.AppendRune(out, v), nil
}

// hex reads \uXXXX.
func (r *Reader) hex() (rune, error) {
	if r.Pos+6 > len(r.Buf) {
		r.Pos = len(r.Buf)
		return 0, r.wrong("")
	}
	v, err := strconv.ParseUint(string(r.Buf[r.Pos+2:r.Pos+6]), 16, 16)
	if err != nil || r.Buf[r.Pos+2] == '+' {
		return 0, r.wrong("an escape without four hex digits")
	}
	r.Pos += 6
	return rune(v), nil
}

// Number reads a number and returns its text: of JSON, or one of the words NaN, Infinity and -Infinity.
func (r *Reader) Number() (string, error) {
	r.Next()
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if r.word(word) {
			return word, nil
		}
	}
	at := r.Pos
	i := at
	digits := func() bool {
		from := i
		for i < len(r.Buf) && r.Buf[i] >= '0' && r.Buf[i] <= '9' {
			i++
		}
		return i > from
	}
	is := func(set string) bool {
		for j := range len(set) {
			if i < len(r.Buf) && r.Buf[i] == set[j] {
				i++
				return true
			}
		}
		return false
	}
	is("-")
	ok := is("0") || digits()
	if ok && is(".") {
		ok = digits()
	}
	if ok && is("eE") {
		is("+-")
		ok = digits()
	}
	if !ok {
		if i >= len(r.Buf) {
			r.Pos = len(r.Buf)
		}
		return "", r.wrong("expected a number")
	}
	r.Pos = i
	return string(r.Buf[at:i]), nil
}

// word reads a bare word, if it stands here.
func (r *Reader) word(word string) bool {
	end := r.Pos + len(word)
	if end > len(r.Buf) || string(r.Buf[r.Pos:end]) != word {
		return false
	}
	if end < len(r.Buf) {
		if c := r.Buf[end] | 0x20; c >= 'a' && c <= 'z' {
			return false
		}
	}
	r.Pos = end
	return true
}

// Bool reads true or false.
func (r *Reader) Bool() (bool, error) {
	r.Next()
	switch {
	case r.word("true"):
		return true, nil
	case r.word("false"):
		return false, nil
	}
	return false, r.wrong("expected true or false")
}

// Null reads null, if it stands here.
func (r *Reader) Null() bool {
	return r.Next() == 'n' && r.word("null")
}

// Skip walks over one value, whose arrays and objects nest at most depth levels deep, and checks all of it.
func (r *Reader) Skip(depth int) (err error) {
	switch c := r.Next(); c {
	case '"':
		_, err = r.String()
	case 't', 'f':
		_, err = r.Bool()
	case 'n':
		if !r.Null() {
			err = r.wrong("an unknown word")
		}
	case '[', '{':
		return r.skipNested(c, depth)
	default:
		_, err = r.Number()
	}
	return err
}

func (r *Reader) skipNested(open byte, depth int) error {
	if depth <= 0 {
		return wire.Errorf(wire.DepthLimit, r.Pos, "nested deeper than the limit")
	}
	r.Pos++
	end := open + 2 // ] is two behind [, and } behind {
	for n := 0; ; n++ {
		more, err := r.More(end, n)
		if err != nil || !more {
			return err
		}
		if open == '{' {
			if _, err := r.Key(); err != nil {
				return err
			}
		}
		if err := r.Skip(depth - 1); err != nil {
			return err
		}
	}
}

// End checks that nothing but white space is left.
func (r *Reader) End() error {
	if r.Next() != 0 || r.Pos < len(r.Buf) {
		return wire.Errorf(wire.Trailing, r.Pos, "%d bytes follow the message", len(r.Buf)-r.Pos)
	}
	return nil
}
