package transport

import (
	"encoding/binary"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

const frameHead = 4 // bytes of length before a frame

// framed splits a stream of frames that hold one message each. A frame is looked into once it is there in full.
//
//	frame:  n:4  message:n
//	        n:4  tracking header  message
type framed struct {
	wire   Wire
	limits wire.Limits
	own    bool // the length is the message's own, as ThriftPy's JSON has it
	track  prefix
	name   string // of the last message: callers mostly call one method again and again
	shed   int    // bytes to come of a frame that is given up
}

func newFramed(w Wire, limits wire.Limits) *framed {
	return &framed{wire: w, limits: limits, track: prefix{protocol: w.Protocol}}
}

func (s *framed) Split(buf []byte) (m Message, used, need int, err error) {
	if len(buf) < frameHead {
		return m, 0, frameHead, nil
	}
	n, err := frameLength(binary.BigEndian.Uint32(buf), s.limits)
	if err != nil {
		return m, 0, 0, malformed(err, 0, Message{Wire: s.wire}, false, 0)
	}
	end := frameHead + n
	if len(buf) < end {
		return m, 0, end, nil
	}
	if m, err = s.message(buf[:end:end]); err != nil {
		return Message{}, 0, 0, err
	}
	return m, end, 0, nil
}

func (s *framed) Peek(buf []byte) (m Message, ok bool) {
	if len(buf) < frameHead {
		return m, false
	}
	buf, track := buf[s.before():], prefix{protocol: s.wire.Protocol}
	at, need, err := track.find(buf, s.limits)
	if need > 0 || err != nil {
		return m, false
	}
	h, ok := message.Peek(s.wire.Protocol, buf[at:], s.limits, s.name)
	return Message{Wire: s.wire, Head: h, Tracking: track.bytes(buf)}, ok
}

func (s *framed) Shed(buf []byte) (used int, done bool, err error) {
	if s.shed == 0 {
		if len(buf) < frameHead {
			return 0, false, nil
		}
		n, err := frameLength(binary.BigEndian.Uint32(buf), s.limits)
		if err != nil {
			return 0, false, malformed(err, 0, Message{Wire: s.wire}, false, 0)
		}
		s.shed = frameHead + n
	}
	used = min(s.shed, len(buf))
	s.shed -= used
	return used, s.shed == 0, nil
}

func frameLength(word uint32, limits wire.Limits) (int, error) {
	n := int32(word)
	switch {
	case word>>16 == 0x8001:
		return 0, wire.Errorf(wire.NegativeSize, 0, "an unframed message where a frame should begin")
	case n < 0:
		return 0, wire.Errorf(wire.NegativeSize, 0, "a frame has a length of %d", n)
	case n == 0:
		return 0, wire.Errorf(wire.BadValue, 0, "a frame has no bytes")
	case int64(n) > int64(limits.MessageBytes):
		return 0, wire.Errorf(wire.SizeLimit, 0, "a frame has %d bytes, the limit is %d", n, limits.MessageBytes)
	}
	return int(n), nil
}

// before is how many bytes stand before a message in its frame.
func (s *framed) before() int {
	if s.own {
		return 0
	}
	return frameHead
}

// message reads the one message of a frame. What is wrong in it leaves the stream sound: the next frame can be read.
func (s *framed) message(frame []byte) (m Message, err error) {
	m.Wire = s.wire
	at, need, err := s.track.find(frame[s.before():], s.limits)
	m.Tracking = s.track.bytes(frame[s.before():])
	s.track.reset()
	if need > 0 {
		err = wire.Errorf(wire.Truncated, len(frame)-s.before(), "the message ends inside its tracking header")
	}
	if err != nil {
		return m, malformed(err, s.before(), m, false, len(frame))
	}
	h, headOK, body, err := message.Parse(s.wire.Protocol, frame[s.before()+at:], s.limits, s.name)
	m.Head, m.Body = h, body
	if err != nil {
		return m, malformed(err, s.before()+at, m, headOK, len(frame))
	}
	s.name = h.Name
	return m, nil
}
