package transport

import (
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// scanner finds where a struct ends.
type scanner interface {
	Reset(limits wire.Limits, consumed int)
	Scan(buf []byte) (end, need int, err error)
	Drop(n int) int
}

type headReader = func(buf []byte, limits wire.Limits, last string) (h wire.Head, used, need int, err error)

// newBuffered returns a splitter for an unframed stream; nil where there is none for the protocol.
func newBuffered(w Wire, limits wire.Limits) Splitter {
	switch w.Protocol {
	case wire.Binary:
		return &buffered{wire: w, limits: limits, readHead: binary.ReadHead, scan: new(binary.Scanner), track: prefix{protocol: w.Protocol}}
	case wire.Compact:
		return &buffered{wire: w, limits: limits, readHead: compact.ReadHead, scan: new(compact.Scanner), track: prefix{protocol: w.Protocol}}
	case wire.JSON:
		return &framed{wire: w, limits: limits, own: true}
	case wire.ApacheJSON:
		return newBrackets(w, limits)
	}
	return nil
}

// buffered splits a stream without frames: a message ends where its struct ends.
type buffered struct {
	wire     Wire
	limits   wire.Limits
	readHead headReader
	scan     scanner
	head     wire.Head // of the message that is on its way, once body > 0
	track    prefix
	body     int    // where its struct begins; 0 until the head is there in full
	name     string // of the last message: callers mostly call one method again and again
	shed     bool   // the message is given up, and so are its bytes so far
}

func (s *buffered) Split(buf []byte) (m Message, used, need int, err error) {
	if s.body == 0 {
		if need, err = s.begin(buf); need > 0 || err != nil {
			return m, 0, need, err
		}
	}
	end, need, err := s.scan.Scan(buf[s.body:])
	if err != nil {
		return m, 0, 0, s.fail(err, s.body)
	}
	if end == 0 {
		return m, 0, s.body + need, nil
	}
	used = s.body + end
	m = Message{Wire: s.wire, Head: s.head, Tracking: s.track.bytes(buf), Body: buf[s.body:used:used]}
	s.next()
	return m, used, 0, nil
}

func (s *buffered) begin(buf []byte) (need int, err error) {
	at, need, err := s.track.find(buf, s.limits)
	if err != nil {
		s.head = wire.Head{}
		return 0, s.fail(err, 0)
	}
	if need > 0 {
		return need, nil
	}
	head, n, need, err := s.readHead(buf[at:], s.limits, s.name)
	if need > 0 {
		if at+need > s.limits.MessageBytes {
			return 0, s.fail(wire.Errorf(wire.SizeLimit, at, "the message is longer than the limit"), 0)
		}
		return at + need, nil
	}
	s.head = head
	if n > 0 {
		s.body = at + n
	}
	if err != nil {
		return 0, s.fail(err, at)
	}
	s.name = s.head.Name
	s.scan.Reset(s.limits, s.body)
	return 0, nil
}

func (s *buffered) next() {
	s.body = 0
	s.track.reset()
}

func (s *buffered) Peek(buf []byte) (Message, bool) {
	return Message{Wire: s.wire, Head: s.head, Tracking: s.track.bytes(buf)}, s.body > 0
}

func (s *buffered) Shed(buf []byte) (used int, done bool, err error) {
	if s.body == 0 {
		return 0, false, nil
	}
	if !s.shed {
		s.shed, used = true, min(s.body, len(buf))
	}
	end, _, err := s.scan.Scan(buf[used:])
	if err != nil {
		s.shed = false
		return used, false, s.fail(err, 0)
	}
	if end == 0 {
		return used + s.scan.Drop(len(buf)-used), false, nil
	}
	s.shed = false
	s.next()
	return used + end, true, nil
}

// fail says what is wrong in the part of the message that begins at offset. Nothing tells where the next message begins.
func (s *buffered) fail(err error, offset int) error {
	m := malformed(err, offset, Message{Wire: s.wire, Head: s.head}, s.body > 0, 0)
	s.next()
	return m
}
