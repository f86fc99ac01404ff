package transport

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/thriftloom/thriftloom/wire"
	thrift "github.com/thriftloom/thriftloom/wire/binary"
)

// AppendHead appends all that stands before a body of that many bytes on a connection that speaks w: the frame's length, where there is
// one, and the message's head. The body itself is then sent from where it lies. headers are for transports that carry them; buffered and
// framed do not, and leave them out. w must be one that NewSplitter accepts.
func AppendHead(dst []byte, w Wire, h wire.Head, body int, headers []KV) []byte {
	switch w {
	case Wire{Buffered, wire.Binary}:
		return thrift.AppendHead(dst, h)
	case Wire{Framed, wire.Binary}:
		at := len(dst)
		dst = thrift.AppendHead(append(dst, 0, 0, 0, 0), h)
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-frameHead+body))
		return dst
	}
	panic(fmt.Sprintf("transport: AppendHead for %s %s, which is not built", w.Kind, w.Protocol))
}

// AppendException appends a whole message that carries a TApplicationException, in answer to the call with head h: name, sequence id and
// strictness are the call's.
func AppendException(dst []byte, w Wire, h wire.Head, code int32, text string) []byte {
	h.Type = wire.Exception
	body := thrift.AppendApplication(nil, code, text)
	return append(AppendHead(dst, w, h, len(body), nil), body...)
}

// SplitName parts a multiplexed name, "service:method". ok is false, and method the whole name, where there is no colon or more than one:
// ThriftPy refuses the latter.
func SplitName(name string) (service, method string, ok bool) {
	service, method, ok = strings.Cut(name, ":")
	if !ok || strings.Contains(method, ":") {
		return "", name, false
	}
	return service, method, true
}
