package transport_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

var (
	bufferedBinary = transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}
	framedBinary   = transport.Wire{Kind: transport.Framed, Protocol: wire.Binary}
	headerBinary   = transport.Wire{Kind: transport.Header, Protocol: wire.Binary}
	headerCompact  = transport.Wire{Kind: transport.Header, Protocol: wire.Compact}
	httpBinary     = transport.Wire{Kind: transport.HTTP, Protocol: wire.Binary}

	// wires are all that are built.
	wires = []transport.Wire{
		bufferedBinary, framedBinary, {Kind: transport.Buffered, Protocol: wire.Compact}, {Kind: transport.Framed, Protocol: wire.Compact},
		{Kind: transport.Buffered, Protocol: wire.JSON}, {Kind: transport.Framed, Protocol: wire.JSON},
		headerBinary, headerCompact,
		{Kind: transport.Buffered, Protocol: wire.ApacheJSON}, {Kind: transport.Framed, Protocol: wire.ApacheJSON},
		httpBinary, // a body says itself what protocol it is in
	}
)

// eachWire runs f with every wire that is built.
func eachWire(t *testing.T, f func(t *testing.T, w transport.Wire)) {
	for _, w := range wires {
		t.Run(w.Kind.String()+" "+w.Protocol.String(), func(t *testing.T) { f(t, w) })
	}
}

