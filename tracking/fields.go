package tracking

import (
	"fmt"
	"strconv"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

func decimal(n int) string { return strconv.Itoa(n) }

// writer appends one struct, its fields by rising id.
type writer struct {
	dst      []byte
	protocol wire.Protocol
	last     int16
}

func (w *writer) field(t wire.Type, id int16) {
	switch w.protocol {
	case wire.Binary:
		w.dst = binary.AppendField(w.dst, t, id)
	case wire.Compact:
		w.dst = compact.AppendField(w.dst, t, id, w.last)
	default:
		panic(fmt.Sprintf("tracking: protocol %s is not built", w.protocol))
	}
	w.last = id
}

func (w *writer) value(v string) {
	if w.protocol == wire.Compact {
		w.dst = compact.AppendString(w.dst, v)
		return
	}
	w.dst = binary.AppendString(w.dst, v)
}

func (w *writer) text(id int16, v string) {
	w.field(wire.String, id)
	w.value(v)
}

func (w *writer) number(id int16, v int32) {
	w.field(wire.I32, id)
	if w.protocol == wire.Compact {
		w.dst = compact.AppendI32(w.dst, v)
		return
	}
	w.dst = binary.AppendI32(w.dst, v)
}

func (w *writer) texts(id int16, m map[string]string) {
	w.field(wire.Map, id)
	if w.protocol == wire.Compact {
		w.dst = compact.AppendMap(w.dst, wire.String, wire.String, len(m))
	} else {
		w.dst = binary.AppendMap(w.dst, wire.String, wire.String, len(m))
	}
	for _, k := range sortedKeys(m) {
		w.value(k)
		w.value(m[k])
	}
}

func (w *writer) stop() []byte { return append(w.dst, byte(wire.Stop)) }

// values are what both protocols' readers have in common.
type values interface {
	I32() (int32, error)
	Bytes() ([]byte, error)
	Map() (key, value wire.Type, n int, err error)
	Left() int
}

// reader reads one struct.
type reader struct {
	values
	protocol wire.Protocol
	buf      []byte
	pos      *int
	last     int16
}

func newReader(p wire.Protocol, buf []byte) *reader {
	switch p {
	case wire.Binary:
		r := &binary.Reader{Buf: buf}
		return &reader{values: r, protocol: p, buf: buf, pos: &r.Pos}
	case wire.Compact:
		r := &compact.Reader{Buf: buf}
		return &reader{values: r, protocol: p, buf: buf, pos: &r.Pos}
	}
	panic(fmt.Sprintf("tracking: protocol %s is not built", p))
}

// parse hands each field of the struct that is all of buf to take, which reports whether it has read the value; else that is skipped.
func parse(p wire.Protocol, buf []byte, take func(r *reader, id int16, t wire.Type) (bool, error)) error {
	if len(buf) > MaxHeaderBytes {
		return wire.Errorf(wire.SizeLimit, 0, "a tracking struct has %d bytes, the limit is %d", len(buf), MaxHeaderBytes)
	}
	r := newReader(p, buf)
	for {
		t, id, err := r.field()
		if err != nil {
			return err
		}
		if t == wire.Stop {
			if n := r.Left(); n > 0 {
				return wire.Errorf(wire.Trailing, *r.pos, "%d bytes follow a tracking struct", n)
			}
			return nil
		}
		if err := r.take(id, t, take); err != nil {
			return err
		}
	}
}

func (r *reader) take(id int16, t wire.Type, take func(r *reader, id int16, t wire.Type) (bool, error)) error {
	at := *r.pos
	if done, err := take(r, id, t); done || err != nil {
		return err
	}
	*r.pos = at
	return r.skip(t)
}

func (r *reader) field() (t wire.Type, id int16, err error) {
	switch v := r.values.(type) {
	case *binary.Reader:
		return v.Field()
	case *compact.Reader:
		t, id, _, err = v.Field(r.last)
		r.last = id
	}
	return t, id, err
}

// skip goes over a value. A compact bool field has none: its header says all.
func (r *reader) skip(t wire.Type) error {
	if r.protocol == wire.Compact && t == wire.Bool {
		return nil
	}
	skip := binary.Skip
	if r.protocol == wire.Compact {
		skip = compact.Skip
	}
	n, err := skip(r.buf[*r.pos:], t, wire.Limits{})
	*r.pos += n
	return err
}

func (r *reader) text(to *string) error {
	b, err := r.Bytes()
	*to = string(b)
	return err
}

func (r *reader) number(to *int32) (err error) {
	*to, err = r.I32()
	return err
}

// texts reads a map of strings; one of anything else is left to be skipped.
func (r *reader) texts(to *map[string]string) (bool, error) {
	key, value, n, err := r.Map()
	if err != nil || n == 0 {
		return err == nil, err
	}
	if key != wire.String || value != wire.String {
		return false, nil
	}
	m := make(map[string]string, min(n, 64)) // a map costs more than its bytes on the wire
	for range n {
		k, err := r.Bytes()
		if err != nil {
			return true, err
		}
		v, err := r.Bytes()
		if err != nil {
			return true, err
		}
		m[string(k)] = string(v)
	}
	*to = m
	return true, nil
}
