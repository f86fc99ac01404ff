package binary

import (
	"encoding/binary"

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
		s.pos = top.skim(buf, s.pos)
		at, t := s.pos, top.odd // where the next value begins, and its type
		switch {
		case top.left == untilStop:
			if s.pos >= len(buf) {
				return s.want(s.pos + 1)
			}
			if t = wire.Type(buf[s.pos]); t == wire.Stop {
				s.pos++
				s.stack = s.stack[:len(s.stack)-1]
				continue
			}
			if minSizes[t] == 0 {
				return 0, 0, badType(s.pos, "a field", t)
			}
			at += 3
		case top.left == 0:
			s.stack = s.stack[:len(s.stack)-1]
			continue
		case top.left&1 == 0:
			t = top.even
		}
		end, open := at+int(fixedSizes[t]), level{}
		if end == at {
			if end, open, need, err = s.open(buf, t, at); err != nil {
				return 0, 0, err
			}
			if need > 0 {
				return s.want(need)
			}
		}
		if end > s.limit {
			return s.want(end)
		}
		if top.left > 0 {
			top.left--
		}
		s.pos = end
		if open.left != 0 {
			s.stack = append(s.stack, open)
		}
	}
	return s.pos, 0, nil
}

// skim goes over the next values as long as they are fields or elements of a fixed size, or strings, that are there in full: most are, and
// need no look at what may be wrong with the others.
func (l *level) skim(buf []byte, at int) (next int) {
	if l.left == untilStop {
		for at+3+4 <= len(buf) {
			t := wire.Type(buf[at])
			size := int(fixedSizes[t])
			if t == wire.String {
				size = 4 + int(binary.BigEndian.Uint32(buf[at+3:]))
			}
			if size <= 0 || size > len(buf)-at-3 {
				break
			}
			at += 3 + size
		}
		return at
	}
	for l.left > 0 && at+4 <= len(buf) {
		t := l.odd
		if l.left&1 == 0 {
			t = l.even
		}
		size := int(fixedSizes[t])
		if t == wire.String {
			size = 4 + int(binary.BigEndian.Uint32(buf[at:]))
		}
		if size <= 0 || size > len(buf)-at {
			break
		}
		at += size
		l.left--
	}
	return at
}

// Drop tells the walk that the first n bytes it was shown are gone: from now on buf begins behind them. It goes over those only that the
// walk is through with, and returns how many that are.
func (s *Scanner) Drop(n int) int {
	n = min(n, s.pos)
	s.pos -= n
	s.limit -= n
	return n
}

// open looks at the head of a value at at whose length is in its bytes. It returns where the walk goes on: behind the value, or inside it
// with the level to open. need > 0: the head is not there in full.
func (s *Scanner) open(buf []byte, t wire.Type, at int) (next int, l level, need int, err error) {
	if t == wire.String {
		if len(buf) < at+4 {
			return 0, l, at + 4, nil
		}
		n, left := int32(be.Uint32(buf[at:])), s.limit-at-4
		if n < 0 || int(n) > left {
			return 0, l, 0, badLength(at, n, left)
		}
		return at + 4 + int(n), l, 0, nil
	}
	if len(s.stack) >= s.depth {
		return 0, l, 0, tooDeep(at)
	}
	head := int(minSizes[t]) // of a container its least length is that of its head
	switch {
	case t == wire.Struct:
		return at, level{left: untilStop}, 0, nil
	case len(buf) < at+head:
		return 0, l, at + head, nil
	case t == wire.Map:
		return s.openMap(buf, at)
	}
	elem := wire.Type(buf[at])
	n, err := count(at, be.Uint32(buf[at+1:]), s.limit-at-head, elem)
	if err != nil {
		return 0, l, 0, err
	}
	if size := int(fixedSizes[elem]); size > 0 {
		return at + head + n*size, l, 0, nil
	}
	return at + head, level{left: n, even: elem, odd: elem}, 0, nil
}

func (s *Scanner) openMap(buf []byte, at int) (next int, l level, need int, err error) {
	key, value := wire.Type(buf[at]), wire.Type(buf[at+1])
	n, err := pairs(at, be.Uint32(buf[at+2:]), s.limit-at-6, key, value)
	if err != nil {
		return 0, l, 0, err
	}
	if k, v := int(fixedSizes[key]), int(fixedSizes[value]); k > 0 && v > 0 {
		return at + 6 + n*(k+v), l, 0, nil
	}
	return at + 6, level{left: 2 * n, even: key, odd: value}, 0, nil
}

// want asks for n bytes of the struct, or says that it may not have so many.
func (s *Scanner) want(n int) (end, need int, err error) {
	if n > s.limit {
		return 0, 0, wire.Errorf(wire.SizeLimit, s.pos, "the message is longer than the limit")
	}
	return 0, n, nil
}
