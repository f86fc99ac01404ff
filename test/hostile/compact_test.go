package hostile

import (
	"bytes"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// compactCase is one message of a caller that speaks compact to servers that speak binary.
type compactCase struct {
	name   string
	method string
	body   []byte // behind a good head; nil: raw is sent
	raw    []byte
	want   wire.Reason // it is counted as that, and reaches nobody; "": it is legal
	got    []byte      // of what is legal: the body in binary that the server gets; nil: not looked at
	code   string      // what the caller is told; "": a reply, or nothing where want has no head
	mute   bool        // the caller cannot be answered
}

func compactCases() []compactCase {
	field := compact.AppendField
	deep := bytes.Repeat([]byte{0x5c}, 10_000) // field 5 of put, then field 5 of what it holds
	inBinary := func(t wire.Type, id int16, value []byte) []byte {
		return binary.AppendStop(append(binary.AppendField(nil, t, id), value...))
	}
	bad := func(name string, want wire.Reason, body []byte) compactCase {
		return compactCase{name: name, method: "put", body: body, want: want, code: "PROTOCOL_ERROR"}
	}
	return []compactCase{
		bad("a field's id overflows", wire.BadValue, []byte{0x03, 0xfe, 0xff, 0x03, 0x00, 0x13, 0x00, 0x00}),
		{name: "a field's id goes down", method: "put", body: []byte{0x22, 0x05, 0x02, 0x0e, 0x00}, // 2: false, then 1: i32 7 in the long form
			got: binary.AppendStop(binary.AppendI32(binary.AppendField(binary.AppendBool(binary.AppendField(nil, wire.Bool, 2), false), wire.I32, 1), 7))},
		bad("varint of eleven bytes", wire.BadValue, append([]byte{0x16}, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00"...)),
		bad("i32 of 33 bits", wire.BadValue, []byte{0x15, 0x80, 0x80, 0x80, 0x80, 0x10, 0x00}),
		bad("i16 of 17 bits", wire.BadValue, []byte{0x14, 0x80, 0x80, 0x08, 0x00}),
		{name: "bad bool", method: "put", body: []byte{0x69, 0x11, 0x07, 0x00}, // a list of one bool that is 7: no true
			got: inBinary(wire.List, 6, []byte{byte(wire.Bool), 0, 0, 0, 1, 0})},
		bad("unknown type id", wire.BadType, []byte{0x1e, 0x00}),
		bad("string size beyond what may follow", wire.SizeLimit, []byte{0x18, 0xff, 0xff, 0xff, 0xff, 0x07, 'a'}),
		bad("list of 2^31-1 bool", wire.SizeLimit, []byte{0x69, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0x01}),
		bad("list of 2^31-1 empty structs", wire.SizeLimit, []byte{0x69, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00}),
		bad("map size negative", wire.NegativeSize, []byte{0x4b, 0x80, 0x80, 0x80, 0x80, 0x08, 0x85}),
		bad("depth 10^4", wire.DepthLimit, deep),
		{name: "missing STOP", method: "put", body: []byte{0x15, 0x0e}, want: wire.Truncated, mute: true},
		{name: "invalid UTF-8", method: "get", body: compact.AppendStop(compact.AppendString(field(nil, wire.String, 1, 0), "\xff\xfe")),
			got: inBinary(wire.String, 1, []byte{0, 0, 0, 2, 0xff, 0xfe})},
		{name: "NaN", method: "put", body: compact.AppendStop(compact.AppendDouble(field(nil, wire.Double, 3, 0), math.NaN())),
			got: inBinary(wire.Double, 3, binary.AppendDouble(nil, math.NaN()))},
		{name: "duplicate fields", method: "put", body: []byte{0x15, 0x02, 0x05, 0x02, 0x04, 0x00}},
		{name: "type mismatch to IDL", method: "put", body: []byte{0x18, 0x01, 'x', 0x00}},
		{name: "version 2", raw: []byte{0x82, 0x22, 0x00, 0x00, 0x00}, want: wire.BadVersion, mute: true},
		{name: "name of 1 MiB", raw: []byte{0x82, 0x21, 0x00, 0x80, 0x80, 0x40, 'a'}, want: wire.SizeLimit, mute: true},
		{name: "message type 0", raw: []byte{0x82, 0x01, 0x4d, 0x03, 'g', 'e', 't', 0x00}, want: wire.BadType, code: "PROTOCOL_ERROR"},
		{name: "REPLY to server", raw: []byte{0x82, 0x41, 0x4d, 0x03, 'g', 'e', 't', 0x00}, code: "INVALID_MESSAGE_TYPE"},
		{name: "trailing garbage", raw: append(compact.AppendHead(nil, wire.Head{Name: "get", Seq: 77, Type: wire.Call}), 0x18, 1, 'a', 0, 0xde, 0xad, 0xbe, 0xef),
			want: wire.BadVersion},
		{name: "half a message", raw: append(compact.AppendHead(nil, wire.Head{Name: "get", Seq: 77, Type: wire.Call}), 0x18, 9, 'a'), want: wire.Truncated, mute: true},
	}
}

// What a caller in compact may send that is bad is refused before it reaches a server, with what is wrong; what is odd and legal reaches
// the server as the same value in the server's own protocol. Others are answered meanwhile.
func TestCompact(t *testing.T) {
	d := openDoor(t, "", "")
	for _, c := range compactCases() {
		t.Run(c.name, func(t *testing.T) {
			d.got()
			counted := d.malformed(t)
			conn, err := net.Dial("tcp", d.at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			message := c.raw
			if message == nil {
				message = append(compact.AppendHead(nil, wire.Head{Name: c.method, Seq: 77, Type: wire.Call}), c.body...)
			}
			if _, err := conn.Write(message); err != nil {
				t.Fatal(err)
			}
			_ = conn.(*net.TCPConn).CloseWrite()
			all, err := io.ReadAll(conn)
			if err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatal(err)
			}
			c.checkAnswer(t, all)
			if n := d.malformed(t)[c.want] - counted[c.want]; c.want != "" && n != 1 {
				t.Errorf("counted %d times as %s", n, c.want)
			}
			bodies := d.got()
			reaches := c.want == "" && c.code == "" || c.name == "trailing garbage"
			switch {
			case reaches != (len(bodies) == 1):
				t.Errorf("%d calls reached the server", len(bodies))
			case c.got != nil && !bytes.Equal(bodies[0], c.got):
				t.Errorf("the server got %x, want %x", bodies[0], c.got)
			}
			d.caller(t, forms[0]).good(t)
		})
	}
}

// checkAnswer checks what came back: all of it.
func (c compactCase) checkAnswer(t *testing.T, all []byte) {
	t.Helper()
	if c.mute {
		if len(all) > 0 {
			t.Errorf("answered %x", all)
		}
		return
	}
	s, err := transport.NewSplitter(transport.Wire{Kind: transport.Buffered, Protocol: wire.Compact}, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m, used, _, err := s.Split(all)
	if err != nil || used != len(all) || m.Head.Seq != 77 {
		t.Fatalf("answered %x: %+v, %v", all, m.Head, err)
	}
	if c.code == "" {
		if m.Head.Type != wire.Reply {
			t.Errorf("answered %+v %q", m.Head, m.Body)
		}
		return
	}
	typ, text, err := compact.ParseApplication(m.Body, wire.Limits{})
	if m.Head.Type != wire.Exception || !strings.HasPrefix(text, c.code+": ") || typ == 0 || err != nil {
		t.Errorf("answered %+v, %d %q, %v", m.Head, typ, text, err)
	}
}
