package codec

import (
	"reflect"
	"unsafe"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// chunk is how many structs of a list, and entries of a map, room is made for before they have come.
const chunk = 256

// at decodes a value into the memory at p, whose Go type is n.rt. A struct's memory is zero before; other memory may hold anything.
func (d *decoder) at(n *node, p unsafe.Pointer) (err error) {
	switch n.op {
	case opBool:
		*(*bool)(p), err = d.bool()
	case opI8:
		*(*int8)(p), err = d.r.I8()
	case opI16:
		*(*int16)(p), err = d.i16()
	case opI32:
		*(*int32)(p), err = d.i32()
	case opI64:
		*(*int64)(p), err = d.i64()
	case opDouble:
		*(*float64)(p), err = d.double()
	case opString:
		var b []byte
		b, err = d.bytes()
		*(*string)(p) = d.arena.copy(b, d.r.Left())
	case opBytes:
		var b []byte
		b, err = d.bytes()
		*(*[]byte)(p) = append([]byte{}, b...)
	case opUUID:
		*(*[16]byte)(p), err = d.r.UUID()
	case opStruct:
		return d.structAt(n, p)
	case opPointer:
		return d.pointer(n, p)
	case opSlice:
		return d.slice(n, p)
	case opTexts:
		return d.texts((*map[string]string)(p))
	default:
		return d.goMap(n, p)
	}
	return err
}

// structAt decodes a struct into zeroed memory.
func (d *decoder) structAt(n *node, p unsafe.Pointer) error {
	if err := d.enter(); err != nil {
		return err
	}
	if len(n.defaults) > 0 && !d.inDefault {
		if err := d.applyDefaults(n, p); err != nil {
			return err
		}
	}
	next := 0 // the field that probably comes: writers keep the declaration order
	high := 0 // behind the last field that came: what stands before it may come again
	for last := int16(0); ; {
		t, id, err := d.next(last)
		if err != nil {
			return err
		}
		last = id
		if t == wire.Stop {
			d.leave()
			return nil
		}
		i, known := next, true
		if i >= len(n.fields) || n.fields[i].id != id {
			i, known = n.byID[id]
		}
		if !known || n.fields[i].wire != t {
			if err := d.skip(t, d.depth); err != nil {
				return err
			}
			continue
		}
		f := &n.fields[i]
		at := unsafe.Add(p, f.offset)
		if f.node.op == opStruct && (i < high || len(n.defaults) > 0) {
			reflect.NewAt(f.node.rt, at).Elem().SetZero()
		}
		if err := d.at(f.node, at); err != nil {
			return err
		}
		next = i + 1
		high = max(high, next)
	}
}

// applyDefaults begins a struct with its defaults; what comes on the wire replaces them. The structs inside a default have what the IDL
// gives them there and no defaults of their own, so that a struct may stand in its own default.
func (d *decoder) applyDefaults(n *node, p unsafe.Pointer) error {
	outer := d.reader
	d.inDefault = true
	defer func() { d.reader, d.inDefault = outer, false }()
	for _, f := range n.defaults {
		d.reader = reader{r: binary.Reader{Buf: f.body}}
		if err := d.at(f.node, unsafe.Add(p, f.offset)); err != nil {
			return err
		}
	}
	return nil
}

// slice decodes a list or a set. Numbers and strings take at most a small multiple of their bytes on the wire, so that room is made at
// once; room for structs is made as they come.
func (d *decoder) slice(n *node, p unsafe.Pointer) error {
	if err := d.enter(); err != nil {
		return err
	}
	count, err := d.list(n.elem.wire, d.depth)
	if err != nil {
		return err
	}
	s := (*sliceHeader)(p)
	*s = sliceHeader{data: unsafe.Pointer(&empty)}
	if count == 0 {
		d.leave()
		return nil
	}
	*s = sliceHeader{}
	rv, size := reflect.NewAt(n.rt, p).Elem(), n.elem.rt.Size()
	var slab structs
	for i := range count {
		if i == s.cap {
			if err := d.grow(rv, n.elem, count-i); err != nil {
				return err
			}
		}
		s.len = i + 1
		at := unsafe.Add(s.data, uintptr(i)*size)
		if n.elem.op == opPointer {
			if at, err = slab.next(d, n.elem, count-i, at); err != nil {
				return err
			}
			err = d.at(n.elem.elem, at)
		} else {
			err = d.at(n.elem, at)
		}
		if err != nil {
			return err
		}
	}
	d.leave()
	return nil
}

// grow makes room for more elements, of which left are to come, and fills it with zeros.
func (d *decoder) grow(s reflect.Value, elem *node, left int) error {
	if elem.op == opStruct {
		left = min(left, max(chunk, s.Len()))
	}
	if err := d.charge(left * int(elem.rt.Size())); err != nil {
		return err
	}
	s.Grow(left)
	return nil
}

// structs hands out the structs that a list of pointers points to, from blocks.
type structs struct {
	at   unsafe.Pointer
	left int
}

// next returns the next struct and makes the pointer at p point to it. want are still to come.
func (b *structs) next(d *decoder, n *node, want int, p unsafe.Pointer) (unsafe.Pointer, error) {
	size := n.elem.rt.Size()
	if b.left == 0 {
		b.left = min(want, chunk)
		if err := d.charge(b.left * int(size)); err != nil {
			return nil, err
		}
		d.slab = sliceHeader{}
		reflect.NewAt(n.slab, unsafe.Pointer(&d.slab)).Elem().Grow(b.left)
		b.at = d.slab.data
	} else {
		b.at = unsafe.Add(b.at, size)
	}
	b.left--
	*(*unsafe.Pointer)(p) = b.at
	return b.at, nil
}

// pointer decodes what a pointer points to into memory of its own.
func (d *decoder) pointer(n *node, p unsafe.Pointer) error {
	if err := d.charge(int(n.elem.rt.Size())); err != nil {
		return err
	}
	to := reflect.New(n.elem.rt).UnsafePointer()
	*(*unsafe.Pointer)(p) = to
	return d.at(n.elem, to)
}

// goMap decodes a map, or a set as a Go map. Of equal keys the last stays.
func (d *decoder) goMap(n *node, p unsafe.Pointer) error {
	if err := d.enter(); err != nil {
		return err
	}
	count, err := d.mapCount(n)
	if err != nil {
		return err
	}
	m := reflect.MakeMapWithSize(n.rt, min(count, chunk))
	reflect.NewAt(n.rt, p).Elem().Set(m)
	if count == 0 {
		d.leave()
		return nil
	}
	e := n.borrow()
	defer n.giveBack(e)
	if n.op == opBoolSet {
		e.value.SetBool(true)
	}
	size := 2 * int(n.rt.Key().Size()+n.rt.Elem().Size()+1) // a Go map is at most half empty
	key, value := e.keyAt(), e.valueAt()
	for range count {
		if err := d.charge(size); err != nil {
			return err
		}
		e.key.SetZero()
		if err := d.at(n.key, key); err != nil {
			return err
		}
		if n.op == opMap {
			e.value.SetZero()
			if err := d.at(n.elem, value); err != nil {
				return err
			}
		}
		m.SetMapIndex(e.key, e.value)
	}
	d.leave()
	return nil
}

// texts is goMap for map[string]string.
func (d *decoder) texts(p *map[string]string) error {
	if err := d.enter(); err != nil {
		return err
	}
	count, err := d.mapHead(wire.String, wire.String, d.depth)
	if err != nil {
		return err
	}
	m := make(map[string]string, min(count, chunk))
	*p = m
	for range count {
		if err := d.charge(2 * (2*int(unsafe.Sizeof("")) + 1)); err != nil {
			return err
		}
		key, err := d.bytes()
		if err != nil {
			return err
		}
		value, err := d.bytes()
		if err != nil {
			return err
		}
		m[d.arena.copy(key, d.r.Left())] = d.arena.copy(value, d.r.Left())
	}
	d.leave()
	return nil
}

func (d *decoder) mapCount(n *node) (int, error) {
	if n.op == opMap {
		return d.mapHead(n.key.wire, n.elem.wire, d.depth)
	}
	return d.list(n.key.wire, d.depth)
}

// arena makes strings out of shared blocks, which are written once: a message of many short strings costs few allocations.
type arena struct{ block []byte }

const (
	arenaBlockBytes  = 2048 // what one kept string keeps alive
	arenaStringBytes = 512  // longer strings are copied on their own
)

// copy returns b as a string. left is how many bytes of the message may still become strings.
func (a *arena) copy(b []byte, left int) string {
	switch {
	case len(b) == 0:
		return ""
	case len(b) > arenaStringBytes:
		return string(b)
	case len(b) > cap(a.block)-len(a.block):
		a.block = make([]byte, 0, min(arenaBlockBytes, len(b)+left))
	}
	from := len(a.block)
	a.block = append(a.block, b...)
	return unsafe.String(&a.block[from], len(b))
}
