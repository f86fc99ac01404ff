package codec

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

func errLong() error {
	return &Error{Text: "a string or binary value of more than 2 GiB cannot be written"}
}

// append appends the value at p, whose Go type is n.rt.
func (n *node) append(dst []byte, p unsafe.Pointer, w writer) ([]byte, error) {
	if w.compact && n.op <= opUUID {
		return n.appendCompact(dst, p)
	}
	switch n.op {
	case opBool:
		return binary.AppendBool(dst, *(*bool)(p)), nil
	case opI8:
		return binary.AppendI8(dst, *(*int8)(p)), nil
	case opI16:
		return binary.AppendI16(dst, *(*int16)(p)), nil
	case opI32:
		return binary.AppendI32(dst, *(*int32)(p)), nil
	case opI64:
		return binary.AppendI64(dst, *(*int64)(p)), nil
	case opDouble:
		return binary.AppendDouble(dst, *(*float64)(p)), nil
	case opString:
		if s := *(*string)(p); len(s) <= maxStringBytes {
			return binary.AppendString(dst, s), nil
		}
		return dst, errLong()
	case opBytes:
		if b := *(*[]byte)(p); len(b) <= maxStringBytes {
			return binary.AppendBytes(dst, b), nil
		}
		return dst, errLong()
	case opUUID:
		return binary.AppendUUID(dst, *(*[16]byte)(p)), nil
	case opPointer:
		if p = *(*unsafe.Pointer)(p); p == nil {
			return dst, &Error{Text: "a nil pointer cannot be written here"}
		}
		return n.elem.append(dst, p, w)
	}
	if w.depth == 0 {
		return dst, &Error{Text: "nested too deep"}
	}
	switch n.op {
	case opStruct:
		return n.appendStruct(dst, p, w.deeper())
	case opSlice:
		return n.appendSlice(dst, p, w.deeper())
	case opTexts:
		return appendTexts(dst, *(*map[string]string)(p), w)
	case opMap:
		return n.appendMap(dst, p, w.deeper())
	}
	return n.appendSet(dst, p, w.deeper())
}

// appendCompact is append of what holds no other value, in the compact protocol; a bool as an element.
func (n *node) appendCompact(dst []byte, p unsafe.Pointer) ([]byte, error) {
	switch n.op {
	case opBool:
		return compact.AppendBool(dst, *(*bool)(p)), nil
	case opI8:
		return compact.AppendI8(dst, *(*int8)(p)), nil
	case opI16:
		return compact.AppendI16(dst, *(*int16)(p)), nil
	case opI32:
		return compact.AppendI32(dst, *(*int32)(p)), nil
	case opI64:
		return compact.AppendI64(dst, *(*int64)(p)), nil
	case opDouble:
		return compact.AppendDouble(dst, *(*float64)(p)), nil
	case opUUID:
		return compact.AppendUUID(dst, *(*[16]byte)(p)), nil
	case opBytes:
		if b := *(*[]byte)(p); len(b) <= maxStringBytes {
			return compact.AppendBytes(dst, b), nil
		}
		return dst, errLong()
	}
	if s := *(*string)(p); len(s) <= maxStringBytes {
		return compact.AppendString(dst, s), nil
	}
	return dst, errLong()
}

func (n *node) appendStruct(dst []byte, p unsafe.Pointer, w writer) (_ []byte, err error) {
	if n.union {
		if err := n.checkUnion(p); err != nil {
			return dst, err
		}
	}
	if w.compact {
		return n.appendCompactFields(dst, p, w)
	}
	for i := range n.fields {
		f := &n.fields[i]
		at := unsafe.Add(p, f.offset)
		if f.rule != always {
			if unset, err := f.isUnset(at); err != nil {
				return dst, err
			} else if unset {
				continue
			}
		}
		dst = binary.AppendField(dst, f.wire, f.id)
		if dst, err = f.node.append(dst, at, w); err != nil {
			return dst, under("."+f.name, err)
		}
	}
	return binary.AppendStop(dst), nil
}