func newSplitter(t testing.TB, w transport.Wire, limits wire.Limits) transport.Splitter {
	t.Helper()
	s, err := transport.NewSplitter(w, limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// onWire returns a message as w lays it on the stream.
func onWire(w transport.Wire, message []byte) []byte {
	switch w.Kind {
	case transport.Buffered:
		return message
	case transport.HTTP:
		return fmt.Appendf(nil, "POST /a HTTP/1.1\r\nHost: a:1\r\nContent-Length: %d\r\nX-B: 1\r\nX-A: 2\r\n\r\n%s", len(message), message)
	case transport.Header:
		id := byte(0) // binary
		if w.Protocol == wire.Compact {
			id = 2
		}
		frame := binary.BigEndian.AppendUint32(nil, uint32(14+len(message)))
		frame = append(frame, 0x0f, 0xff, 0, 0, 0, 0, 0, 7, 0, 1, id, 0, 0, 0) // magic, flags, sequence id, words, block
		return append(frame, message...)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

// vectors returns ThriftPy's messages in a protocol.
func vectors(p wire.Protocol) []wiretest.Vector {
	switch p {
	case wire.Compact:
		return wiretest.CompactVectors()
	case wire.JSON:
		return wiretest.JSONVectors()
	case wire.ApacheJSON:
		return wiretest.ApacheJSONVectors()
	}
	return wiretest.BinaryVectors()
}

// appendBody returns a struct in a protocol; what text cannot say without a schema becomes an empty one.
func appendBody(p wire.Protocol, v wiretest.Value) []byte {
	switch p {
	case wire.Compact:
		return wiretest.AppendCompact(nil, v)
	case wire.JSON:
		return []byte(`{"deep": {"list": [1, {"a\\\"b": "]}"}, [[]]], "n": -1.5e+30}}`)
	case wire.ApacheJSON:
		body, err := codec.Translate(nil, wire.Binary, p, nil, wiretest.AppendBinary(nil, v), wire.Limits{})
		if err != nil {
			return []byte("{}")
		}
		return body
	}
	return wiretest.AppendBinary(nil, v)
}

// isText reports whether a protocol is JSON: what is escaped in it is copied, and it carries no tracking headers.
func isText(p wire.Protocol) bool { return p == wire.JSON || p == wire.ApacheJSON }

// corpus returns ThriftPy's messages, and every shape of struct behind heads of both kinds, as w lays them on the stream.
func corpus(w transport.Wire) [][]byte {
	var all [][]byte
	for _, v := range vectors(w.Protocol) {
		all = append(all, onWire(w, v.Bytes))
	}
	for i, c := range wiretest.Structs() {
		body := appendBody(w.Protocol, c.Body)
		h := wire.Head{Name: "Users:getUser", Seq: int32(i), Type: wire.Call, NonStrict: i%2 == 1 && w.Protocol == wire.Binary}
		all = append(all, transport.Append(nil, transport.Message{Wire: w, Head: h, Body: body}))
	}
	if isText(w.Protocol) {
		return all
	}
	for i, header := range trackingHeaders[:2] { // the others do not begin a connection
		if !tracks(w) {
			break
		}
		h := wire.Head{Name: "getUser", Seq: int32(i), Type: wire.Call}
		m := transport.Message{Wire: w, Head: h, Tracking: appendBody(w.Protocol, header), Body: appendBody(w.Protocol, wiretest.Struct())}
		all = append(all, transport.Append(nil, m))
	}
	return all
}

// feed hands s the stream as connections do: each piece behind what was not used yet. It returns all that came out, one line each, and
// stops where the stream cannot be trusted any more.
func feed(t *testing.T, s transport.Splitter, pieces ...[]byte) (out []string) {
	t.Helper()
	var buf []byte
	for _, piece := range pieces {
		buf = append(buf, piece...)
		for len(buf) > 0 {
			m, used, need, err := s.Split(buf[:len(buf):len(buf)])
			bad, isBad := errors.AsType[*transport.Malformed](err)
			switch {
			case err != nil && (!isBad || used != 0 || bad.Skip > len(buf)):
				t.Fatalf("error %#v with %d used of %d", err, used, len(buf))
			case isBad:
				out = append(out, fmt.Sprintf("%s %+v %v skip %d: %v", bad.Err.Reason, bad.Message.Head, bad.HeadOK, bad.Skip, bad))
				if used = bad.Skip; used == 0 {
					return out
				}
			case used > 0:
				if used > len(buf) || need != 0 || cap(m.Body) != len(m.Body) {
					t.Fatalf("%d used of %d, need %d, body %d/%d", used, len(buf), need, len(m.Body), cap(m.Body))
				}
				line := fmt.Sprintf("%+v %x", m.Head, m.Body)
				if m.Tracking != nil {
					line += fmt.Sprintf(" behind %x", m.Tracking)
				}
				out = append(out, line)
			case need <= len(buf):
				t.Fatalf("%d bytes are there and %d are wanted", len(buf), need)
			}
			if used == 0 {
				break
			}
			buf = buf[used:]
		}
	}
	return out
}

func eachByte(buf []byte) (pieces [][]byte) {
	for i := range buf {
		pieces = append(pieces, buf[i:i+1])
	}
	return pieces
}

// A stream comes apart into the same messages however it is cut up: at once, byte by byte, in two pieces at every offset.
func TestSplitAnywhere(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		for _, fresh := range []func() transport.Splitter{
			func() transport.Splitter { return newSplitter(t, w, wire.Limits{}) },
			func() transport.Splitter { return transport.NewDetector(wire.Limits{}, nil) },
		} {
			messages := corpus(w)
			stream := bytes.Join(messages, nil)
			want := feed(t, fresh(), stream)
			if len(want) != len(messages) {
				t.Fatalf("%d messages of %d", len(want), len(messages))
			}
			if got := feed(t, fresh(), eachByte(stream)...); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("byte by byte: %d messages of %d, or others", len(got), len(want))
			}
			s := newSplitter(t, w, wire.Limits{})
			for i, m := range messages {
				for cut := range m {
					if got := feed(t, s, m[:cut], m[cut:]); len(got) != 1 || got[0] != want[i] {
						t.Fatalf("message %d cut at %d of %d: %q, want %q", i, cut, len(m), got, want[i])
					}
				}
			}
		}
	})
}

// A message that is cut off at any byte asks for bytes that it has, and is never a mistake.
func TestSplitCut(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		for i, m := range corpus(w) {
			for cut := range m {
				_, used, need, err := newSplitter(t, w, wire.Limits{}).Split(m[:cut:cut])
				if used != 0 || need <= cut || need > len(m) || err != nil {
					t.Fatalf("message %d, %d of %d bytes: used %d, need %d, %v", i, cut, len(m), used, need, err)
				}
			}
		}
	})
}

