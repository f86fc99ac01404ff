package hostile

import (
	"bytes"
	"encoding/hex"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// want is what becomes of hostile bytes that follow a good call on one connection.
type want struct {
	answer string      // the code of the exception, with the call's sequence id; "reply" for what is legal and reaches the peer as it is; "" none
	closes bool        // the connection, behind the answer
	reason wire.Reason // that is counted; "" for none
}

var (
	goesOn   = func(answer string, r wire.Reason) want { return want{answer, false, r} }
	closes   = func(answer string, r wire.Reason) want { return want{answer, true, r} }
	passes   = want{answer: "reply"}
	nowhere  = want{reason: "-"} // the case does not exist there
	protocol = "PROTOCOL_ERROR"
)

// row is a case of hostile input.
type row struct {
	name             string
	bytes            func(f form) []byte
	buffered, framed want
	half             bool // unframed, the bytes could become a message: the caller ends its side
}

// args is a call of get with these bytes for its arguments.
func args(text string) func(f form) []byte {
	body, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return func(f form) []byte { return f.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, body) }
}

// body is a call of put with these arguments.
func body(b []byte) func(f form) []byte {
	return func(f form) []byte { return f.message(wire.Head{Name: "put", Seq: 77, Type: wire.Call}, b) }
}

// typed is a message of get of another type.
func typed(typ wire.MessageType, b []byte) func(f form) []byte {
	return func(f form) []byte { return f.message(wire.Head{Name: "get", Seq: 77, Type: typ}, b) }
}

// named is a call of a method.
func named(name string) func(f form) []byte {
	return func(f form) []byte { return f.message(wire.Head{Name: name, Seq: 77, Type: wire.Call}, keyed("x")) }
}

// raw is bytes as they are; inside is the same in a frame where frames are spoken.
func raw(text string) func(f form) []byte { return func(form) []byte { return []byte(text) } }

func inside(text string) func(f form) []byte {
	return func(f form) []byte {
		if f.kind == transport.Framed {
			return frame(len(text), []byte(text))
		}
		return []byte(text)
	}
}

// framedAs is a good call in a frame whose length is what change makes of the true one.
func framedAs(change func(n int) int) func(f form) []byte {
	return func(f form) []byte {
		m := form{transport.Buffered, f.old}.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, keyed("x"))
		return frame(change(len(m)), m)
	}
}

func always(n int) func(int) int { return func(int) int { return n } }

// bad is what becomes of a message whose head is well: it is refused by name and sequence id, and a frame's length tells where to go on.
func bad(r wire.Reason) (buffered, framed want) { return closes(protocol, r), goesOn(protocol, r) }

