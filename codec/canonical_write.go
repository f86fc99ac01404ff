package codec

import (
	"bytes"
	be "encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// formWriter writes one canonical form. What has to be sorted is written as it comes, in segments, and then put in order.
type formWriter struct {
	reader
	dst   []byte
	limit int  // the longest that dst may become, but for a moment while it is put in order
	depth int  // levels that may still be entered
	asIs  bool // what does not come is left out, whatever its default

	segments segmentStack // of the structs, sets and maps that are being written
}

func (w *formWriter) begin(dst []byte, p wire.Protocol, body []byte, limits wire.Limits) {
	w.r.Buf, w.compact = body, p == wire.Compact
	w.dst = dst
	w.limit = min(len(dst)+min(limits.MessageBytes, math.MaxInt32), math.MaxInt32)
	w.depth = limits.Depth
}

// enter begins a struct or container; leave ends it.
func (w *formWriter) enter() error {
	if w.depth <= 0 {
		return wire.Errorf(wire.DepthLimit, w.r.Pos, "the value is nested too deep")
	}
	w.depth--
	return nil
}

func (w *formWriter) leave() { w.depth++ }

// fits checks that so many bytes more are within the limit.
func (w *formWriter) fits(more int) error {
	if len(w.dst)+more > w.limit {
		return wire.Errorf(wire.SizeLimit, w.r.Pos, "the canonical form is longer than the limit")
	}
	return nil
}

// put appends bytes.
func (w *formWriter) put(b []byte) error {
	if err := w.fits(len(b)); err != nil {
		return err
	}
	w.dst = append(w.dst, b...)
	return nil
}

// push keeps what stands in dst from from on as a segment.
func (w *formWriter) push(key, from int) {
	w.segments.push(segment{int32(key), int32(from), int32(len(w.dst))})
}

// members reads a struct to its end and writes those of its fields that s has, in the order in which they come. A field that does not come
// is written where its turn would have been: if it comes later after all, it is as if it came twice.
func (w *formWriter) members(s *formStruct) error {
	turn := 0
	for last := int16(0); ; {
		t, id, err := w.next(last)
		if err != nil {
			return err
		}
		if t == wire.Stop {
			return w.absent(s.fields[turn:])
		}
		last = id
		i := turn
		if i >= len(s.fields) || s.fields[i].id != id {
			i = s.find(id)
		}
		if i < 0 {
			if err := w.unknown(s, t, id); err != nil {
				return err
			}
			continue
		}
		if i > turn {
			if err := w.absent(s.fields[turn:i]); err != nil {
				return err
			}
		}
		if err := w.member(s, &s.fields[i], t); err != nil {
			return under("."+s.fields[i].name, err)
		}
		turn = max(turn, i+1)
	}
}

func (w *formWriter) unknown(s *formStruct, t wire.Type, id int16) error {
	if s.closed {
		return &Error{Text: fmt.Sprintf("field %d is not in the IDL", id)}
	}
	return w.skip(t, w.depth)
}

// absent writes what is written for fields that do not come.
func (w *formWriter) absent(fields []formField) error {
	if w.asIs {
		return nil
	}
	for i := range fields {
		for _, p := range fields[i].absent {
			from := len(w.dst)
			if err := w.put(p.bytes); err != nil {
				return err
			}
			w.push(p.key, from)
		}
	}
	return nil
}

// member writes a field whose head was read.
func (w *formWriter) member(s *formStruct, f *formField, t wire.Type) error {
	if t != f.wire {
		return otherType(f.wire, t)
	}
	at := w.r.Pos
	if f.form != nil {
		from := len(w.dst)
		w.dst = s.appendHead(w.dst, f)
		if err := w.value(f.form); err != nil {
			return err
		}
		w.push(f.key, from)
	}
	if f.way == nil {
		return nil
	}
	w.r.Pos = at // read once more: paths lead through what is itself written
	if err := w.enter(); err != nil {
		return err
	}
	if err := w.members(f.way); err != nil {
		return err
	}
	w.leave()
	return nil
}

func otherType(want, found wire.Type) error {
	return &Error{Text: fmt.Sprintf("expected %s, found %s", want, found)}
}

// value writes one value.
func (w *formWriter) value(f *form) error {
	switch f.kind {
	case schema.Bool:
		v, err := w.bool()
		if err != nil {
			return err
		}
		w.dst = binary.AppendBool(w.dst, v)
	case schema.I8:
		v, err := w.r.I8()
		if err != nil {
			return err
		}
		w.dst = append(w.dst, byte(v))
	case schema.I16:
		v, err := w.i16()
		if err != nil {
			return err
		}
		w.dst = binary.AppendI16(w.dst, v)
	case schema.I32, schema.Enum:
		v, err := w.i32()
		if err != nil {
			return err
		}
		w.dst = binary.AppendI32(w.dst, v)
	case schema.I64:
		v, err := w.i64()
		if err != nil {
			return err
		}
		w.dst = binary.AppendI64(w.dst, v)
	case schema.Double:
		v, err := w.double()
		if err != nil {
			return err
		}
		if math.IsNaN(v) {
			return &Error{Text: "a NaN, which is equal to nothing"}
		}
		w.dst = binary.AppendDouble(w.dst, v)
	case schema.String, schema.Binary:
		return w.text()
	case schema.UUID:
		v, err := w.r.UUID()
		if err != nil {
			return err
		}
		w.dst = append(w.dst, v[:]...)
	default:
		return w.nested(f)
	}
	return w.fits(0)
}

func (w *formWriter) text() error {
	v, err := w.bytes()
	if err != nil {
		return err
	}
	if err := w.fits(4 + len(v)); err != nil {
		return err
	}
	w.dst = binary.AppendBytes(w.dst, v)
	return nil
}

// nested writes a struct or a container.
func (w *formWriter) nested(f *form) error {
	if err := w.enter(); err != nil {
		return err
	}
	var err error
	switch f.kind {
	case schema.Struct:
		err = w.structValue(f.fields)
	case schema.Map:
		err = w.pairs(f)
	case schema.Set:
		err = w.set(f)
	default:
		err = w.list(f)
	}
	w.leave()
	return err
}

func (w *formWriter) structValue(s *formStruct) error {
	base, from := w.segments.n, len(w.dst)
	if err := w.members(s); err != nil {
		return err
	}
	w.settle(base, from)
	w.dst = append(w.dst, byte(wire.Stop))
	return w.fits(0)
}

func (w *formWriter) list(f *form) error {
	n, err := w.listHead(f.elem.wire)
	if err != nil {
		return err
	}
	for i := range n {
		if err := w.value(f.elem); err != nil {
			return under(index(i), err)
		}
	}
	return nil
}

// listHead reads the head of a list or set of elements of type want, and writes its count.
func (w *formWriter) listHead(want wire.Type) (n int, err error) {
	var elem wire.Type
	if w.compact {
		elem, n, err = w.c().List()
	} else {
		elem, n, err = w.r.List()
	}
	if err != nil {
		return 0, err
	}
	if n > 0 && elem != want {
		return 0, under("[]", otherType(want, elem))
	}
	w.dst = binary.AppendI32(w.dst, int32(n))
	return n, w.fits(0)
}

// mapHead is listHead for maps.
func (w *formWriter) mapHead(wantKey, wantValue wire.Type) (n int, err error) {
	var key, value wire.Type
	if w.compact {
		key, value, n, err = w.c().Map()
	} else {
		key, value, n, err = w.r.Map()
	}
	switch {
	case err != nil:
		return 0, err
	case n > 0 && key != wantKey:
		return 0, under(mapKey, otherType(wantKey, key))
	case n > 0 && value != wantValue:
		return 0, under(mapValue, otherType(wantValue, value))
	}
	w.dst = binary.AppendI32(w.dst, int32(n))
	return n, w.fits(0)
}

func (w *formWriter) set(f *form) error {
	n, err := w.listHead(f.elem.wire)
	if err != nil {
		return err
	}
	base, from := w.segments.n, len(w.dst)
	for i := range n {
		at := len(w.dst)
		if err := w.value(f.elem); err != nil {
			return under(index(i), err)
		}
		w.push(0, at)
	}
	segments := w.segments.since(base)
	dst := w.dst
	elements := func(a, b segment) int { return bytes.Compare(dst[a.from:a.to], dst[b.from:b.to]) }
	if !ascend(segments, elements) {
		slices.SortFunc(segments, elements)
		segments = slices.CompactFunc(segments, func(a, b segment) bool { return elements(a, b) == 0 })
		be.BigEndian.PutUint32(dst[from-4:], uint32(len(segments)))
		w.rewrite(segments, from)
	}
	w.segments.n = base
	return nil
}

func (w *formWriter) pairs(f *form) error {
	n, err := w.mapHead(f.key.wire, f.elem.wire)
	if err != nil {
		return err
	}
	base, from := w.segments.n, len(w.dst)
	for range n {
		at := len(w.dst)
		if err := w.value(f.key); err != nil {
			return under(mapKey, err)
		}
		end := len(w.dst)
		if err := w.value(f.elem); err != nil {
			return under(mapValue, err)
		}
		w.push(end, at)
	}
	segments := w.segments.since(base)
	dst := w.dst
	keys := func(a, b segment) int { return bytes.Compare(dst[a.from:a.key], dst[b.from:b.key]) }
	if !ascend(segments, keys) {
		slices.SortFunc(segments, keys)
		if !ascend(segments, keys) {
			return under(mapKey, &Error{Text: "a key that the map has twice"})
		}
		w.rewrite(segments, from)
	}
	w.segments.n = base
	return nil
}

// settle puts the fields that were written from from on, whose segments begin at base, in the order of their places, and keeps the last of
// each.
func (w *formWriter) settle(base, from int) {
	segments := w.segments.since(base)
	w.segments.n = base
	if ascend(segments, byPlace) {
		return
	}
	slices.SortFunc(segments, byPlaceAndTime)
	kept := segments[:0]
	for i, s := range segments {
		if i+1 == len(segments) || segments[i+1].key != s.key {
			kept = append(kept, s)
		}
	}
	w.rewrite(kept, from)
}

// rewrite makes what stands in dst from from on the segments, in their order. They are copied behind it and then to their place.
func (w *formWriter) rewrite(segments []segment, from int) {
	end := len(w.dst)
	for _, s := range segments {
		w.dst = append(w.dst, w.dst[s.from:s.to]...)
	}
	n := copy(w.dst[from:], w.dst[end:])
	w.dst = w.dst[:from+n]
}
