package wiretest

import (
	"fmt"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// Compact returns the compact protocol for the kit.
func Compact() Protocol {
	return Protocol{
		AppendHead: compact.AppendHead,
		ParseHead:  compact.ParseHead,
		ErrShort:   compact.ErrShort,
		Append:     AppendCompact,
		Skip:       compact.Skip,
		NewScanner: func() Scanner { return new(compact.Scanner) },
	}
}

// AppendCompact appends v in the compact protocol; a bool as an element.
func AppendCompact(dst []byte, v Value) []byte {
	switch v.Type {
	case wire.Bool:
		return compact.AppendBool(dst, v.Int != 0)
	case wire.I8:
		return compact.AppendI8(dst, int8(v.Int))
	case wire.I16, wire.I32, wire.I64:
		return compact.AppendI64(dst, v.Int)
	case wire.Double:
		return compact.AppendDouble(dst, v.Double)
	case wire.String:
		return compact.AppendString(dst, v.Bytes)
	case wire.UUID:
		return compact.AppendUUID(dst, [16]byte([]byte(v.Bytes)))
	case wire.List, wire.Set:
		return appendCompactItems(compact.AppendList(dst, v.Elem, len(v.Items)), v.Items)
	case wire.Map:
		return appendCompactItems(compact.AppendMap(dst, v.Key, v.Elem, len(v.Items)/2), v.Items)
	case wire.Struct:
		last := int16(0)
		for _, f := range v.Fields {
			if f.Value.Type == wire.Bool {
				dst = compact.AppendBoolField(dst, f.Value.Int != 0, f.ID, last)
			} else {
				dst = AppendCompact(compact.AppendField(dst, f.Value.Type, f.ID, last), f.Value)
			}
			last = f.ID
		}
		return compact.AppendStop(dst)
	}
	panic(fmt.Sprintf("wiretest: no value has type %s", v.Type))
}

func appendCompactItems(dst []byte, items []Value) []byte {
	for _, item := range items {
		dst = AppendCompact(dst, item)
	}
	return dst
}