func (n *node) appendCompactFields(dst []byte, p unsafe.Pointer, w writer) (_ []byte, err error) {
	last := int16(0)
	for i := range n.fields {
		f := &n.fields[i]
		at := unsafe.Add(p, f.offset)
		if unset, err := f.isUnset(at); err != nil {
			return dst, err
		} else if unset {
			continue
		}
		if f.wire == wire.Bool {
			dst, last = compact.AppendBoolField(dst, f.node.isTrue(at), f.id, last), f.id
			continue
		}
		dst, last = compact.AppendField(dst, f.wire, f.id, last), f.id
		if dst, err = f.node.append(dst, at, w); err != nil {
			return dst, under("."+f.name, err)
		}
	}
	return compact.AppendStop(dst), nil
}

// isUnset reports whether the field, whose value is at p, is not written.
func (f *field) isUnset(p unsafe.Pointer) (bool, error) {
	switch f.rule {
	case ifNotZero:
		return f.node.isZero(p), nil
	case ifSet:
		return *(*unsafe.Pointer)(p) == nil, nil
	case mustBeSet:
		if *(*unsafe.Pointer)(p) == nil {
			return true, &Error{Path: "." + f.name, Text: "the field is required and not set"}
		}
	}
	return false, nil
}

// isTrue returns the bool at p, of a field that is set.
func (n *node) isTrue(p unsafe.Pointer) bool {
	if n.op == opPointer {
		p = *(*unsafe.Pointer)(p)
	}
	return *(*bool)(p)
}

func (n *node) checkUnion(p unsafe.Pointer) error {
	set := 0
	for i := range n.fields {
		if *(*unsafe.Pointer)(unsafe.Add(p, n.fields[i].offset)) != nil {
			set++
		}
	}
	if set == 1 {
		return nil
	}
	var names []string
	for _, f := range n.fields {
		if *(*unsafe.Pointer)(unsafe.Add(p, f.offset)) != nil {
			names = append(names, f.name)
		}
	}
	return &Error{Text: fmt.Sprintf("union %s takes exactly one field, found %s", n.name, listed(names))}
}

func (n *node) appendSlice(dst []byte, p unsafe.Pointer, w writer) (_ []byte, err error) {
	s := (*sliceHeader)(p)
	dst = w.list(dst, n.elem.wire, s.len)
	size := n.elem.rt.Size()
	for i := range s.len {
		if dst, err = n.elem.append(dst, unsafe.Add(s.data, uintptr(i)*size), w); err != nil {
			return dst, under(index(i), err)
		}
	}
	return dst, nil
}

func (n *node) appendMap(dst []byte, p unsafe.Pointer, w writer) (_ []byte, err error) {
	m := reflect.NewAt(n.rt, p).Elem()
	dst = w.mapHead(dst, n.key.wire, n.elem.wire, m.Len())
	if m.Len() == 0 {
		return dst, nil
	}
	e := n.borrow()
	defer n.giveBack(e)
	key, value := e.keyAt(), e.valueAt()
	for e.iter.Reset(m); e.iter.Next(); {
		e.key.SetIterKey(&e.iter)
		e.value.SetIterValue(&e.iter)
		if dst, err = n.key.append(dst, key, w); err != nil {
			return dst, under(mapKey, err)
		}
		if dst, err = n.elem.append(dst, value, w); err != nil {
			return dst, under(mapValue, err)
		}
	}
	return dst, nil
}

func appendTexts(dst []byte, m map[string]string, w writer) ([]byte, error) {
	dst = w.mapHead(dst, wire.String, wire.String, len(m))
	for key, value := range m {
		if len(key) > maxStringBytes || len(value) > maxStringBytes {
			return dst, errLong()
		}
		dst = w.string(w.string(dst, key), value)
	}
	return dst, nil
}

func (n *node) appendSet(dst []byte, p unsafe.Pointer, w writer) (_ []byte, err error) {
	m := reflect.NewAt(n.rt, p).Elem()
	e := n.borrow()
	defer n.giveBack(e)
	count := m.Len()
	if n.op == opBoolSet {
		count = 0
		for e.iter.Reset(m); e.iter.Next(); {
			if e.value.SetIterValue(&e.iter); e.value.Bool() {
				count++
			}
		}
	}
	dst = w.list(dst, n.key.wire, count)
	key := e.keyAt()
	for e.iter.Reset(m); e.iter.Next(); {
		if e.value.SetIterValue(&e.iter); n.op == opBoolSet && !e.value.Bool() {
			continue
		}
		e.key.SetIterKey(&e.iter)
		if dst, err = n.key.append(dst, key, w); err != nil {
			return dst, under("[]", err)
		}
	}
	return dst, nil
}
