// Package message takes messages of every protocol apart and puts them together, so that who carries a message need not know its encoding.
//
// A message is a head, a body (the args or result struct alone) and, in some protocols, a tail. Every error is a *wire.Error; the functions
// panic where they are given a protocol that Known does not report, which is a mistake of the caller's.
package message

import (
	"fmt"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// Known reports whether messages in p can be read and written.
func Known(p wire.Protocol) bool {
	return p == wire.Binary
}

// Parse takes a whole message apart: msg is its bytes from the head to the end, and all of it has been checked when Parse returns. last is
// a method's name that is probably this one's: where it is, last itself is returned and nothing is allocated. headOK says, on an error,
// that h was read, so that the caller can be answered. body is a slice of msg.
func Parse(p wire.Protocol, msg []byte, limits wire.Limits, last string) (h wire.Head, headOK bool, body []byte, err error) {
	mustKnow(p)
	h, used, need, err := binary.ReadHead(msg, limits, last)
	if need > 0 {
		return h, false, nil, wire.Errorf(wire.Truncated, len(msg), "the message ends inside its head")
	}
	if err != nil {
		return h, used > 0, nil, err
	}
	body = msg[used:len(msg):len(msg)]
	n, err := binary.Skip(body, wire.Struct, limits)
	if err == nil && n < len(body) {
		err = wire.Errorf(wire.Trailing, n, "%d bytes follow the message", len(body)-n)
	}
	if err != nil {
		return h, true, nil, moved(err, used)
	}
	return h, true, body, nil
}

// AppendHead appends what stands before a body of that many bytes.
func AppendHead(dst []byte, p wire.Protocol, h wire.Head, body int) []byte {
	mustKnow(p)
	return binary.AppendHead(dst, h)
}

// Tail returns what stands behind a body; nil where nothing does. It is not changed.
func Tail(p wire.Protocol) []byte {
	mustKnow(p)
	return nil
}

// Empty returns a struct without fields, as a body. It is not changed.
func Empty(p wire.Protocol) []byte {
	mustKnow(p)
	return emptyBinary
}

var emptyBinary = []byte{0}

// AppendApplication appends the struct of a TApplicationException.
func AppendApplication(dst []byte, p wire.Protocol, typ int32, text string) []byte {
	mustKnow(p)
	return binary.AppendApplication(dst, typ, text)
}

// ParseApplication reads the struct of a TApplicationException, which is all of body. The text is valid UTF-8 of bounded length.
func ParseApplication(p wire.Protocol, body []byte, limits wire.Limits) (typ int32, text string, err error) {
	mustKnow(p)
	return binary.ParseApplication(body, limits)
}

// ResultField returns the first field of a result struct: id 0 is the method's value, any other a declared exception. Protocols that write
// names and no ids give the field's name, else it is "". ok is false for a struct without fields: void, or a value that the peer left out.
func ResultField(p wire.Protocol, body []byte) (id int16, name string, ok bool) {
	mustKnow(p)
	id, _, ok = binary.ResultField(body)
	return id, "", ok
}

// moved is err, whose offset counts from from, with an offset that counts from the message's start.
func moved(err error, from int) error {
	if e, ok := err.(*wire.Error); ok {
		at := *e
		at.Offset += from
		return &at
	}
	return err
}

func mustKnow(p wire.Protocol) {
	if !Known(p) {
		panic(fmt.Sprintf("message: protocol %s is not built", p))
	}
}
