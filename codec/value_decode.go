package codec

import (
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// value decodes one dynamic value.
func (d *decoder) value(t *schema.Type) (schema.Value, error) {
	switch t.Kind {
	case schema.Void:
		return nil, nil
	case schema.Bool:
		return boxed(d.bool())
	case schema.I8:
		v, err := d.r.I8()
		return boxed(int64(v), err)
	case schema.I16:
		v, err := d.i16()
		return boxed(int64(v), err)
	case schema.I32:
		v, err := d.i32()
		return boxed(int64(v), err)
	case schema.I64:
		return boxed(d.i64())
	case schema.Double:
		return boxed(d.double())
	case schema.String:
		b, err := d.bytes()
		return boxed(d.arena.copy(b, d.r.Left()), err)
	case schema.Binary:
		b, err := d.bytes()
		return boxed(append([]byte{}, b...), err)
	case schema.UUID:
		return boxed(d.r.UUID())
	case schema.Enum:
		return boxed(d.i32())
	}
	return d.nested(t)
}

// boxed is v as a Value, or the error alone.
func boxed[T any](v T, err error) (schema.Value, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (d *decoder) nested(t *schema.Type) (schema.Value, error) {
	switch t.Kind {
	case schema.Struct:
		return boxed(d.structValue(t.Struct))
	case schema.Map:
		return boxed(d.pairs(t))
	}
	return boxed(d.elems(t))
}

// Sizes of dynamic values in memory, in bytes, for the budget.
const (
	valueBytes  = 16
	entryBytes  = 2 * valueBytes
	structBytes = 32
)

func (d *decoder) structValue(t *schema.StructType) (*schema.StructValue, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	if err := d.charge(structBytes + valueBytes*len(t.Fields)); err != nil {
		return nil, err
	}
	v := &schema.StructValue{Type: t, Fields: make([]schema.Value, len(t.Fields))}
	next := 0 // the field that probably comes: writers keep the declaration order
	for last := int16(0); ; {
		wt, id, err := d.next(last)
		if err != nil {
			return nil, err
		}
		last = id
		if wt == wire.Stop {
			d.leave()
			return v, nil
		}
		var f *schema.Field
		if next < len(t.Fields) && t.Fields[next].ID == id {
			f = t.Fields[next]
		} else {
			f = t.Field(id)
		}
		if f == nil || f.Type.Wire() != wt {
			if err := d.skip(wt, d.depth); err != nil {
				return nil, err
			}
			continue
		}
		if v.Fields[f.Index], err = d.value(f.Type); err != nil {
			return nil, err
		}
		next = f.Index + 1
	}
}

func (d *decoder) elems(t *schema.Type) ([]schema.Value, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	n, err := d.list(t.Elem.Wire(), d.depth)
	if err != nil {
		return nil, err
	}
	if err := d.charge(n * valueBytes); err != nil {
		return nil, err
	}
	v := make([]schema.Value, n)
	for i := range v {
		if v[i], err = d.value(t.Elem); err != nil {
			return nil, err
		}
	}
	d.leave()
	return v, nil
}

func (d *decoder) pairs(t *schema.Type) (schema.MapValue, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	n, err := d.mapHead(t.Key.Wire(), t.Elem.Wire(), d.depth)
	if err != nil {
		return nil, err
	}
	if err := d.charge(n * entryBytes); err != nil {
		return nil, err
	}
	v := make(schema.MapValue, n)
	for i := range v {
		if v[i].Key, err = d.value(t.Key); err != nil {
			return nil, err
		}
		if v[i].Value, err = d.value(t.Elem); err != nil {
			return nil, err
		}
	}
	d.leave()
	return v, nil
}
