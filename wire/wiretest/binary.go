package wiretest

import (
	"fmt"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// Binary returns the binary protocol for the kit.
func Binary() Protocol {
	return Protocol{
		AppendHead: binary.AppendHead,
		ParseHead:  binary.ParseHead,
		ErrShort:   binary.ErrShort,
		Append:     AppendBinary,
		Skip:       binary.Skip,
		NewScanner: func() Scanner { return new(binary.Scanner) },
		NonStrict:  true,
	}
}

// AppendBinary appends v in the binary protocol.
func AppendBinary(dst []byte, v Value) []byte {
	switch v.Type {
	case wire.Bool:
		return binary.AppendBool(dst, v.Int != 0)
	case wire.I8:
		return binary.AppendI8(dst, int8(v.Int))
	case wire.I16:
		return binary.AppendI16(dst, int16(v.Int))
	case wire.I32:
		return binary.AppendI32(dst, int32(v.Int))
	case wire.I64:
		return binary.AppendI64(dst, v.Int)
	case wire.Double:
		return binary.AppendDouble(dst, v.Double)
	case wire.String:
		return binary.AppendString(dst, v.Bytes)
	case wire.UUID:
		return binary.AppendUUID(dst, [16]byte([]byte(v.Bytes)))
	case wire.List, wire.Set:
		return appendItems(binary.AppendList(dst, v.Elem, len(v.Items)), v.Items)
	case wire.Map:
		return appendItems(binary.AppendMap(dst, v.Key, v.Elem, len(v.Items)/2), v.Items)
	case wire.Struct:
		for _, f := range v.Fields {
			dst = AppendBinary(binary.AppendField(dst, f.Value.Type, f.ID), f.Value)
		}
		return binary.AppendStop(dst)
	}
	panic(fmt.Sprintf("wiretest: no value has type %s", v.Type))
}

func appendItems(dst []byte, items []Value) []byte {
	for _, item := range items {
		dst = AppendBinary(dst, item)
	}
	return dst
}
