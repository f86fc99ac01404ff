package transport_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// frameOf returns a frame of THeader around a block, which is padded, and a payload.
func frameOf(block, payload []byte) []byte {
	for len(block)%4 != 0 {
		block = append(block, 0)
	}
	buf := binary.BigEndian.AppendUint32(nil, uint32(10+len(block)+len(payload)))
	buf = append(buf, 0x0f, 0xff, 0, 0, 0, 0, 0, 9) // magic, flags, sequence id
	buf = binary.BigEndian.AppendUint16(buf, uint16(len(block)/4))
	return append(append(buf, block...), payload...)
}

func packed(payload []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(payload)
	_ = w.Close()
	return out.Bytes()
}

// A frame's key-values, packing, flags and sequence id come out of it, and its answer goes back with the same and with headers of its own.
func TestHeader(t *testing.T) {
	call := unhex(t, headA+"00")
	for _, c := range []struct {
		name  string
		frame []byte
		zlib  bool
	}{
		{"plain", frameOf([]byte("\x00\x00\x01\x02\x01k\x02vw\x00\x00"), call), false},
		{"packed", frameOf([]byte("\x00\x01\x01\x01\x02\x01k\x02vw\x00\x00"), packed(call)), true},
	} {
		c.frame[7] = 5 // flags
		s := newSplitter(t, headerCompact, wire.Limits{})
		m, used, _, err := s.Split(c.frame)
		want := transport.Message{
			Wire: headerBinary, Envelope: transport.Envelope{Came: true, Zlib: c.zlib, Flags: 5, Seq: 9},
			Head: wire.Head{Name: "a", Seq: 7, Type: wire.Call}, Headers: []transport.KV{{"k", "vw"}, {"", ""}}, Body: []byte{0},
		}
		if err != nil || used != len(c.frame) || !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %+v, %d of %d, %v", c.name, m, used, len(c.frame), err)
			continue
		}
		m.Head.Type, m.Headers = wire.Reply, []transport.KV{{"a", "1"}, {"evil\r\n", "2"}, {"b", ""}}
		back, _, _, err := s.Split(transport.Append(nil, m))
		if m.Headers = []transport.KV{{"a", "1"}, {"b", ""}}; err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%s: the answer came back as %+v, %v", c.name, back, err)
		}
	}
}

