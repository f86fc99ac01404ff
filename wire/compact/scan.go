package compact

import (
	"math"

	"github.com/thriftloom/thriftloom/wire"
)

// Scanner finds the end of one struct in a stream that comes piece by piece: an incremental walk over type codes that decodes nothing,
// copies nothing and goes on where it stopped. It keeps its stack between structs, so that only a struct deeper than all before it
// allocates. Reset comes before the first Scan. Not safe for concurrent use.
type Scanner struct {
	pos   int // of the next token, from the struct's start; beyond the bytes so far while a long value is on its way
	limit int // bytes that the struct may take
	depth int // levels that the struct may nest
	stack []level
}

// level is a struct or container that is open: its values are walked one by one.
type level struct {
	left      int       // values to come (a map's keys count as well), or untilStop
	even, odd wire.Type // of the next value, by left: a map's keys come at even counts
	last      int16     // id of the field before, in a struct
}

const untilStop = -1 // a struct: its bytes say where it ends

// Reset makes s ready for the next struct. consumed is how many bytes of the message stand before it: what is left of the message limit
// bounds the struct, and every length and count in it.
func (s *Scanner) Reset(limits wire.Limits, consumed int) {
	limits = limits.WithDefaults()
	s.pos = 0
	s.limit = limits.MessageBytes - consumed
	s.depth = limits.Depth
	s.stack = append(s.stack[:0], level{left: untilStop})
}

// Scan goes on with the walk over buf, which begins with the struct's first byte, holds all that came so far and grows from call to call.
//
// end > 0 is the struct's length. Else need is the least length of buf that is worth another call, never more than the limit. A token
// that was whole is not looked at again; a string, or a container of values of one length, is one step however long it is. An error comes
// as soon as the bytes show it, and comes again if Scan is called again.
func (s *Scanner) Scan(buf []byte) (end, need int, err error) {
	buf = buf[:min(len(buf), max(s.limit, 0))]
	for len(s.stack) > 0 {
		top := &s.stack[len(s.stack)-1]
		at, t, id := s.pos, top.odd, top.last // where the next value begins, and its type
		switch {
		case top.left == untilStop:
			var inHeader bool
			if at, t, id, inHeader, need, err = field(buf, s.pos, top.last); need > 0 || err != nil {
				return s.want(need, err)
			}
			if t == wire.Stop {
				s.pos = at
				s.stack = s.stack[:len(s.stack)-1]
				continue
			}
			if inHeader {
				s.pos, top.last = at, id
				continue
			}
		case top.left == 0:
			s.stack = s.stack[:len(s.stack)-1]
			continue
		case top.left&1 == 0:
			t = top.even
		}
		next, open, need, err := s.value(buf, t, at)
		if need > 0 || err != nil {
			return s.want(need, err)
		}
		if next > s.limit {
			return s.want(next, nil)
		}
		top.last = id
		if top.left > 0 {
			top.left--
		}
		s.pos = next
		if open.left != 0 {
			s.stack = append(s.stack, open)
		}
	}
	return s.pos, 0, nil
}

// field reads what stands before a field's value at at; a bool lies in it. need > 0: it is not there in full.
func field(buf []byte, at int, last int16) (next int, t wire.Type, id int16, inHeader bool, need int, err error) {
	r := Reader{Buf: buf, Pos: at}
	if at >= len(buf) {
		return 0, 0, 0, false, at + 1, nil
	}
	if b := buf[at]; b != byte(wire.Stop) && b>>4 == 0 { // a long form: its id may not be there in full
		_, _, need, err := uvarint(buf, at+1, maxVarint16)
		if types[b&0x0f] != wire.Stop && (need > 0 || err != nil) {
			return 0, 0, 0, false, need, err
		}
	}
	t, id, _, err = r.Field(last)
	return r.Pos, t, id, t == wire.Bool, 0, err
}

// value looks at a value at at. It returns where the walk goes on: behind the value, or inside it with the level to open. need > 0: what
// tells its length is not there in full.
func (s *Scanner) value(buf []byte, t wire.Type, at int) (next int, open level, need int, err error) {
	switch t {
	case wire.Bool, wire.I8, wire.Double, wire.UUID:
		return at + int(fixedSizes[t]), open, 0, nil
	case wire.I16, wire.I32, wire.I64:
		next, need, err = number(buf, t, at)
		return next, open, need, err
	case wire.String:
		n, from, need, err := size(buf, at, s.limit, "a string")
		return from + n, open, need, err
	}
	if len(s.stack) >= s.depth {
		return 0, open, 0, tooDeep(at)
	}
	switch t {
	case wire.Struct:
		return at, level{left: untilStop}, 0, nil
	case wire.Map:
		key, value, n, next, need, err := mapHead(buf, at, s.limit)
		if k, v := int(fixedSizes[key]), int(fixedSizes[value]); k > 0 && v > 0 {
			return next + n*(k+v), open, need, err
		}
		return next, level{left: 2 * n, even: key, odd: value}, need, err
	}
	elem, n, next, need, err := listHead(buf, at, s.limit)
	if size := int(fixedSizes[elem]); size > 0 {
		return next + n*size, open, need, err
	}
	return next, level{left: n, even: elem, odd: elem}, need, err
}

// number looks at a whole number of type t at at.
func number(buf []byte, t wire.Type, at int) (next, need int, err error) {
	most, high := maxVarint64, uint64(math.MaxUint64)
	switch t {
	case wire.I16:
		most, high = maxVarint16, math.MaxUint16
	case wire.I32:
		most, high = maxVarint32, math.MaxUint32
	}
	v, next, need, err := uvarint(buf, at, most)
	if v > high {
		err = wire.Errorf(wire.BadValue, at, "a number is out of range for %s", t)
	}
	return next, need, err
}

// Drop tells the walk that the first n bytes it was shown are gone: from now on buf begins behind them. It goes over those only that the
// walk is through with, and returns how many that are.
func (s *Scanner) Drop(n int) int {
	n = min(n, s.pos)
	s.pos -= n
	s.limit -= n
	return n
}

// want asks for n bytes of the struct, or says that it may not have so many.
func (s *Scanner) want(n int, err error) (end, need int, _ error) {
	if err == nil && n > s.limit {
		err = wire.Errorf(wire.SizeLimit, s.pos, "the message is longer than the limit")
	}
	if err != nil {
		return 0, 0, err
	}
	return 0, n, nil
}

func tooDeep(at int) error {
	return wire.Errorf(wire.DepthLimit, at, "nested deeper than the limit")
}
