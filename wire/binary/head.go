package binary

import "github.com/thriftloom/thriftloom/wire"

// ErrShort says that a message's head is not there in full yet. It is a *wire.Error (Truncated).
var ErrShort error = wire.Errorf(wire.Truncated, 0, "the message's head is cut off")

const (
	version     = 0x8001 // the upper half of a strict message's first word
	strictFixed = 12     // bytes of a strict head besides the name
	oldFixed    = 9      // bytes of a non-strict head besides the name
)

// AppendHead appends a message's head: strict or, with h.NonStrict, as it was before the version word.
//
//	strict:      version:2=0x8001  unused:1  type:1  n:4  name:n  seqid:4
//	non-strict:  n:4  name:n  type:1  seqid:4
func AppendHead(dst []byte, h wire.Head) []byte {
	if h.NonStrict {
		dst = AppendString(dst, h.Name)
		dst = append(dst, byte(h.Type))
	} else {
		dst = be.AppendUint32(dst, version<<16|uint32(h.Type))
		dst = AppendString(dst, h.Name)
	}
	return be.AppendUint32(dst, uint32(h.Seq))
}

// ParseHead reads the head at the start of buf, strict or not, and returns how many bytes it took. The error is ErrShort while buf may be
// the beginning of a head, else another *wire.Error. The name may be empty, and its bytes are not looked at.
//
// A head that is well but for its message type gives the head and its length together with the error (BadType), so that it can be
// answered. The unused byte of a strict head is ignored, as Apache and ThriftPy do.
func ParseHead(buf []byte, limits wire.Limits) (h wire.Head, used int, err error) {
	h, used, need, err := ReadHead(buf, limits, "")
	if need > 0 {
		return wire.Head{}, 0, ErrShort
	}
	return h, used, err
}

// ReadHead is ParseHead for streams: instead of ErrShort it returns need > 0, the least length of buf that is worth another call. Where
// the name equals last, last itself is returned as the name and nothing is allocated.
func ReadHead(buf []byte, limits wire.Limits, last string) (h wire.Head, used, need int, err error) {
	if len(buf) < 4 {
		return h, 0, 4, nil
	}
	limits = limits.WithDefaults()
	word := be.Uint32(buf)
	nameAt, fixed := 8, strictFixed
	switch {
	case word>>16 == version:
		if len(buf) < 8 {
			return h, 0, 8, nil
		}
		h.Type = wire.MessageType(word)
		word = be.Uint32(buf[4:])
	case int32(word) < 0 || int64(word) > int64(limits.MessageBytes):
		return h, 0, 0, wire.Errorf(wire.BadVersion, 0, "not a binary message: begins with %#08x", word)
	default:
		h.NonStrict = true
		nameAt, fixed = 4, oldFixed
	}
	n := int32(word)
	if n < 0 {
		return h, 0, 0, wire.Errorf(wire.NegativeSize, nameAt-4, "the method's name has a length of %d", n)
	}
	if int64(n) > int64(limits.NameBytes) {
		return h, 0, 0, wire.Errorf(wire.SizeLimit, nameAt-4, "the method's name has %d bytes, the limit is %d", n, limits.NameBytes)
	}
	used = fixed + int(n)
	if len(buf) < used {
		return h, 0, used, nil
	}
	end := nameAt + int(n)
	if name := buf[nameAt:end]; string(name) == last {
		h.Name = last
	} else {
		h.Name = string(name)
	}
	typeAt := 3
	if h.NonStrict {
		typeAt = end
		h.Type = wire.MessageType(buf[end])
	}
	h.Seq = int32(be.Uint32(buf[used-4:]))
	if h.Type < wire.Call || h.Type > wire.Oneway {
		return h, used, 0, wire.Errorf(wire.BadType, typeAt, "unknown message type %d", uint8(h.Type))
	}
	return h, used, 0, nil
}