// What is wrong with a frame is said with its place, costs that frame only, and is answered where the message's head can be read.
func TestHeaderHostile(t *testing.T) {
	call := unhex(t, headA+"00")
	short := binary.BigEndian.AppendUint32(nil, 8)
	short = append(short, 0x0f, 0xff, 0, 0, 0, 0, 0, 9)
	magic := frameOf([]byte{0, 0}, call)
	magic[4] = 0x0e
	words := frameOf([]byte{0, 0}, call)
	binary.BigEndian.PutUint16(words[12:], 100)
	huge := frameOf([]byte{0, 0}, call)
	binary.BigEndian.PutUint16(huge[12:], 0xffff)
	cut := frameOf([]byte("\x00\x01\x01"), packed(call)[:12])
	for _, c := range []struct {
		name   string
		frame  []byte
		want   wire.Reason
		headOK bool
	}{
		{"bad magic", magic, wire.BadVersion, false},
		{"half a head", short, wire.Truncated, false},
		{"no header block", frameOf(nil, call), wire.Truncated, false},
		{"header block beyond the frame", words, wire.SizeLimit, false},
		{"oversized header block", huge, wire.SizeLimit, false},
		{"unknown protocol", frameOf([]byte{1, 0}, call), wire.Unsupported, false},
		{"unknown transform", frameOf([]byte{0, 1, 3}, call), wire.Unsupported, false},
		{"zlib twice", frameOf([]byte{0, 2, 1, 1}, call), wire.BadValue, false},
		{"2^31 transforms", frameOf([]byte("\x00\xff\xff\xff\xff\x07"), call), wire.Unsupported, false},
		{"number of 11 bytes", frameOf([]byte("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), call), wire.BadValue, false},
		{"unknown info", frameOf([]byte{0, 0, 2}, call), wire.Unsupported, true},
		{"key beyond the block", frameOf([]byte{0, 0, 1, 1, 100, 'k'}, call), wire.SizeLimit, true},
		{"NUL in a key", frameOf([]byte("\x00\x00\x01\x01\x02k\x00\x00"), call), wire.BadValue, true},
		{"CRLF in a key", frameOf([]byte("\x00\x00\x01\x01\x03k\r\n\x00"), call), wire.BadValue, true},
		{"2^31 headers", frameOf([]byte("\x00\x00\x01\xff\xff\xff\xff\x07"), call), wire.SizeLimit, true},
		{"257 headers", frameOf([]byte("\x00\x00\x01\x81\x02"+strings.Repeat("\x00", 600)), call), wire.SizeLimit, true},
		{"not zlib", frameOf([]byte{0, 1, 1}, call), wire.BadValue, false},
		{"zlib cut off", cut, wire.BadValue, false},
		{"bytes behind zlib", frameOf([]byte{0, 1, 1}, append(packed(call), 0)), wire.Trailing, false},
		{"trailing garbage", frameOf([]byte{0, 0}, append(bytes.Clone(call), 1)), wire.Trailing, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSplitter(t, headerBinary, wire.Limits{})
			_, used, need, err := s.Split(c.frame)
			bad, ok := errors.AsType[*transport.Malformed](err)
			if !ok || used != 0 || need != 0 || bad.Err.Reason != c.want || bad.HeadOK != c.headOK || bad.Skip != len(c.frame) {
				t.Errorf("%+v, used %d, need %d, %v", bad, used, need, err)
			}
			if m, _, _, err := s.Split(frameOf([]byte{0, 1, 1}, packed(call))); err != nil || m.Head.Name != "a" {
				t.Errorf("the next frame: %v", err)
			}
		})
	}
}

// What Carries lets pass comes out of a frame whole, up to the limits themselves; what is beyond them is an error that names the header and
// the limit, not the value. The trace context that comes behind a full block is what Encode leaves out.
func TestHeaderCarries(t *testing.T) {
	many := func(n int) (kvs []transport.KV) {
		for i := range n {
			kvs = append(kvs, transport.KV{Key: "k" + strconv.Itoa(i), Value: "v"})
		}
		return kvs
	}
	long := func(n int) []transport.KV { // which takes n bytes in a block
		return []transport.KV{{Key: "token", Value: strings.Repeat("s", n-1-5-3)}}
	}
	const room = 64<<10 - 6
	for _, c := range []struct {
		name    string
		headers []transport.KV
		want    string // "": it is carried
	}{
		{"none", nil, ""},
		{"256", many(256), ""},
		{"257", many(257), `THeader cannot carry the header "k256": 257 headers, the limit is 256`},
		{"a full block", long(room), ""},
		{"a byte more", long(room + 1), `THeader cannot carry the header "token" of 65531 bytes: the limit is 65530 for all headers of a frame, the 0 before it have 0`},
		{"one more", append(long(room), transport.KV{Key: "b"}), `THeader cannot carry the header "b" of 3 bytes: the limit is 65530 for all headers of a frame, the 1 before it have 65530`},
		{"CRLF", []transport.KV{{"evil\r\n", "secret"}}, `THeader cannot carry the header "evil\r\n": NUL, CR or LF in its key`},
		{"a long key", []transport.KV{{strings.Repeat("k", 70) + "\x00", ""}}, `THeader cannot carry the header "` + strings.Repeat("k", 64) + `"…: NUL, CR or LF in its key`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := transport.Carries(transport.Header, c.headers); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if err := transport.Carries(transport.HTTP, c.headers); err != nil {
				t.Errorf("HTTP: %v", err)
			}
			if c.want != "" {
				return
			}
			for _, zlib := range []bool{false, true} {
				m := transport.Message{Wire: headerCompact, Envelope: transport.Envelope{Came: true, Zlib: zlib}, Head: wire.Head{Name: "a", Type: wire.Call}, Body: []byte{0}}
				m.Headers = append(slices.Clip(c.headers), transport.KV{Key: "traceparent", Value: strings.Repeat("0", room)})
				back, _, _, err := newSplitter(t, headerCompact, wire.Limits{}).Split(transport.Append(nil, m))
				if err != nil || !slices.Equal(back.Headers, c.headers) {
					t.Errorf("zlib %v: %d headers came back of %d, %v", zlib, len(back.Headers), len(c.headers), err)
				}
			}
		})
	}
}

// A bomb costs no more than a small multiple of the limit, and is refused.
func TestHeaderBomb(t *testing.T) {
	const limit = 1 << 20
	bomb := frameOf([]byte{0, 1, 1}, packed(make([]byte, 50<<20)))
	s := newSplitter(t, headerBinary, wire.Limits{MessageBytes: limit})
	allocs.Bound(t, 10, limit, func() { // a buffer that doubles until it is twice the limit
		_, _, _, err := s.Split(bomb)
		if bad, ok := errors.AsType[*transport.Malformed](err); !ok || bad.Err.Reason != wire.SizeLimit {
			t.Errorf("%v", err)
		}
	})
}
