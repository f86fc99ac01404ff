package transport

import (
	"encoding/binary"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// What is fixed in a frame of THeader.
const (
	headerMagic      = 0x0fff
	headerFixed      = 10       // magic, flags, sequence id and words
	headerBlockBytes = 64 << 10 // the most that a header block may have
	headerCount      = 256      // the most key-values of a frame: each costs 32 bytes here and as few as 2 on the wire
	infoKeyValue     = 1
	transformZlib    = 1
)

// headerProtocols are the ids of the protocols that THeader carries.
var headerProtocols = map[int]wire.Protocol{0: wire.Binary, 2: wire.Compact}

// header splits a stream of frames of THeader. The frame names the protocol of its message.
//
//	frame:   n:4  magic:2=0x0fff  flags:2  seqid:4  words:2  block:words*4  payload
//	block:   protocol:varint  transforms:varint  transform:varint …  info …  padding of 0
//	info:    type:varint=1  count:varint  { n:varint key:n  n:varint value:n } …
//
// Source: Apache Thrift, doc/specs/HeaderFormat.md.
type header struct {
	framed  framed // which knows how long a frame is
	inflate inflater
}

func newHeader(w Wire, limits wire.Limits) *header {
	return &header{framed: framed{wire: w, limits: limits}}
}

func (s *header) Split(buf []byte) (m Message, used, need int, err error) {
	m.Wire = s.framed.wire
	if len(buf) < frameHead {
		return Message{}, 0, frameHead, nil
	}
	n, err := frameLength(binary.BigEndian.Uint32(buf), s.framed.limits)
	if err != nil {
		return Message{}, 0, 0, malformed(err, 0, m, false, 0)
	}
	end := frameHead + n
	if len(buf) < end {
		return Message{}, 0, end, nil
	}
	if m, err = s.message(buf[frameHead:end:end]); err != nil {
		return Message{}, 0, 0, err
	}
	return m, end, 0, nil
}

// message reads the one message of a frame. What is wrong in it leaves the stream sound: the next frame can be read.
func (s *header) message(frame []byte) (m Message, err error) {
	m.Wire = s.framed.wire
	skip := frameHead + len(frame)
	block, payload, err := m.openHeader(frame)
	if err != nil {
		return m, malformed(err, frameHead, m, false, skip)
	}
	at := frameHead + headerFixed + len(block)
	r := blockReader{buf: block}
	if err := m.readFormat(&r); err != nil {
		return m, malformed(err, frameHead+headerFixed, m, false, skip)
	}
	if err := m.readInfos(&r); err != nil {
		var headOK bool
		m.Head, headOK = s.peekPayload(&m, payload)
		m.Headers = nil
		return m, malformed(err, frameHead+headerFixed, m, headOK, skip)
	}
	if m.Envelope.Zlib {
		if payload, err = s.inflate.all(payload, s.framed.limits.MessageBytes); err != nil {
			return m, malformed(err, at, m, false, skip)
		}
	}
	h, headOK, body, err := message.Parse(m.Wire.Protocol, payload, s.framed.limits, s.framed.name)
	m.Head, m.Body = h, body
	if err != nil {
		return m, malformed(err, at, m, headOK, skip)
	}
	s.framed.name = h.Name
	return m, nil
}

// peekPayload reads the head of a message of which the key-values are not right, or the body is not there yet: whoever sent it can be
// answered. A packed payload is not looked into.
func (s *header) peekPayload(m *Message, payload []byte) (h wire.Head, ok bool) {
	if m.Envelope.Zlib {
		return h, false
	}
	return message.Peek(m.Wire.Protocol, payload, s.framed.limits, s.framed.name)
}

func (s *header) Peek(buf []byte) (m Message, ok bool) {
	if len(buf) < frameHead+headerFixed {
		return m, false
	}
	m.Wire = s.framed.wire
	block, payload, err := m.openHeader(buf[frameHead:])
	r := blockReader{buf: block}
	if err != nil || m.readFormat(&r) != nil || m.readInfos(&r) != nil {
		return Message{}, false
	}
	if m.Head, ok = s.peekPayload(&m, payload); !ok {
		return Message{}, false
	}
	return m, true
}

func (s *header) Shed(buf []byte) (used int, done bool, err error) { return s.framed.Shed(buf) }

// openHeader reads what is fixed at the start of a frame, and parts what follows.
func (m *Message) openHeader(frame []byte) (block, payload []byte, err error) {
	if len(frame) < headerFixed {
		return nil, nil, wire.Errorf(wire.Truncated, len(frame), "a THeader frame has %d bytes, its head alone has %d", len(frame), headerFixed)
	}
	if magic := binary.BigEndian.Uint16(frame); magic != headerMagic {
		return nil, nil, wire.Errorf(wire.BadVersion, 0, "not a THeader frame: it begins with %04x", magic)
	}
	m.Envelope = Envelope{Came: true, Flags: binary.BigEndian.Uint16(frame[2:]), Seq: int32(binary.BigEndian.Uint32(frame[4:]))}
	n, rest := 4*int(binary.BigEndian.Uint16(frame[8:])), frame[headerFixed:]
	switch {
	case n > headerBlockBytes:
		return nil, nil, wire.Errorf(wire.SizeLimit, 8, "a header block has %d bytes, the limit is %d", n, headerBlockBytes)
	case n > len(rest):
		return nil, nil, wire.Errorf(wire.SizeLimit, 8, "a header block has %d bytes in a frame with %d", n, len(rest))
	}
	return rest[:n:n], rest[n:len(rest):len(rest)], nil
}

// readFormat reads the start of a header block: the protocol and the transforms.
func (m *Message) readFormat(r *blockReader) error {
	id, err := r.varint()
	if err != nil {
		return err
	}
	p, known := headerProtocols[id]
	if !known || !message.Known(p) {
		return wire.Errorf(wire.Unsupported, 0, "a THeader frame with protocol %d; 0 binary and 2 compact are spoken", id)
	}
	m.Wire.Protocol = p
	n, err := r.varint()
	if err != nil {
		return err
	}
	for range n {
		at := r.at
		id, err := r.varint()
		switch {
		case err != nil:
			return err
		case id != transformZlib:
			return wire.Errorf(wire.Unsupported, at, "a THeader frame with transform %d; 1 zlib is known", id)
		case m.Envelope.Zlib:
			return wire.Errorf(wire.BadValue, at, "a THeader frame with zlib twice")
		}
		m.Envelope.Zlib = true
	}
	return nil
}

// readInfos reads what follows in a header block: the key-values, and padding.
func (m *Message) readInfos(r *blockReader) error {
	for r.at < len(r.buf) {
		at := r.at
		info, err := r.varint()
		switch {
		case err != nil:
			return err
		case info == 0: // the padding begins
			return nil
		case info != infoKeyValue:
			return wire.Errorf(wire.Unsupported, at, "a header block with info of type %d; 1 key-value is known", info)
		}
		if m.Headers, err = r.keyValues(m.Headers); err != nil {
			return err
		}
	}
	return nil
}