// rows are the cases, by their names in the plan.
func rows() []row {
	both := func(name string, b func(f form) []byte, buffered, framed want) row {
		return row{name: name, bytes: b, buffered: buffered, framed: framed}
	}
	refused := func(name string, b func(f form) []byte, r wire.Reason) row {
		buffered, framed := bad(r)
		return both(name, b, buffered, framed)
	}
	legal := func(name string, b func(f form) []byte) row { return both(name, b, passes, passes) }
	shut := func(name string, b func(f form) []byte, r wire.Reason) row {
		return both(name, b, closes("", r), closes("", r))
	}
	framing := func(name string, b func(f form) []byte, w want) row { return both(name, b, nowhere, w) }
	cut := func(name string, b func(f form) []byte) row {
		return row{name: name, bytes: b, buffered: closes("", wire.Truncated), framed: goesOn(protocol, wire.Truncated), half: true}
	}
	field := func(t wire.Type, id int16) []byte { return binary.AppendField(nil, t, id) }
	double := func(v float64) []byte { return binary.AppendStop(binary.AppendDouble(field(wire.Double, 3), v)) }
	return []row{
		framing("negative frame length", framedAs(always(-1)), closes("", wire.NegativeSize)),
		framing("huge frame length", framedAs(always(math.MaxInt32)), closes("", wire.SizeLimit)),
		framing("frame length one beyond the limit", framedAs(always(wire.DefaultMessageBytes+1)), closes("", wire.SizeLimit)),
		framing("frame length one short", framedAs(func(n int) int { return n - 1 }), goesOnBroken),
		framing("zero frame", raw("\x00\x00\x00\x00"), closes("", wire.BadValue)),
		framing("unframed message on a framed connection", func(f form) []byte {
			return form{transport.Buffered, false}.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, keyed("x"))
		}, closes("", wire.NegativeSize)),
		framing("two messages in a frame", func(f form) []byte {
			m := form{transport.Buffered, f.old}.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, keyed("x"))
			return frame(2*len(m), append(bytes.Clone(m), m...))
		}, goesOn(protocol, wire.Trailing)),
		refused("length 2^31-1 with a short body", args("0b0001 7fffffff 61 00"), wire.SizeLimit),
		refused("string size beyond what may follow", args("0b0001 01000000 61 00"), wire.SizeLimit),
		refused("string size negative", args("0b0001 ffffffff 61 00"), wire.NegativeSize),
		refused("list size beyond what may follow", args("0f0001 0a 01000000 00"), wire.SizeLimit),
		refused("list size negative", args("0f0001 0a ffffffff 00"), wire.NegativeSize),
		refused("set size beyond what may follow", args("0e0001 0a 01000000 00"), wire.SizeLimit),
		refused("map size beyond what may follow", args("0d0001 0b0a 01000000 00"), wire.SizeLimit),
		refused("map size negative", args("0d0001 0b0a 80000000 00"), wire.NegativeSize),
		refused("list of 2^31-1 bool", args("0f0001 02 7fffffff 00"), wire.SizeLimit),
		refused("list of 2^31 bool", args("0f0001 02 80000000 00"), wire.NegativeSize),
		refused("list of 2^31-1 empty structs", args("0f0001 0c 7fffffff 00"), wire.SizeLimit),
		refused("list of 10^8 of an unknown type", args("0f0001 63 05f5e100 00"), wire.BadType),
		refused("depth 10^4, structs", args(strings.Repeat("0c0001", 10_000)+strings.Repeat("00", 10_001)), wire.DepthLimit),
		refused("depth 10^4, lists", args("0f0001"+strings.Repeat("0f00000001", 10_000)+"0200000000 00"), wire.DepthLimit),
		refused("depth 10^4, maps", args("0d0001"+strings.Repeat("030d0000000101", 10_000)+"0303 00000000 00"), wire.DepthLimit),
		refused("a million nested structs", args(strings.Repeat("0c0001", 1_000_000)), wire.DepthLimit),
		refused("unknown type id of a field", args("63 0001 00000000 00"), wire.BadType),
		refused("unknown type id of an element", args("0f0001 05 00000001 00 00"), wire.BadType),
		refused("unknown type id of a key", args("0d0001 0708 00000001 00 00"), wire.BadType),
		refused("unknown type id of a value", args("0d0001 0807 00000001 00 00"), wire.BadType),
		legal("type mismatch to IDL", args("08 0001 00000007 00")),
		legal("unknown field id", args("0b 7fff 00000001 61 00")),
		legal("negative field id", args("0b ffff 00000001 61 00")),
		cut("missing STOP", args("0b0001 00000001 61")),
		cut("missing STOP of a struct within", body(append(field(wire.Struct, 5), 0))),
		legal("bad bool", body([]byte{2, 0, 2, 0xff, 0})),
		legal("invalid UTF-8 in an argument", args("0b0001 00000002 c328 00")),
		both("invalid UTF-8 in the method's name", named("\xc3\x28"), goesOn("UNKNOWN_METHOD", ""), goesOn("UNKNOWN_METHOD", "")),
		both("NUL and CRLF in the method's name", named("get\x00\r\nX-Evil: 1"), goesOn("UNKNOWN_METHOD", ""), goesOn("UNKNOWN_METHOD", "")),
		legal("NaN", body(double(math.NaN()))),
		legal("infinity", body(double(math.Inf(-1)))),
		legal("duplicate map keys", body(append(binary.AppendMap(field(wire.Map, 4), wire.String, wire.I32, 2), "\x00\x00\x00\x01a\x00\x00\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x02\x00"...))),
		legal("duplicate fields", args("0b0001 00000001 61 0b0001 00000001 62 00")),
		legal("missing required", body([]byte{0})),
		refused("message type 0", typed(0, keyed("x")), wire.BadType),
		refused("message type 5", typed(5, keyed("x")), wire.BadType),
		refused("message type 255", typed(255, keyed("x")), wire.BadType),
		both("REPLY to server", typed(wire.Reply, keyed("x")), goesOn("INVALID_MESSAGE_TYPE", ""), goesOn("INVALID_MESSAGE_TYPE", "")),
		both("EXCEPTION to server", typed(wire.Exception, keyed("x")), goesOn("INVALID_MESSAGE_TYPE", ""), goesOn("INVALID_MESSAGE_TYPE", "")),
		refused("EXCEPTION malformed", typed(wire.Exception, []byte("\x0b\x00\x01\xff\xff\xff\xff\x00")), wire.NegativeSize),
		both("empty method name", named(""), goesOn("UNKNOWN_METHOD", ""), goesOn("UNKNOWN_METHOD", "")),
		shut("1 MiB method name", named(strings.Repeat("n", 1<<20)), wire.SizeLimit),
		shut("method name of 2^31-1 bytes", inside("\x80\x01\x00\x01\x7f\xff\xff\xffget"), wire.SizeLimit),
		shut("method name of negative length", inside("\x80\x01\x00\x01\xff\xff\xff\xffget"), wire.NegativeSize),
		shut("bad magic", inside("\x80\x02\x00\x01\x00\x00\x00\x03get\x00\x00\x00\x4d\x00"), wire.BadVersion),
		shut("noise", inside("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5\xf4\xf3\xf2\xf1\xf0"), wire.BadVersion),
		framing("trailing garbage", func(f form) []byte {
			m := form{transport.Buffered, f.old}.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, keyed("x"))
			return frame(len(m)+3, append(m, 1, 2, 3))
		}, goesOn(protocol, wire.Trailing)),
		{name: "garbage behind a message", bytes: func(f form) []byte {
			return append(f.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, keyed("x")), "\xff\xff\xff\xffgarbage"...)
		}, buffered: closes("reply", wire.BadVersion), framed: closes("reply", wire.NegativeSize)},
	}
}