// What Encode writes is what a splitter reads, and the frame's length counts the body.
func TestEncode(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		for _, h := range []wire.Head{
			{Name: "echo", Seq: -5, Type: wire.Oneway}, {Name: "", Type: wire.Call}, {Name: "Users:x", Seq: 1, Type: wire.Reply, NonStrict: w.Protocol == wire.Binary},
		} {
			body := appendBody(w.Protocol, wiretest.Struct(1, wiretest.I32(7)))
			buf := transport.Append([]byte("before"), transport.Message{Wire: w, Head: h, Body: body})[len("before"):]
			m, used, _, err := newSplitter(t, w, wire.Limits{}).Split(buf)
			if m.Head != h || m.Wire != w || !bytes.Equal(m.Body, body) || used != len(buf) || err != nil {
				t.Errorf("%+v came back as %+v, %x, %d of %d, %v", h, m.Head, m.Body, used, len(buf), err)
			}
		}
	})
}

// An exception answers a call under the call's name, sequence id and kind of head, in the bytes that ThriftPy writes.
func TestException(t *testing.T) {
	vectors := map[string][]byte{}
	for _, v := range wiretest.BinaryVectors() {
		vectors[v.Name] = v.Bytes
	}
	for _, w := range []transport.Wire{bufferedBinary, framedBinary} {
		for _, c := range []struct {
			vector string
			call   wire.Head
			code   int32
			text   string
		}{
			{"strict/exception/unknown-method", wire.Head{Name: "zzz", Seq: 7, Type: wire.Call}, 1, ""},
			{"old/exception/text", wire.Head{Name: "echo", Seq: 9, Type: wire.Oneway, NonStrict: true}, 6, "Internal error"},
		} {
			got := transport.Append(nil, transport.Exception(transport.Message{Wire: w, Head: c.call}, c.code, c.text))
			if want := onWire(w, vectors[c.vector]); !bytes.Equal(got, want) {
				t.Errorf("%s: %x, want %x", c.vector, got, want)
			}
		}
	}
}

// A transport or protocol that is not built is refused by name.
func TestNewSplitterUnbuilt(t *testing.T) {
	for _, w := range []transport.Wire{
		{}, {Kind: transport.Header, Protocol: wire.JSON}, {Kind: transport.Framed, Protocol: 9},
	} {
		_, err := transport.NewSplitter(w, wire.Limits{})
		if err == nil || !strings.Contains(err.Error(), w.Kind.String()) || !strings.Contains(err.Error(), w.Protocol.String()) ||
			!strings.Contains(err.Error(), "not built yet") {
			t.Errorf("%v: %v", w, err)
		}
	}
}

// A multiplexed name has exactly one colon.
func TestSplitName(t *testing.T) {
	for _, c := range []struct {
		name, service, method string
		ok                    bool
	}{
		{"getUser", "", "getUser", false},
		{"Users:getUser", "Users", "getUser", true},
		{"Users:", "Users", "", true},
		{":getUser", "", "getUser", true},
		{"a:b:c", "", "a:b:c", false},
		{"", "", "", false},
	} {
		if s, m, ok := transport.SplitName(c.name); s != c.service || m != c.method || ok != c.ok {
			t.Errorf("SplitName(%q) = %q, %q, %v", c.name, s, m, ok)
		}
	}
}

// Once a splitter has seen a message, one like it costs no allocation, in pieces or whole; but for text, in which what is escaped is copied,
// and for HTTP, whose lines net/http parses.
func TestSplitAllocs(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		if isText(w.Protocol) || w.Kind == transport.HTTP {
			return
		}
		for i, m := range corpus(w) {
			s := newSplitter(t, w, wire.Limits{})
			allocs := testing.AllocsPerRun(5, func() {
				s.Split(m[:len(m)/2])
				if _, used, _, err := s.Split(m); used != len(m) || err != nil {
					t.Fatal(used, err)
				}
			})
			if allocs != 0 {
				t.Errorf("message %d: %v allocations", i, allocs)
			}
		}
	})
}
