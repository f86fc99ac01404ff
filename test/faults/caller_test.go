//go:build linux

package faults

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// caller is one caller's connection, byte by byte.
type caller struct {
	*memnet.Conn
	s       *scene
	answers *fakepeer.Reader
}

// caller connects to the gateway.
func (s *scene) caller() *caller {
	s.Helper()
	nc, err := s.network.Dial(s.Context(), front)
	if err != nil {
		s.Fatal(err)
	}
	c := &caller{Conn: nc.(*memnet.Conn), s: s, answers: fakepeer.NewReader(nc, s.wire())}
	s.callers = append(s.callers, c)
	_ = c.SetReadDeadline(time.Now().Add(24 * time.Hour))
	return c
}

// request is a call's message, with an argument that no other call has.
func (s *scene) request(method string, seq int32) (message []byte, key string) {
	key = fmt.Sprint("key-", s.sent.Add(1))
	return s.message(wire.Head{Name: method, Seq: seq, Type: wire.Call}, key), key
}

// message is one with a string as its first field, as calls have it.
func (s *scene) message(h wire.Head, key string) []byte {
	body := binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 1), key))
	return transport.Append(nil, transport.Message{Wire: s.wire(), Head: h, Body: body})
}

// headBytes is how long the part of a message before the arguments is.
func (s *scene) headBytes(method string) int {
	return len(transport.Append(nil, transport.Message{Wire: s.wire(), Head: wire.Head{Name: method, Type: wire.Call}}))
}

func (c *caller) write(b []byte) {
	c.s.Helper()
	if _, err := c.Write(b); err != nil {
		c.s.Fatal(err)
	}
}

// send sends a call and returns its argument.
func (c *caller) send(method string, seq int32) (key string) {
	c.s.Helper()
	b, key := c.s.request(method, seq)
	c.write(b)
	return key
}

// answer is what a caller reads: what became of the call ("OK", a code, or "closed"), and the text of it.
type answer struct {
	what, text string
	head       wire.Head
}

// read returns the next answer.
func (c *caller) read() answer {
	c.s.Helper()
	m, err := c.answers.Next()
	if err == nil {
		return c.s.judge(m)
	}
	if _, ok := errors.AsType[*transport.Malformed](err); ok {
		c.s.Fatalf("the gateway sent %q: %v", c.answers.Rest(), err)
	}
	what := "closed"
	if !errors.Is(err, io.EOF) {
		what = err.Error()
	}
	if len(c.answers.Rest()) > 0 {
		what = "cut: " + what
	}
	return answer{what: what}
}

func (s *scene) judge(m transport.Message) answer {
	if m.Head.Type == wire.Exception {
		typ, text, err := binary.ParseApplication(m.Body, wire.Limits{})
		if err != nil {
			s.Fatal(err)
		}
		code, rest, ok := strings.Cut(text, ": ")
		if !ok || !strings.Contains(rest, "; call ") {
			s.Errorf("the exception says %q, which is no code, what failed and which call", text)
		}
		if strings.Contains(text, "10.0.0.") {
			s.Errorf("the exception %q names an address", text)
		}
		if want := int32(6); code != "UNKNOWN_METHOD" && code != "INVALID_MESSAGE_TYPE" && code != "PROTOCOL_ERROR" && typ != want {
			s.Errorf("the exception %q is of type %d, want %d", text, typ, want)
		}
		return answer{what: code, text: text, head: m.Head}
	}
	if len(m.Body) < 8 { // field:3 length:4 bytes stop:1
		return answer{what: "OK", head: m.Head}
	}
	return answer{what: "OK", text: string(m.Body[7 : len(m.Body)-1]), head: m.Head}
}

// want is what is to become of a call.
type want struct {
	answer   string        // what the caller reads
	attempts string        // the classes of the attempts, in order; several that are right with "|" between
	reach    rpc.Reach     // of the error
	after    time.Duration // exactly; zero: whenever
}

// expect makes a call as a new caller and checks what becomes of it.
func (s *scene) expect(method string, w want) {
	s.Helper()
	c := s.caller()
	start := time.Now()
	key := c.send(method, 7)
	a := c.read()
	took := time.Since(start)
	_ = c.Close()
	s.check(method, key, a, w)
	if w.after != 0 && took != w.after {
		s.Errorf("%s: answered after %v, want %v", method, took, w.after)
	}
}

// check compares an answer, and the record of the call, which is the last, with what is wanted.
func (s *scene) check(method, key string, a answer, w want) {
	s.Helper()
	if a.what != w.answer {
		s.Errorf("%s: the caller got %q (%s), want %q", method, a.what, a.text, w.answer)
	}
	if a.what == "OK" && a.text != key {
		s.Errorf("%s: the answer is %q, want %q: that of another call", method, a.text, key)
	}
	if a.head.Seq != 7 || a.head.Name != method {
		s.Errorf("%s: the answer's head is %+v", method, a.head)
	}
	_, r := s.seen()
	if r == nil {
		s.Fatalf("%s: no record", method)
	}
	if got := outcomes(r); !one(got, w.attempts) {
		s.Errorf("%s: the attempts were %q, want %q", method, got, w.attempts)
	}
	if r.Err != nil && r.Err.Reach != w.reach {
		s.Errorf("%s: the error is %v, want it %v", method, r.Err, w.reach)
	}
}

func one(got, of string) bool {
	for _, w := range strings.Split(of, "|") {
		if got == w {
			return true
		}
	}
	return false
}

// ok is a call that is answered at the first try.
var ok = want{answer: "OK", attempts: "success"}

// retried is one that may have been given a connection which was being closed: nothing was sent, and it is tried elsewhere.
var retried = want{answer: "OK", attempts: "success|write_cut success|write_cut write_cut success"}

// works checks that calls, of each kind, are answered at the first try, as before the fault.
func (s *scene) works() {
	s.Helper()
	for range 4 {
		s.expect("get", ok)
		s.expect("put", ok)
	}
}
