// Package message takes messages of every protocol apart and puts them together, so that who carries a message need not know its encoding.
//
// A message is a head, a body (the args or result struct alone) and, in some protocols, a tail. Every error is a *wire.Error; the functions
// panic where they are given a protocol that Known does not report, which is a mistake of the caller's.
package message

import (
	"fmt"

	"github.com/thriftloom/thriftloom/wire"
)

// format is what one protocol does.
type format struct {
	parse             func(msg []byte, limits wire.Limits, last string) (h wire.Head, headOK bool, body []byte, err error)
	peek              func(buf []byte, limits wire.Limits, last string) (h wire.Head, ok bool)
	appendHead        func(dst []byte, h wire.Head, body int) []byte
	tail, empty       []byte
	appendApplication func(dst []byte, typ int32, text string) []byte
	parseApplication  func(body []byte, limits wire.Limits) (typ int32, text string, err error)
	resultField       func(body []byte) (id int16, name string, ok bool)
}

// formats are the protocols that are built.
var formats = map[wire.Protocol]*format{
	wire.Binary:     &binaryFormat,
	wire.Compact:    &compactFormat,
	wire.JSON:       &jsonFormat,
	wire.ApacheJSON: &apacheFormat,
}

// of returns the format of p.
func of(p wire.Protocol) *format {
	f := formats[p]
	if f == nil {
		panic(fmt.Sprintf("message: protocol %s is not built", p))
	}
	return f
}

// Known reports whether messages in p can be read and written.
func Known(p wire.Protocol) bool { return formats[p] != nil }

// Parse takes a whole message apart: msg is its bytes from the head to the end, and all of it has been checked when Parse returns. last is
// a method's name that is probably this one's: where it is, last itself is returned and nothing is allocated. headOK says, on an error,
// that h was read, so that the caller can be answered. body is a slice of msg.
func Parse(p wire.Protocol, msg []byte, limits wire.Limits, last string) (h wire.Head, headOK bool, body []byte, err error) {
	return of(p).parse(msg, limits, last)
}

// Peek returns the head of a message of which buf is the beginning; ok is false where it is not there in full, or is none.
func Peek(p wire.Protocol, buf []byte, limits wire.Limits, last string) (h wire.Head, ok bool) {
	return of(p).peek(buf, limits, last)
}

// AppendHead appends what stands before a body of that many bytes.
func AppendHead(dst []byte, p wire.Protocol, h wire.Head, body int) []byte {
	return of(p).appendHead(dst, h, body)
}

// Tail returns what stands behind a body; nil where nothing does. It is not changed.
func Tail(p wire.Protocol) []byte { return of(p).tail }

// Empty returns a struct without fields, as a body. It is not changed.
func Empty(p wire.Protocol) []byte { return of(p).empty }

// AppendApplication appends the struct of a TApplicationException.
func AppendApplication(dst []byte, p wire.Protocol, typ int32, text string) []byte {
	return of(p).appendApplication(dst, typ, text)
}

// ParseApplication reads the struct of a TApplicationException, which is all of body. The text is valid UTF-8 of bounded length.
func ParseApplication(p wire.Protocol, body []byte, limits wire.Limits) (typ int32, text string, err error) {
	return of(p).parseApplication(body, limits)
}

// ResultField returns the first field of a result struct: id 0 is the method's value, any other a declared exception. Protocols that write
// names and no ids give the field's name, else it is "". ok is false for a struct without fields: void, or a value that the peer left out.
func ResultField(p wire.Protocol, body []byte) (id int16, name string, ok bool) {
	return of(p).resultField(body)
}
