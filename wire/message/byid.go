package message

import (
	"errors"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// The protocols whose messages are a head and a struct, with nothing behind.
var (
	binaryFormat = format{
		parse:             parser(binary.ReadHead, binary.Skip),
		peek:              peeker(binary.ReadHead),
		appendHead:        func(dst []byte, h wire.Head, _ int) []byte { return binary.AppendHead(dst, h) },
		empty:             []byte{byte(wire.Stop)},
		appendApplication: binary.AppendApplication,
		parseApplication:  binary.ParseApplication,
		resultField:       fieldID(binary.ResultField),
	}
	compactFormat = format{
		parse:             parser(compact.ReadHead, compact.Skip),
		peek:              peeker(compact.ReadHead),
		appendHead:        func(dst []byte, h wire.Head, _ int) []byte { return compact.AppendHead(dst, h) },
		empty:             []byte{byte(wire.Stop)},
		appendApplication: compact.AppendApplication,
		parseApplication:  compact.ParseApplication,
		resultField:       fieldID(compact.ResultField),
	}
)

type (
	readHead = func(buf []byte, limits wire.Limits, last string) (h wire.Head, used, need int, err error)
	skip     = func(buf []byte, t wire.Type, limits wire.Limits) (used int, err error)
)

// parser makes a parse of what reads a head and what walks over a struct.
func parser(read readHead, skip skip) func([]byte, wire.Limits, string) (wire.Head, bool, []byte, error) {
	return func(msg []byte, limits wire.Limits, last string) (h wire.Head, headOK bool, body []byte, err error) {
		h, used, need, err := read(msg, limits, last)
		if need > 0 {
			return h, false, nil, wire.Errorf(wire.Truncated, len(msg), "the message ends inside its head")
		}
		if err != nil {
			return h, used > 0, nil, err
		}
		body = msg[used:len(msg):len(msg)]
		n, err := skip(body, wire.Struct, limits)
		if err == nil && n < len(body) {
			err = wire.Errorf(wire.Trailing, n, "%d bytes follow the message", len(body)-n)
		}
		if err != nil {
			return h, true, nil, moved(err, used)
		}
		return h, true, body, nil
	}
}

func peeker(read readHead) func([]byte, wire.Limits, string) (wire.Head, bool) {
	return func(buf []byte, limits wire.Limits, last string) (wire.Head, bool) {
		h, used, need, err := read(buf, limits, last)
		return h, used > 0 && need == 0 && err == nil
	}
}

// moved is err, whose offset counts from from, with an offset that counts from the message's start.
func moved(err error, from int) error {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return err
	}
	at := *e
	at.Offset += from
	return &at
}

func fieldID(read func([]byte) (int16, wire.Type, bool)) func([]byte) (int16, string, bool) {
	return func(body []byte) (int16, string, bool) {
		id, _, ok := read(body)
		return id, "", ok
	}
}
