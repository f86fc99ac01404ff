package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// maxBlockBytes bounds the lines before an HTTP body, in bytes.
const maxBlockBytes = 64 << 10

// httpStream splits one direction of an HTTP/1.1 connection: of requests, each a POST whose body is one message, or of their responses. The
// lines before a body are parsed by net/http, once they are there in full and bare of what two parsers could read in two ways; the body's
// bounds are found here. A body says itself what protocol it is in.
type httpStream struct {
	wire     Wire
	limits   wire.Limits
	requests bool   // nothing but requests may come
	name     string // of the last message

	looked int    // how far the end of the lines was looked for
	block  *block // of the message that is on its way; nil until its lines are there
	bounds bodyBounds
	shed   bool // the message is given up
}

func newHTTP(w Wire, limits wire.Limits) *httpStream { return &httpStream{wire: w, limits: limits} }

func (s *httpStream) Split(buf []byte) (m Message, used, need int, err error) {
	if s.block == nil {
		if need, err = s.readBlock(buf); need > 0 || err != nil {
			return m, 0, need, err
		}
	}
	end, need, err := s.bounds.find(buf[s.block.length:])
	if err != nil {
		return m, 0, 0, s.refuse(err)
	}
	if end < 0 {
		return m, 0, s.block.length + need, nil
	}
	end += s.block.length
	b := s.block
	m, err = s.message(b, s.bounds.body(buf[b.length:end:end]), end)
	s.next()
	if err != nil {
		return Message{}, 0, 0, err
	}
	return m, end, 0, nil
}

// readBlock reads the lines before a body.
func (s *httpStream) readBlock(buf []byte) (need int, err error) {
	from := max(0, s.looked-len("\r\n\r"))
	at := bytes.Index(buf[from:], []byte("\r\n\r\n"))
	if at < 0 {
		s.looked = len(buf)
		if len(buf) > maxBlockBytes {
			return 0, s.refuse(&httpError{http.StatusRequestHeaderFieldsTooLarge, "the header lines are longer than 64 KiB"})
		}
		return len(buf) + 1, nil
	}
	length := from + at + len("\r\n\r\n")
	if length > maxBlockBytes {
		return 0, s.refuse(&httpError{http.StatusRequestHeaderFieldsTooLarge, "the header lines are longer than 64 KiB"})
	}
	b, err := parseBlock(buf[:length])
	switch {
	case err != nil:
		return 0, s.refuse(err)
	case b.status != 0 && s.requests:
		return 0, s.refuse(&httpError{http.StatusBadRequest, "a response where a request should begin"})
	case b.status != 0 && b.status != http.StatusOK: // its body is a page: nothing is lost with it
		return 0, s.refuse(&httpError{b.status, fmt.Sprintf("the peer answers with HTTP status %d", b.status)})
	}
	if int64(b.size) > int64(s.limits.MessageBytes) {
		return 0, s.refuse(wire.Errorf(wire.SizeLimit, 0, "a body of %d bytes, the limit is %d", b.size, s.limits.MessageBytes))
	}
	s.block = b
	s.bounds = bodyBounds{block: b, limits: s.limits, wire: s.wire}
	return 0, nil
}

// message reads the one message of a body. An empty body is the answer to a oneway: a message without a head.
func (s *httpStream) message(b *block, body []byte, end int) (m Message, err error) {
	m = Message{Wire: s.wire, Envelope: b.envelope, Headers: b.headers}
	if len(body) == 0 && b.status != 0 {
		return m, nil
	}
	w, _, need, reason := detect(append([]byte(nil), body[:min(len(body), 64)]...), s.limits)
	switch {
	case reason != nil:
		return m, s.refuse(reason)
	case need > 0 && len(body) < 64 || w.Kind != Buffered:
		return m, s.refuse(wire.Errorf(wire.BadVersion, b.length, "the body is no Thrift message"))
	case need > 0: // a non-strict head whose name is long
		w = Wire{Buffered, wire.Binary}
	}
	m.Wire.Protocol = w.Protocol
	h, headOK, args, err := message.Parse(w.Protocol, body, s.limits, s.name)
	m.Head, m.Body = h, args
	if err != nil && !headOK {
		return m, s.refuse(err)
	}
	if err != nil {
		skip := end
		if b.envelope.Close {
			skip = 0
		}
		return m, malformed(err, b.length, m, true, skip)
	}
	s.name = h.Name
	return m, nil
}

// next makes s ready for the next message.
func (s *httpStream) next() { s.block, s.looked, s.shed, s.bounds = nil, 0, false, bodyBounds{} }

// refuse says what is wrong, and in HTTP's words to whom it concerns. Nothing behind it is trusted.
func (s *httpStream) refuse(err error) error {
	status, reason := http.StatusBadRequest, wire.BadValue
	if e, ok := errors.AsType[*httpError](err); ok {
		status = e.status
		err = wire.Errorf(reason, 0, "%s", e.text)
	}
	m := malformed(err, 0, Message{Wire: s.wire}, false, 0)
	if m.Err.Reason == wire.SizeLimit {
		status = http.StatusRequestEntityTooLarge
	}
	m.Answer = appendStatus(nil, status, m.Err.Text)
	s.next()
	return m
}

// httpError is what is wrong with a request, or with a response, besides its message.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// Peek implements Shedder. The head of a message is in its body, which is not looked into before it is whole.
func (s *httpStream) Peek(buf []byte) (m Message, ok bool) {
	if s.block == nil || len(buf) < s.block.length || s.block.chunked {
		return m, false
	}
	body := buf[s.block.length:]
	w, _, need, reason := detect(body, s.limits)
	if need > 0 || reason != nil || w.Kind != Buffered {
		return m, false
	}
	m = Message{Wire: Wire{HTTP, w.Protocol}, Envelope: s.block.envelope, Headers: s.block.headers}
	m.Head, ok = message.Peek(w.Protocol, body, s.limits, s.name)
	return m, ok
}

// Shed implements Shedder.
func (s *httpStream) Shed(buf []byte) (used int, done bool, err error) {
	if s.block == nil || s.block.chunked || s.block.size < 0 {
		return 0, false, nil
	}
	if !s.shed {
		s.shed, used = true, s.block.length
		s.bounds.left = s.block.size
	}
	n := min(len(buf)-used, s.bounds.left)
	s.bounds.left -= n
	if s.bounds.left > 0 {
		return used + n, false, nil
	}
	s.next()
	return used + n, true, nil
}
