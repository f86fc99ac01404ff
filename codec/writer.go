package codec

import (
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

func newWriter(p wire.Protocol) (writer, error) {
	if p != wire.Binary && p != wire.Compact {
		return writer{}, unsupported(p)
	}
	return writer{depth: wire.DefaultDepth, compact: p == wire.Compact}, nil
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
