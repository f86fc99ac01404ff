package codec

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

func errLong() error {
	return &Error{Text: "a string or binary value of more than 2 GiB cannot be written"}
}

// append appends the value at p, whose Go type is n.rt.
func (n *node) append(dst []byte, p unsafe.Pointer, depth int) ([]byte, error) {
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
		return n.elem.append(dst, p, depth)
	}
	if depth == 0 {
		return dst, &Error{Text: "nested too deep"}
	}
	switch n.op {
	case opStruct:
		return n.appendStruct(dst, p, depth-1)
	case opSlice:
		return n.appendSlice(dst, p, depth-1)
	case opTexts:
		return appendTexts(dst, *(*map[string]string)(p))
	case opMap:
		return n.appendMap(dst, p, depth-1)
	}
	return n.appendSet(dst, p, depth-1)
}

func (n *node) appendStruct(dst []byte, p unsafe.Pointer, depth int) (_ []byte, err error) {
	if n.union {
		if err := n.checkUnion(p); err != nil {
			return dst, err
		}
	}
	for i := range n.fields {
		f := &n.fields[i]
		at := unsafe.Add(p, f.offset)
		switch f.rule {
		case ifNotZero:
			if f.node.isZero(at) {
				continue
			}
		case ifSet, mustBeSet:
			if *(*unsafe.Pointer)(at) == nil {
				if f.rule == ifSet {
					continue
				}
				return dst, &Error{Path: "." + f.name, Text: "the field is required and not set"}
			}
		}
		dst = binary.AppendField(dst, f.wire, f.id)
		if dst, err = f.node.append(dst, at, depth); err != nil {
			return dst, under("."+f.name, err)
		}
	}
	return binary.AppendStop(dst), nil
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

func (n *node) appendSlice(dst []byte, p unsafe.Pointer, depth int) (_ []byte, err error) {
	s := (*sliceHeader)(p)
	dst = binary.AppendList(dst, n.elem.wire, s.len)
	size := n.elem.rt.Size()
	for i := range s.len {
		if dst, err = n.elem.append(dst, unsafe.Add(s.data, uintptr(i)*size), depth); err != nil {
			return dst, under(index(i), err)
		}
	}
	return dst, nil
}

func (n *node) appendMap(dst []byte, p unsafe.Pointer, depth int) (_ []byte, err error) {
	m := reflect.NewAt(n.rt, p).Elem()
	dst = binary.AppendMap(dst, n.key.wire, n.elem.wire, m.Len())
	if m.Len() == 0 {
		return dst, nil
	}
	e := n.borrow()
	defer n.giveBack(e)
	key, value := e.keyAt(), e.valueAt()
	for e.iter.Reset(m); e.iter.Next(); {
		e.key.SetIterKey(&e.iter)
		e.value.SetIterValue(&e.iter)
		if dst, err = n.key.append(dst, key, depth); err != nil {
			return dst, under(mapKey, err)
		}
		if dst, err = n.elem.append(dst, value, depth); err != nil {
			return dst, under(mapValue, err)
		}
	}
	return dst, nil
}

func appendTexts(dst []byte, m map[string]string) ([]byte, error) {
	dst = binary.AppendMap(dst, wire.String, wire.String, len(m))
	for key, value := range m {
		if len(key) > maxStringBytes || len(value) > maxStringBytes {
			return dst, errLong()
		}
		dst = binary.AppendString(binary.AppendString(dst, key), value)
	}
	return dst, nil
}

func (n *node) appendSet(dst []byte, p unsafe.Pointer, depth int) (_ []byte, err error) {
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
	dst = binary.AppendList(dst, n.key.wire, count)
	key := e.keyAt()
	for e.iter.Reset(m); e.iter.Next(); {
		if e.value.SetIterValue(&e.iter); n.op == opBoolSet && !e.value.Bool() {
			continue
		}
		e.key.SetIterKey(&e.iter)
		if dst, err = n.key.append(dst, key, depth); err != nil {
			return dst, under("[]", err)
		}
	}
	return dst, nil
}
