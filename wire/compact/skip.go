package compact

import "github.com/thriftloom/thriftloom/wire"

// Skip walks over the value of type t, an element or a struct, at the start of buf and returns its length. The value must be whole in buf;
// nothing is decoded or allocated. Of limits, Depth counts. The error is a *wire.Error.
func Skip(buf []byte, t wire.Type, limits wire.Limits) (used int, err error) {
	r := Reader{Buf: buf}
	if err := r.Skip(t, limits.WithDefaults().Depth); err != nil {
		return 0, err
	}
	return r.Pos, nil
}

// Skip walks over one value of type t whose structs and containers nest at most depth levels deep: a struct of numbers is one level, a
// number none. A bool is one that is an element; of a field that is one Field has read all.
func (r *Reader) Skip(t wire.Type, depth int) (err error) {
	switch t {
	case wire.Bool, wire.I8, wire.Double, wire.UUID:
		n := int(fixedSizes[t])
		if r.Left() < n {
			return r.short(t)
		}
		r.Pos += n
		return nil
	case wire.I16:
		_, err = r.I16()
		return err
	case wire.I32:
		_, err = r.I32()
		return err
	case wire.I64:
		_, err = r.I64()
		return err
	case wire.String:
		_, err = r.Bytes()
		return err
	}
	switch {
	case codes[t] == 0:
		return wire.Errorf(wire.BadType, r.Pos, "a value has an unknown type, code %d", uint8(t))
	case depth <= 0:
		return tooDeep(r.Pos)
	case t == wire.Struct:
		return r.skipStruct(depth - 1)
	case t == wire.Map:
		return r.skipMap(depth - 1)
	}
	return r.skipList(depth - 1)
}

func (r *Reader) skipStruct(depth int) error {
	for last := int16(0); ; {
		t, id, _, err := r.Field(last)
		if t == wire.Stop || err != nil {
			return err
		}
		last = id
		if t == wire.Bool {
			continue
		}
		if err := r.Skip(t, depth); err != nil {
			return err
		}
	}
}

func (r *Reader) skipList(depth int) error {
	elem, n, err := r.List()
	if err != nil {
		return err
	}
	if size := int(fixedSizes[elem]); size > 0 { // List has checked that they are all there
		r.Pos += n * size
		return nil
	}
	for range n {
		if err := r.Skip(elem, depth); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) skipMap(depth int) error {
	key, value, n, err := r.Map()
	if err != nil {
		return err
	}
	if k, v := int(fixedSizes[key]), int(fixedSizes[value]); k > 0 && v > 0 {
		r.Pos += n * (k + v)
		return nil
	}
	for range n {
		if err := r.Skip(key, depth); err != nil {
			return err
		}
		if err := r.Skip(value, depth); err != nil {
			return err
		}
	}
	return nil
}
