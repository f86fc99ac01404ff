package jsontext

import "github.com/thriftloom/thriftloom/wire"

// Finder finds the end of one array or object in a stream that comes piece by piece: it counts brackets outside of strings, decodes
// nothing, copies nothing and goes on where it stopped. What lies between the brackets is for a Reader to check. Reset comes before the
// first Find. Not safe for concurrent use.
type Finder struct {
	pos      int // of the next byte to look at
	limit    int
	most     int
	depth    int
	inString bool
	escaped  bool
}

// Reset makes f ready for the next value, of at most limit bytes, whose arrays and objects nest at most depth levels deep.
func (f *Finder) Reset(limit, depth int) { *f = Finder{limit: limit, most: depth} }

// Find goes on over buf, which begins with the value's first byte, a bracket, and grows from call to call. end > 0 is the value's length;
// else one byte more is worth another call. The error is a *wire.Error.
func (f *Finder) Find(buf []byte) (end int, err error) {
	for ; f.pos < len(buf); f.pos++ {
		if f.pos >= f.limit {
			return 0, wire.Errorf(wire.SizeLimit, f.pos, "the message is longer than the limit")
		}
		c := buf[f.pos]
		switch {
		case f.escaped:
			f.escaped = false
		case f.inString:
			f.escaped, f.inString = c == '\\', c != '"'
		case c == '"':
			f.inString = true
		case c == '[' || c == '{':
			if f.depth++; f.depth > f.most {
				return 0, wire.Errorf(wire.DepthLimit, f.pos, "nested deeper than the limit")
			}
		case c == ']' || c == '}':
			if f.depth--; f.depth == 0 {
				f.pos++
				return f.pos, nil
			}
		}
	}
	return 0, nil
}

// Drop tells f that the first n bytes it was shown are gone, all of which it has looked at, and returns n.
func (f *Finder) Drop(n int) int {
	n = min(n, f.pos)
	f.pos -= n
	f.limit -= n
	return n
}
