package compact

import (
	"encoding/binary"

	"github.com/thriftloom/thriftloom/wire"
)

// ErrShort says that a message's head is not there in full yet. It is a *wire.Error (Truncated).
var ErrShort error = wire.Errorf(wire.Truncated, 0, "the message's head is cut off")

const (
	protocolID = 0x82
	version    = 1
)

// AppendHead appends a message's head. A sequence id below zero is written as its 32 bits.
//
//	head:  82:1  type<<5|version:1  seqid:varint  n:varint  name:n
func AppendHead(dst []byte, h wire.Head) []byte {
	dst = append(dst, protocolID, byte(h.Type)<<5|version)
	dst = binary.AppendUvarint(dst, uint64(uint32(h.Seq)))
	return AppendString(dst, h.Name)
}

// ParseHead reads the head at the start of buf, and returns how many bytes it took. The error is ErrShort while buf may be the beginning of
// a head, else another *wire.Error. The name may be empty, and its bytes are not looked at.
//
// A head that is well but for its message type gives the head and its length together with the error (BadType), so that it can be answered.
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
	switch {
	case len(buf) >= 1 && buf[0] != protocolID:
		return h, 0, 0, wire.Errorf(wire.BadVersion, 0, "not a compact message: begins with %#02x", buf[0])
	case len(buf) >= 2 && buf[1]&0x1f != version:
		return h, 0, 0, wire.Errorf(wire.BadVersion, 1, "a compact message of version %d", buf[1]&0x1f)
	case len(buf) < 4:
		return h, 0, 4, nil
	}
	seq, at, need, err := uvarint(buf, 2, maxVarint32)
	if need > 0 || err != nil {
		return h, 0, need, err
	}
	size, nameAt, need, err := uvarint(buf, at, maxVarint32)
	if need > 0 || err != nil {
		return h, 0, need, err
	}
	limits = limits.WithDefaults()
	if seq > 1<<32-1 {
		return h, 0, 0, wire.Errorf(wire.BadValue, 2, "the sequence id has more than 32 bits")
	}
	if size > uint64(limits.NameBytes) {
		return h, 0, 0, wire.Errorf(wire.SizeLimit, at, "the method's name has %d bytes, the limit is %d", size, limits.NameBytes)
	}
	used = nameAt + int(size)
	if len(buf) < used {
		return h, 0, used, nil
	}
	h = wire.Head{Name: last, Seq: int32(uint32(seq)), Type: wire.MessageType(buf[1] >> 5)}
	if name := buf[nameAt:used]; string(name) != last {
		h.Name = string(name)
	}
	if h.Type < wire.Call || h.Type > wire.Oneway {
		return h, used, 0, wire.Errorf(wire.BadType, 1, "unknown message type %d", uint8(h.Type))
	}
	return h, used, 0, nil
}

// The most bytes that a varint of 16, 32 and 64 bits takes.
const (
	maxVarint16 = 3
	maxVarint32 = 5
	maxVarint64 = 10
)

// uvarint reads the varint of at most most bytes at at. next is where it ends; need > 0: it is not there in full, and so many bytes are
// worth another call.
func uvarint(buf []byte, at, most int) (v uint64, next, need int, err error) {
	for i := range most {
		if at+i >= len(buf) {
			return 0, 0, at + i + 1, nil
		}
		b := buf[at+i]
		if i == maxVarint64-1 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, at + i + 1, 0, nil
		}
	}
	return 0, 0, 0, wire.Errorf(wire.BadValue, at, "a number has more than %d bytes", most)
}
