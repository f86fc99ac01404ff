package codec

import (
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// writer says how values are written, in one of the two protocols that have loops of their own. It is two words, handed from call to call;
// what is written most is written without it, where the compiler puts the appenders in line.
type writer struct {
	depth   int // levels that may still be entered
	compact bool
}

// written has write append a value of type t. The JSON protocols are written by way of binary, and hold structs alone.
func written(dst []byte, p wire.Protocol, t *schema.Type, write func([]byte, writer) ([]byte, error)) ([]byte, error) {
	w := writer{depth: wire.DefaultDepth, compact: p == wire.Compact}
	if p == wire.Binary || p == wire.Compact {
		return write(dst, w)
	}
	if t.Kind != schema.Struct {
		return dst, unsupported(p)
	}
	inBinary, err := write(nil, w)
	if err != nil {
		return dst, err
	}
	return Translate(dst, wire.Binary, p, t.Struct, inBinary, wire.Limits{MessageBytes: maxStringBytes})
}

// deeper is the writer one level down.
func (w writer) deeper() writer {
	w.depth--
	return w
}

func (w writer) string(dst []byte, v string) []byte {
	if w.compact {
		return compact.AppendString(dst, v)
	}
	return binary.AppendString(dst, v)
}

func (w writer) list(dst []byte, elem wire.Type, n int) []byte {
	if w.compact {
		return compact.AppendList(dst, elem, n)
	}
	return binary.AppendList(dst, elem, n)
}

func (w writer) mapHead(dst []byte, key, value wire.Type, n int) []byte {
	if w.compact {
		return compact.AppendMap(dst, key, value, n)
	}
	return binary.AppendMap(dst, key, value, n)
}
