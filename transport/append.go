package transport

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// Encode lays m out as m.Wire says. What is to be sent is head, which is what it appended to dst, and behind it body: m.Body itself, which
// is sent from where it lies, or nil where all of it had to be written anew. Headers are left out where the transport carries none. m.Wire
// must be one that NewSplitter accepts. Tracking, which must be in m.Wire's protocol, stands before the message, inside its frame; in
// THeader it is left out.
func Encode(dst []byte, m Message) (head, body []byte) {
	at := len(dst)
	switch m.Wire.Kind {
	case Buffered:
	case Header:
		return encodeHeader(dst, m)
	case HTTP:
		return encodeHTTP(dst, m)
	case Framed:
		dst = append(dst, 0, 0, 0, 0)
	default:
		panic(fmt.Sprintf("transport: Encode for %s %s, which is not built", m.Wire.Kind, m.Wire.Protocol))
	}
	dst = append(dst, m.Tracking...)
	dst, body = message.AppendHead(dst, m.Wire.Protocol, m.Head, len(m.Body)), m.Body
	if tail := message.Tail(m.Wire.Protocol); tail != nil {
		dst, body = append(append(dst, body...), tail...), nil
	}
	if m.Wire.Kind == Framed {
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-frameHead+len(body)))
	}
	return dst, body
}

// Append appends all of m, as Encode lays it out.
func Append(dst []byte, m Message) []byte {
	head, body := Encode(dst, m)
	return append(head, body...)
}

// Exception returns the answer to m that carries a TApplicationException: name, sequence id and all else are m's.
func Exception(m Message, code int32, text string) Message {
	m.Head.Type, m.Headers = wire.Exception, nil
	m.Body = message.AppendApplication(nil, m.Wire.Protocol, code, text)
	return m
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
