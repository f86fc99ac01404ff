package binary

import "github.com/thriftloom/thriftloom/wire"

// Skip walks over the value of type t at the start of buf and returns its length. The value must be whole in buf; nothing is decoded or
// allocated. Of limits, Depth counts. The error is a *wire.Error.
func Skip(buf []byte, t wire.Type, limits wire.Limits) (used int, err error) {
	r := Reader{Buf: buf}
	if err := r.Skip(t, limits.WithDefaults().Depth); err != nil {
		return 0, err
	}
	return r.Pos, nil
}

// Skip walks over one value of type t whose structs and containers nest at most depth levels deep: a struct of numbers is one level, a
// number none. On an error Pos is where the mistake is.
func (r *Reader) Skip(t wire.Type, depth int) error {
	if n := int(fixedSizes[t]); n > 0 {
		if r.Left() < n {
			return r.short(t)
		}
		r.Pos += n
		return nil
	}
	if t == wire.String {
		_, err := r.Bytes()
		return err
	}
	if minSizes[t] == 0 {
		return badType(r.Pos, "a value", t)
	}
	if depth <= 0 {
		return tooDeep(r.Pos)
	}
	switch t {
	case wire.Struct:
		return r.skipStruct(depth - 1)
	case wire.Map:
		return r.skipMap(depth - 1)
	default:
		return r.skipList(depth - 1)
	}
}

func tooDeep(at int) error {
	return wire.Errorf(wire.DepthLimit, at, "nested deeper than the limit")
}

func (r *Reader) skipStruct(depth int) error {
	for {
		t, _, err := r.Field()
		if t == wire.Stop || err != nil {
			return err
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
