package codec

import (
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// reader reads tokens in one of the two protocols that have loops of their own.
type reader struct {
	r       binary.Reader // in compact too: the two readers are a buffer and a place in it
	compact bool
	inField bool // compact: a field that is a bool was read, with its value
	field   bool // that value
}

// c is the reader of the compact protocol, at the same place.
func (r *reader) c() *compact.Reader { return (*compact.Reader)(&r.r) }

// next reads what stands before a field's value; last is the id of the field before it.
func (r *reader) next(last int16) (t wire.Type, id int16, err error) {
	if !r.compact {
		return r.r.Field()
	}
	t, id, r.field, err = r.c().Field(last)
	r.inField = t == wire.Bool
	return t, id, err
}

// skip walks over the value of the field that was read last, or over an element.
func (r *reader) skip(t wire.Type, depth int) error {
	if !r.compact {
		return r.r.Skip(t, depth)
	}
	if r.inField {
		r.inField = false
		return nil
	}
	return r.c().Skip(t, depth)
}

func (r *reader) bool() (bool, error) {
	if !r.compact {
		return r.r.Bool()
	}
	if r.inField {
		r.inField = false
		return r.field, nil
	}
	return r.c().Bool()
}

func (r *reader) i16() (int16, error) {
	if r.compact {
		return r.c().I16()
	}
	return r.r.I16()
}

func (r *reader) i32() (int32, error) {
	if r.compact {
		return r.c().I32()
	}
	return r.r.I32()
}

func (r *reader) i64() (int64, error) {
	if r.compact {
		return r.c().I64()
	}
	return r.r.I64()
}

func (r *reader) double() (float64, error) {
	if r.compact {
		return r.c().Double()
	}
	return r.r.Double()
}

func (r *reader) bytes() ([]byte, error) {
	if r.compact {
		return r.c().Bytes()
	}
	return r.r.Bytes()
}

// list reads the head of a list or set of want. Where its elements are of another type they are skipped, at depth levels that may still be
// entered, and n is zero.
func (r *reader) list(want wire.Type, depth int) (n int, err error) {
	var elem wire.Type
	if r.compact {
		elem, n, err = r.c().List()
	} else {
		elem, n, err = r.r.List()
	}
	if err != nil || elem == want {
		return n, err
	}
	for ; n > 0 && err == nil; n-- {
		err = r.skip(elem, depth)
	}
	return 0, err
}

// mapHead is list for maps.
func (r *reader) mapHead(wantKey, wantValue wire.Type, depth int) (n int, err error) {
	var key, value wire.Type
	if r.compact {
		key, value, n, err = r.c().Map()
	} else {
		key, value, n, err = r.r.Map()
	}
	if err != nil || key == wantKey && value == wantValue {
		return n, err
	}
	for ; n > 0 && err == nil; n-- {
		if err = r.skip(key, depth); err == nil {
			err = r.skip(value, depth)
		}
	}
	return 0, err
}
