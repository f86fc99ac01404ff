package transport

import (
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// maxTrackingBytes bounds one tracking header, in bytes; they count against the message's limit as well.
const maxTrackingBytes = 64 << 10

// compactTracking is the first byte of a RequestHeader in compact: a string field of id 1.
const compactTracking = 0x18

// Tracks reports whether ThriftPy's tracking headers are read and written before messages that are laid out so. ThriftPy has no THeader
// client; a frame of it has one message and headers of its own. Over HTTP nothing holds beyond one request. ThriftPy does track in its own
// JSON, where a header is a document by itself; that is not built.
func (w Wire) Tracks() bool {
	return (w.Kind == Buffered || w.Kind == Framed) && (w.Protocol == wire.Binary || w.Protocol == wire.Compact)
}

// prefix finds ThriftPy's tracking header before a message, piece by piece. What begins as neither is left to the message's own reader.
//
//	binary   80 01          a message     compact  82      a message
//	         0b–0d 00 01–03 a header               00, 1x–3x  a header
//	         00 80 01       an empty header
//
// An empty header before a non-strict message cannot be told from that message, and is none: a strict one would need a name of 8 MB.
type prefix struct {
	protocol wire.Protocol
	scan     scanner // nil until the first header
	open     bool    // inside a header
	found    bool    // it is known where the message begins
	end      int     // of the header: where the message begins
}

// find returns where the message at the start of buf begins. need is as in Splitter; an error's offset counts from buf's start.
func (p *prefix) find(buf []byte, limits wire.Limits) (end, need int, err error) {
	if p.found {
		return p.end, 0, nil
	}
	if !p.open {
		header, need := begins(p.protocol, buf)
		if need > 0 {
			return 0, need, nil
		}
		if !header {
			p.found = true
			return 0, 0, nil
		}
		if p.scan == nil {
			p.scan = newScanner(p.protocol)
		}
		limits.MessageBytes = min(limits.MessageBytes, maxTrackingBytes)
		p.scan.Reset(limits, 0)
		p.open = true
	}
	end, need, err = p.scan.Scan(buf)
	if err == nil && end > 0 {
		p.found, p.end = true, end
	}
	return end, need, err
}

// bytes returns the header at the start of buf, nil where there is none.
func (p *prefix) bytes(buf []byte) []byte {
	if p.end == 0 || len(buf) < p.end {
		return nil
	}
	return buf[:p.end:p.end]
}

// reset makes p ready for the next message.
func (p *prefix) reset() { p.open, p.found, p.end = false, false, 0 }

func newScanner(p wire.Protocol) scanner {
	if p == wire.Compact {
		return new(compact.Scanner)
	}
	return new(binary.Scanner)
}

// begins reports whether buf begins with a tracking header; need > 0: more bytes are needed to tell.
func begins(p wire.Protocol, buf []byte) (header bool, need int) {
	if len(buf) < 1 {
		return false, 1
	}
	b := buf[0]
	switch p {
	case wire.Compact:
		return b == byte(wire.Stop) || b>>4 >= 1 && b>>4 <= 3 && b&0x0f >= 8, 0
	case wire.Binary:
		if b != byte(wire.Stop) && (b < byte(wire.String) || b > byte(wire.Map)) {
			return false, 0
		}
		if len(buf) < 4 {
			return false, 4
		}
		return isTracking(buf) || b == 0 && buf[1] == 0x80 && buf[2] == 0x01, 0
	}
	return false, 0
}

// isTracking reports whether buf begins as a tracking header does in binary: a string, struct or map field whose id is 1 to 3.
func isTracking(buf []byte) bool {
	return buf[0] >= byte(wire.String) && buf[0] <= byte(wire.Map) && buf[1] == 0 && buf[2] >= 1 && buf[2] <= 3
}