// goesOnBroken is a frame that ends too early: the message is refused, and what follows the frame is no frame.
var goesOnBroken = want{answer: protocol, closes: true, reason: wire.Truncated}

// Each hostile row, in each form, behind a good call: the caller is told what is wrong by the sequence id of its call, or its connection is
// closed because nothing tells where the next message begins; not a byte reaches the server; and the next good call is answered, on the
// same connection where that stays open.
func TestDoor(t *testing.T) {
	d := openDoor(t, "", "")
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range forms {
				w := r.buffered
				if f.kind == transport.Framed {
					w = r.framed
				}
				if w == nowhere {
					continue
				}
				t.Run(f.String(), func(t *testing.T) { d.throw(t, r, f, w) })
			}
		})
	}
}

// throw plays one row in one form.
func (d *door) throw(t *testing.T, r row, f form, w want) {
	c := d.caller(t, f)
	c.good(t)
	d.got()
	before, counted := d.bytes.Load(), d.malformed(t)
	hostile := r.bytes(f)
	_, _ = c.Write(hostile) // the door may close before it has read all
	if r.half && f.kind == transport.Buffered {
		_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	}
	if w.answer != "" {
		m, err := c.read()
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		got := code(t, m)
		if m.Head.Type == wire.Reply {
			got = "reply"
		}
		if got != w.answer || m.Head.Seq != 77 || m.Head.NonStrict != f.old {
			t.Errorf("answered %q %+v, want %q", got, m.Head, w.answer)
		}
	}
	d.unmoved(t, f, w, hostile, before)
	if r.name == "frame length one short" {
		_, _ = c.Write([]byte{0, 0, 0}) // with the byte that was left over: a frame of no length
		w.reason = ""                   // two are counted
	}
	if w.closes {
		if m, err := c.read(); err != io.EOF {
			t.Errorf("the connection goes on: %+v, %v", m.Head, err)
		}
	} else {
		c.good(t)
	}
	d.caller(t, f).good(t)
	if w.reason == "" {
		return
	}
	after := d.malformed(t)
	for reason, n := range after {
		if extra := n - counted[reason]; extra != 0 && reason != w.reason || extra != 1 && reason == w.reason {
			t.Errorf("%d more are counted as %s; want one as %s", extra, reason, w.reason)
		}
	}
}

// unmoved checks that nothing has reached the peer, or what is legal as it was.
func (d *door) unmoved(t *testing.T, f form, w want, hostile []byte, before int64) {
	t.Helper()
	got := d.got()
	if w.answer != "reply" {
		if n := d.bytes.Load() - before; n != 0 || len(got) != 0 {
			t.Errorf("%d bytes and %d calls have reached the peer", n, len(got))
		}
		return
	}
	if len(got) != 1 || !bytes.Contains(hostile, got[0]) {
		t.Errorf("the peer got %x, and the caller had sent %x", got, hostile)
	}
}

// The same bytes as the first on a connection: whatever they are taken for, the caller is told or the connection is closed, not a byte of
// what is no call reaches the server, and a good caller is answered.
func TestDoorAtOnce(t *testing.T) {
	d := openDoor(t, "", "")
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range forms {
				w := r.buffered
				if f.kind == transport.Framed {
					w = r.framed
				}
				if w == nowhere || r.name == "unframed message on a framed connection" { // at once it is an unframed caller's
					continue
				}
				t.Run(f.String(), func(t *testing.T) {
					d.got()
					before := d.bytes.Load()
					c := d.caller(t, f)
					hostile := r.bytes(f)
					_, _ = c.Write(hostile)
					_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
					answers := 0
					for {
						m, err := c.read()
						if err == io.EOF {
							break
						}
						if err != nil {
							t.Fatal(err)
						}
						if answers++; m.Head.Seq != 77 || m.Head.Type != wire.Reply && code(t, m) == "" {
							t.Errorf("answered %+v", m.Head)
						}
					}
					if answers > 1 {
						t.Errorf("%d answers", answers)
					}
					d.unmoved(t, f, w, hostile, before)
					d.caller(t, f).good(t)
				})
			}
		})
	}
}
