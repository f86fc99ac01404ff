package transport

import (
	"encoding/binary"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// Detect tells from a connection's first bytes how it speaks. nonStrict says that the first message has a head without the version word.
// need > 0 is the least length of buf that is worth another call; nothing else is known then. More bytes never change an answer.
//
// The error is a *Malformed: Unsupported for what is known but not spoken here, with its name in the text and w as far as it is known, or
// TLSHello for a TLS handshake, BadVersion for what is not Thrift.
//
//	byte 0     80 01  binary                          byte 4     80 01     framed binary
//	           82     compact                         after four 82        framed compact
//	           [      Apache JSON                     bytes of   0f ff     THeader
//	           A–Z    HTTP, if it is a method         length     {         ThriftPy's JSON
//	           16 03  TLS                                        [         framed Apache JSON
//	           0b–0d  binary, behind a tracking header           0b–0d     framed binary, behind a tracking header
//	           18     compact, behind a tracking header          18        framed compact, behind a tracking header
//	           01     SASL                                       00        framed: non-strict binary or ThriftPy's JSON
//	           else   length                                     letter    non-strict binary, the length is its name's
func Detect(buf []byte) (w Wire, nonStrict bool, need int, err error) {
	w, nonStrict, need, reason := detect(buf, wire.Limits{}.WithDefaults())
	if reason != nil {
		err = &Malformed{Err: reason}
	}
	return w, nonStrict, need, err
}

func detect(buf []byte, limits wire.Limits) (w Wire, nonStrict bool, need int, err *wire.Error) {
	if len(buf) < 4 {
		return w, false, 4, nil
	}
	switch b := buf[0]; {
	case b == 0x80 && buf[1] == 0x01:
		return Wire{Buffered, wire.Binary}, false, 0, nil
	case b == 0x82 && buf[1]&0x1f == 1:
		return Wire{Buffered, wire.Compact}, false, 0, nil
	case b == '[':
		return Wire{Buffered, wire.ApacheJSON}, false, 0, nil
	case b == 0x16 && buf[1] == 3:
		return w, false, 0, wire.Errorf(wire.TLSHello, 0, "a TLS handshake on a plain Thrift port")
	case httpMethods[string(buf[:4])]:
		return Wire{HTTP, wire.Binary}, false, 0, nil // a body says itself what protocol it is in
	case string(buf[:4]) == "HTTP":
		return refuse(Wire{Kind: HTTP}, "an HTTP response where a request should begin")
	case string(buf[:4]) == "PRI ":
		return refuse(Wire{Kind: HTTP}, "HTTP/2, which is not spoken here")
	case isTracking(buf):
		return Wire{Buffered, wire.Binary}, false, 0, nil
	case b == compactTracking:
		return Wire{Buffered, wire.Compact}, false, 0, nil
	}
	n := int32(binary.BigEndian.Uint32(buf))
	switch {
	case n <= 0:
		return garbage(buf)
	case len(buf) < 6:
		return w, false, 6, nil
	case n == 1<<24 && buf[4] <= 20 && isUpper(buf[5]): // SASL's start:  status:1=1  n:4  mechanism:n
		return refuse(w, "a SASL handshake, which is not spoken here")
	}
	return detectLength(buf, int(n), limits)
}

// detectLength tells what the four bytes of length n at the start of buf belong to.
func detectLength(buf []byte, n int, limits wire.Limits) (w Wire, nonStrict bool, need int, err *wire.Error) {
	switch b := buf[4]; {
	case b == 0x80 && buf[5] == 0x01:
		return Wire{Framed, wire.Binary}, false, 0, nil
	case b == 0x82 && buf[5]&0x1f == 1:
		return Wire{Framed, wire.Compact}, false, 0, nil
	case b == 0x0f && buf[5] == 0xff:
		return detectHeader(buf, n)
	case b == '{':
		return Wire{Buffered, wire.JSON}, false, 0, nil
	case b == '[':
		return Wire{Framed, wire.ApacheJSON}, false, 0, nil
	case b == compactTracking:
		return Wire{Framed, wire.Compact}, false, 0, nil
	case b == 0:
		return detectFrame(buf, n, limits)
	case isPrintable(b):
		return detectOld(buf, Buffered, 4, n, limits)
	case b < byte(wire.String) || b > byte(wire.Map):
		return garbage(buf)
	case len(buf) < 7:
		return w, false, 7, nil
	case isTracking(buf[4:]):
		return Wire{Framed, wire.Binary}, false, 0, nil
	}
	return garbage(buf)
}

// detectHeader tells which protocol the first frame of THeader names. Each later frame may name another.
func detectHeader(buf []byte, n int) (w Wire, nonStrict bool, need int, err *wire.Error) {
	const at = frameHead + headerFixed
	switch {
	case n <= headerFixed:
		return garbage(buf)
	case len(buf) <= at:
		return w, false, at + 1, nil
	}
	p, known := headerProtocols[int(buf[at])]
	if !known || !message.Known(p) {
		return refuse(Wire{Kind: Header}, "a THeader frame with a protocol that is neither binary nor compact")
	}
	return Wire{Header, p}, false, 0, nil
}

// detectFrame tells what a frame of length n holds that begins with a length of its own.
func detectFrame(buf []byte, n int, limits wire.Limits) (w Wire, nonStrict bool, need int, err *wire.Error) {
	if len(buf) < 9 {
		return w, false, 9, nil
	}
	inner := int(binary.BigEndian.Uint32(buf[4:])) // below 2^24: its first byte is 0
	if inner == n-4 && buf[8] == '{' {
		return Wire{Framed, wire.JSON}, false, 0, nil
	}
	if inner+10 > n { // length, type, sequence id and a stop are 10 bytes besides the name
		return garbage(buf)
	}
	return detectOld(buf, Framed, 8, inner, limits)
}

// detectOld decides whether a non-strict head goes on at at with a name of n bytes: printable ones, and then a message type.
func detectOld(buf []byte, k Kind, at, n int, limits wire.Limits) (w Wire, nonStrict bool, need int, err *wire.Error) {
	if n > limits.NameBytes {
		return garbage(buf)
	}
	end := at + n
	for _, b := range buf[at:min(end, len(buf))] {
		if !isPrintable(b) {
			return garbage(buf)
		}
	}
	if len(buf) <= end {
		return w, false, end + 1, nil
	}
	if t := wire.MessageType(buf[end]); t < wire.Call || t > wire.Oneway {
		return garbage(buf)
	}
	return Wire{k, wire.Binary}, true, 0, nil
}

var httpMethods = map[string]bool{
	"GET ": true, "POST": true, "PUT ": true, "HEAD": true, "OPTI": true, "DELE": true, "PATC": true, "CONN": true, "TRAC": true,
}

func isPrintable(b byte) bool { return b > 0x20 && b < 0x7f }

func isUpper(b byte) bool { return b >= 'A' && b <= 'Z' }

func refuse(w Wire, what string) (Wire, bool, int, *wire.Error) {
	return w, false, 0, wire.Errorf(wire.Unsupported, 0, "%s", what)
}

func garbage(buf []byte) (Wire, bool, int, *wire.Error) {
	return Wire{}, false, 0, wire.Errorf(wire.BadVersion, 0, "not Thrift: the connection begins with % x", buf[:4])
}
