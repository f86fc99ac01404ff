package mirror

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	thrift "github.com/thriftloom/thriftloom/wire/binary"
)

// A value in binary is kept as the bytes that it stands in, and looked into when that is needed. All of them lie in bodies that have been
// walked once to their end, so that nothing here can fail.

// walkable reports whether a body is one whole struct, nested no deeper than a message may be.
func walkable(body []byte) error {
	used, err := thrift.Skip(body, wire.Struct, wire.Limits{})
	if err == nil && used < len(body) {
		return wire.Errorf(wire.Trailing, used, "%d bytes follow the struct", len(body)-used)
	}
	return err
}

// walker reads values of a body that is walkable.
type walker struct{ thrift.Reader }

func walk(raw []byte) *walker { return &walker{thrift.Reader{Buf: raw}} }

// value returns the bytes of the next value.
func (w *walker) value(t wire.Type) []byte {
	from := w.Pos
	if err := w.Skip(t, wire.DefaultDepth); err != nil {
		panic("mirror: a body that was walked cannot be walked again: " + err.Error())
	}
	return w.Buf[from:w.Pos]
}

// field is one field of a struct.
type field struct {
	id    int16
	typ   wire.Type
	raw   []byte
	place int // among those of its struct
}

// fields returns the fields of a struct by id, of one that comes twice the last; those that are left out and have a default have that.
func (d *Diff) fields(st *schema.StructType, raw []byte) []field {
	var all []field
	if st != nil {
		for _, f := range st.Fields {
			if raw, has := d.defaults[f]; has {
				all = append(all, field{f.ID, f.Type.Wire(), raw, len(all)})
			}
		}
	}
	for w := walk(raw); ; {
		t, id, err := w.Field()
		if err != nil || t == wire.Stop {
			break
		}
		all = append(all, field{id, t, w.value(t), len(all)})
	}
	slices.SortFunc(all, func(a, b field) int { return cmp.Or(int(a.id)-int(b.id), a.place-b.place) })
	n := 0
	for i, x := range all {
		if i+1 == len(all) || all[i+1].id != x.id {
			all[n] = x
			n++
		}
	}
	return all[:n]
}

// list is a list or a set.
type list struct {
	elem  wire.Type
	items [][]byte
}

func elements(raw []byte) (l list) {
	w := walk(raw)
	elem, n, err := w.List()
	if err != nil {
		return l
	}
	l.elem = elem
	for range n {
		l.items = append(l.items, w.value(elem))
	}
	return l
}

// table is a map.
type table struct {
	key, elem wire.Type
	items     []pair
}

type pair struct{ key, value []byte }

func pairs(raw []byte) (m table) {
	w := walk(raw)
	key, elem, n, err := w.Map()
	if err != nil {
		return m
	}
	m.key, m.elem = key, elem
	for range n {
		k := w.value(key)
		m.items = append(m.items, pair{k, w.value(elem)})
	}
	return m
}

// canonical appends bytes that are the same for two values if and only if they are equal, but for what is left out.
func (c *comparison) canonical(dst []byte, t *schema.Type, typ wire.Type, raw []byte) []byte {
	switch typ {
	case wire.Double:
		v := math.Float64frombits(binary.BigEndian.Uint64(raw))
		switch {
		case math.IsNaN(v):
			v = math.NaN()
		case v == 0: // also of the other sign
			v = 0
		}
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
	case wire.Struct:
		for _, x := range c.fields(structOf(t), raw) {
			c.at(structOf(t), x.id, func() {
				dst = binary.BigEndian.AppendUint16(append(dst, byte(x.typ)), uint16(x.id))
				dst = c.canonical(dst, typeOf(structOf(t), x), x.typ, x.raw)
			})
		}
		return append(dst, byte(wire.Stop))
	case wire.List, wire.Set:
		l := elements(raw)
		var each [][]byte
		for _, item := range l.items {
			each = append(each, c.canonical(nil, elemOf(t, l.elem), l.elem, item))
		}
		if typ == wire.Set {
			slices.SortFunc(each, bytes.Compare)
			each = slices.CompactFunc(each, bytes.Equal)
		}
		return appendAll(dst, l.elem, each)
	case wire.Map:
		m, each, last := pairs(raw), [][]byte(nil), map[string][]byte{}
		for _, p := range m.items {
			last[string(c.canonical(nil, keyOf(t, m.key), m.key, p.key))] = p.value
		}
		for key, value := range last {
			entry := append(binary.BigEndian.AppendUint32(nil, uint32(len(key))), key...)
			each = append(each, c.canonical(entry, elemOf(t, m.elem), m.elem, value))
		}
		slices.SortFunc(each, bytes.Compare)
		if len(each) > 0 {
			dst = append(dst, byte(m.key))
		}
		return appendAll(dst, m.elem, each)
	}
	return append(dst, raw...)
}

// appendAll appends a container with its elements, each with its length: none of them looks like the end of another.
func appendAll(dst []byte, elem wire.Type, each [][]byte) []byte {
	if len(each) == 0 {
		elem = 0 // an empty one may say anything
	}
	dst = binary.BigEndian.AppendUint32(append(dst, byte(elem)), uint32(len(each)))
	for _, e := range each {
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(e))), e...)
	}
	return dst
}
