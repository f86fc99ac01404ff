package schema

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
)

// Fingerprint returns 16 hex digits that change with everything that matters on the wire: the services, their methods, and all types
// that these lead to, with names and ids of fields, requiredness, defaults and enum values. What does not matter does not change them:
// comments, annotations, order, files, the names of types. A document without services has the fingerprint of its structs.
func (d *Document) Fingerprint() string {
	p := newPrinter()
	for _, s := range sortedBy(d.Services, func(s *Service) string { return s.Name }) {
		p.text(s.Name)
		p.number(len(s.Methods))
		for _, m := range sortedBy(s.Methods, func(m *Method) string { return m.Name }) {
			p.method(m)
		}
	}
	if len(d.Services) == 0 {
		for _, s := range sortedBy(d.Structs, func(s *StructType) string { return s.Name }) {
			p.text(s.Name)
			p.meet(s)
		}
	}
	return p.sum()
}

// Fingerprint returns 16 hex digits that change with everything of the method that matters on the wire, as Document.Fingerprint does.
func (m *Method) Fingerprint() string {
	p := newPrinter()
	p.method(m)
	return p.sum()
}

// printer writes a canonical form. A struct or enum is a number where it is met; what it consists of is written once, in the order of the
// numbers. So recursive types end, and long chains of types take no stack.
type printer struct {
	out   []byte
	known map[any]int
	queue []any // *StructType and *EnumType, met and not written yet
}

func newPrinter() *printer { return &printer{known: map[any]int{}} }

func (p *printer) sum() string {
	for i := 0; i < len(p.queue); i++ {
		switch x := p.queue[i].(type) {
		case *StructType:
			p.structure(x)
		case *EnumType:
			p.enum(x)
		}
	}
	sum := sha256.Sum256(p.out)
	return hex.EncodeToString(sum[:8])
}

func (p *printer) number(n int)  { p.out = binary.AppendVarint(p.out, int64(n)) }
func (p *printer) text(s string) { p.out = appendText(p.out, s) }

func (p *printer) flag(b bool) {
	if b {
		p.out = append(p.out, 1)
	} else {
		p.out = append(p.out, 0)
	}
}

func (p *printer) method(m *Method) {
	p.text(m.Name)
	p.flag(m.Oneway)
	p.meet(m.Args)
	p.meet(m.Result)
}

func (p *printer) typ(t *Type) {
	p.number(int(t.Kind))
	switch t.Kind {
	case Struct:
		p.meet(t.Struct)
	case Enum:
		p.meet(t.Enum)
	case List, Set:
		p.typ(t.Elem)
	case Map:
		p.typ(t.Key)
		p.typ(t.Elem)
	}
}

// meet writes the number of a struct or enum, the next one if it is new.
func (p *printer) meet(x any) {
	n, known := p.known[x]
	if !known {
		n = len(p.known)
		p.known[x] = n
		p.queue = append(p.queue, x)
	}
	p.number(n)
}

func (p *printer) structure(s *StructType) {
	p.number(int(s.Kind))
	p.number(len(s.Fields))
	fields := slices.SortedFunc(slices.Values(s.Fields), func(a, b *Field) int { return cmp.Compare(a.ID, b.ID) })
	for _, f := range fields {
		p.number(int(f.ID))
		p.text(f.Name)
		p.number(int(f.Required))
		p.typ(f.Type)
		p.out = appendValue(p.out, f.Default)
	}
}

func (p *printer) enum(e *EnumType) {
	p.number(len(e.Values))
	for _, v := range sortedBy(e.Values, func(v EnumValue) string { return v.Name }) {
		p.text(v.Name)
		p.number(int(v.Value))
	}
}

func sortedBy[T any](list []T, key func(T) string) []T {
	return slices.SortedFunc(slices.Values(list), func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendValue appends a canonical form of a value: equal values of one type have equal forms, and no form begins another.
func appendValue(b []byte, v Value) []byte {
	switch x := v.(type) {
	case nil:
		return append(b, 0)
	case bool:
		if x {
			return append(b, 1, 1)
		}
		return append(b, 1, 0)
	case int64:
		return binary.AppendVarint(append(b, 2), x)
	case int32:
		return binary.AppendVarint(append(b, 3), int64(x))
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 4), math.Float64bits(x))
	case string:
		return appendText(append(b, 5), x)
	case []byte:
		return appendText(append(b, 5), string(x))
	case [16]byte:
		return append(append(b, 6), x[:]...)
	case []Value:
		b = binary.AppendUvarint(append(b, 7), uint64(len(x)))
		for _, item := range x {
			b = appendValue(b, item)
		}
	case MapValue:
		b = binary.AppendUvarint(append(b, 8), uint64(len(x)))
		for _, e := range x {
			b = appendValue(appendValue(b, e.Key), e.Value)
		}
	case *StructValue:
		b = binary.AppendUvarint(append(b, 9), uint64(len(x.Fields)))
		for _, f := range x.Fields {
			b = appendValue(b, f)
		}
	}
	return b
}
