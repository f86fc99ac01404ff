package transport

import (
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/jsontext"
	"github.com/thriftloom/thriftloom/wire/message"
)

// brackets splits an unframed stream of Apache's JSON: a message ends where its first bracket is closed.
type brackets struct {
	wire   Wire
	limits wire.Limits
	find   jsontext.Finder
	begun  bool
	name   string // of the last message
}

func newBrackets(w Wire, limits wire.Limits) *brackets { return &brackets{wire: w, limits: limits} }

func (s *brackets) Split(buf []byte) (m Message, used, need int, err error) {
	m.Wire = s.wire
	end, err := s.end(buf)
	if err != nil {
		m, headOK := s.Peek(buf)
		return Message{}, 0, 0, s.fail(err, m, headOK)
	}
	if end == 0 {
		return Message{}, 0, len(buf) + 1, nil
	}
	h, headOK, body, err := message.Parse(s.wire.Protocol, buf[:end:end], s.limits, s.name)
	m.Head, m.Body = h, body
	s.begun = false
	if err != nil {
		return Message{}, 0, 0, malformed(err, 0, m, headOK, end) // its brackets tell where the next one begins
	}
	s.name = h.Name
	return m, end, 0, nil
}

// end returns where the message ends, 0 while that has not come.
func (s *brackets) end(buf []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.find.Reset(s.limits.MessageBytes, 2*s.limits.Depth+2)
	}
	if len(buf) > 0 && buf[0] != '[' {
		return 0, wire.Errorf(wire.BadVersion, 0, "not a message in Apache's JSON: begins with %#02x", buf[0])
	}
	return s.find.Find(buf)
}

func (s *brackets) Peek(buf []byte) (m Message, ok bool) {
	h, ok := message.Peek(s.wire.Protocol, buf, s.limits, s.name)
	return Message{Wire: s.wire, Head: h}, ok
}

func (s *brackets) Shed(buf []byte) (used int, done bool, err error) {
	if !s.begun {
		return 0, false, nil
	}
	end, err := s.find.Find(buf)
	if err != nil {
		return 0, false, s.fail(err, Message{Wire: s.wire}, false)
	}
	if end == 0 {
		return s.find.Drop(len(buf)), false, nil
	}
	s.begun = false
	return end, true, nil
}

// fail says what is wrong where nothing tells where the next message begins.
func (s *brackets) fail(err error, m Message, headOK bool) error {
	s.begun = false
	return malformed(err, 0, m, headOK, 0)
}
