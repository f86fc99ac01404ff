package binary_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

func TestKit(t *testing.T) { wiretest.Test(t, wiretest.Binary()) }

// unhex reads bytes as they stand in these tables: groups in hex, "// note" to the end of a line.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	buf, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

// Each appender writes the bytes of the protocol's document.
func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"strict head", binary.AppendHead(nil, wire.Head{Name: "echo", Seq: 7, Type: wire.Call}), `
			8001 00 01      // version, unused, call
			00000004 6563686f // name
			00000007        // sequence id`},
		{"non-strict head", binary.AppendHead(nil, wire.Head{Name: "echo", Seq: -1, Type: wire.Reply, NonStrict: true}), `
			00000004 6563686f // name
			02              // reply
			ffffffff        // sequence id`},
		{"field", binary.AppendField(nil, wire.Struct, -2), "0c fffe // struct, id -2"},
		{"stop", binary.AppendStop(nil), "00"},
		{"bools", binary.AppendBool(binary.AppendBool(nil, true), false), "01 00"},
		{"i8", binary.AppendI8(nil, -2), "fe"},
		{"i16", binary.AppendI16(nil, -2), "fffe"},
		{"i32", binary.AppendI32(nil, 0x01020304), "01020304"},
		{"i64", binary.AppendI64(nil, math.MinInt64), "8000000000000000"},
		{"double", binary.AppendDouble(nil, -1.5), "bff8000000000000"},
		{"string", binary.AppendString(nil, "hé"), "00000003 68c3a9"},
		{"bytes", binary.AppendBytes(nil, []byte{0, 255}), "00000002 00ff"},
		{"uuid", binary.AppendUUID(nil, [16]byte{1, 15: 16}), "01000000000000000000000000000010"},
		{"list", binary.AppendList(nil, wire.I32, 258), "08 00000102 // i32, 258 elements"},
		{"map", binary.AppendMap(nil, wire.String, wire.Bool, 1), "0b 02 00000001 // string to bool, 1 pair"},
		{"exception", binary.AppendApplication(nil, 6, "no"), `
			0b 0001 00000002 6e6f // 1: message
			08 0002 00000006      // 2: type
			00`},
		{"exception without a message", binary.AppendApplication(nil, 1, ""), "08 0002 00000001 00"},
	} {
		if want := unhex(t, c.want); !bytes.Equal(c.got, want) {
			t.Errorf("%s = %x, want %x", c.name, c.got, want)
		}
	}
}

// What the appenders wrote, the reader reads, value for value.
func TestReader(t *testing.T) {
	b := binary.AppendField(nil, wire.Map, -3)
	b = binary.AppendBool(b, true)
	b = binary.AppendI8(b, -8)
	b = binary.AppendI16(b, -1600)
	b = binary.AppendI32(b, -320000)
	b = binary.AppendI64(b, -64<<40)
	b = binary.AppendDouble(b, math.Float64frombits(0x7ff8dead_beef0001)) // a NaN with a payload
	b = binary.AppendString(b, "text")
	b = binary.AppendUUID(b, [16]byte{9})
	b = binary.AppendList(b, wire.I8, 3)
	b = binary.AppendMap(b, wire.I8, wire.Bool, 1)
	b = append(b, "\x02\x00"...) // a bool that is 2, and a stop
	r := binary.Reader{Buf: b}
	want := func(name string, ok bool, err error) {
		t.Helper()
		if !ok || err != nil {
			t.Errorf("%s: ok %v, error %v", name, ok, err)
		}
	}
	ft, id, err := r.Field()
	want("field", ft == wire.Map && id == -3, err)
	truth, err := r.Bool()
	want("bool", truth, err)
	i8, err := r.I8()
	want("i8", i8 == -8, err)
	i16, err := r.I16()
	want("i16", i16 == -1600, err)
	i32, err := r.I32()
	want("i32", i32 == -320000, err)
	i64, err := r.I64()
	want("i64", i64 == -64<<40, err)
	d, err := r.Double()
	want("double", math.Float64bits(d) == 0x7ff8dead_beef0001, err)
	s, err := r.Bytes()
	want("bytes", string(s) == "text" && cap(s) == 4, err)
	u, err := r.UUID()
	want("uuid", u == [16]byte{9}, err)
	_, _, err = (&binary.Reader{Buf: binary.AppendList(nil, wire.I64, 1)}).List()
	want("a list's elements must fit", reasonOf(err) == wire.SizeLimit, nil)
	// The list's three elements and the map's pair can be in what is left: 6+2 bytes, then 2.
	elem, n, err := r.List()
	want("list", elem == wire.I8 && n == 3, err)
	k, v, n, err := r.Map()
	want("map", k == wire.I8 && v == wire.Bool && n == 1, err)
	truth, err = r.Bool()
	want("any byte but 0 is true", truth, err)
	ft, id, err = r.Field()
	want("stop", ft == wire.Stop && id == 0 && r.Left() == 0, err)
}

// A reader at the end of its bytes gives typed errors and stays where it is.
func TestReaderShort(t *testing.T) {
	reads := map[string]func(*binary.Reader) error{
		"field":  func(r *binary.Reader) error { _, _, err := r.Field(); return err },
		"bool":   func(r *binary.Reader) error { _, err := r.Bool(); return err },
		"i8":     func(r *binary.Reader) error { _, err := r.I8(); return err },
		"i16":    func(r *binary.Reader) error { _, err := r.I16(); return err },
		"i32":    func(r *binary.Reader) error { _, err := r.I32(); return err },
		"i64":    func(r *binary.Reader) error { _, err := r.I64(); return err },
		"double": func(r *binary.Reader) error { _, err := r.Double(); return err },
		"bytes":  func(r *binary.Reader) error { _, err := r.Bytes(); return err },
		"uuid":   func(r *binary.Reader) error { _, err := r.UUID(); return err },
		"list":   func(r *binary.Reader) error { _, _, err := r.List(); return err },
		"map":    func(r *binary.Reader) error { _, _, _, err := r.Map(); return err },
	}
	sizes := map[string]int{"field": 3, "bool": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "double": 8, "bytes": 4, "uuid": 16, "list": 5, "map": 6}
	for name, read := range reads {
		for n := range sizes[name] {
			r := binary.Reader{Buf: bytes.Repeat([]byte{2}, 3+n), Pos: 3}
			if err := read(&r); reasonOf(err) != wire.Truncated || r.Pos != 3 {
				t.Errorf("%s of %d bytes: %v, at %d", name, n, err, r.Pos)
			}
		}
	}
}

// Real messages of ThriftPy are a head and a struct, to the last byte, and the head is written back as it was.
func TestVectors(t *testing.T) {
	for _, v := range wiretest.BinaryVectors() {
		h, used, err := binary.ParseHead(v.Bytes, wire.Limits{})
		if err != nil || !strings.HasPrefix(v.Name, map[bool]string{true: "old", false: "strict"}[h.NonStrict]) {
			t.Errorf("%s: head %+v, %v", v.Name, h, err)
		}
		if again := binary.AppendHead(nil, h); !bytes.Equal(again, v.Bytes[:used]) {
			t.Errorf("%s: head written back as %x", v.Name, again)
		}
		if n, err := binary.Skip(v.Bytes[used:], wire.Struct, wire.Limits{}); used+n != len(v.Bytes) || err != nil {
			t.Errorf("%s: %d and %d bytes of %d, %v", v.Name, used, n, len(v.Bytes), err)
		}
	}
}

// The exception of a peer is read whatever the order of its fields and whatever else it holds.
func TestParseApplication(t *testing.T) {
	for _, c := range []struct {
		name, body string
		typ        int32
		text       string
		want       wire.Reason
	}{
		{"both", "0b 0001 00000002 6869  08 0002 00000006  00", 6, "hi", ""},
		{"type first", "08 0002 00000006  0b 0001 00000002 6869  00", 6, "hi", ""},
		{"ThriftPy: no message", "08 0002 00000001 00", 1, "", ""},
		{"nothing", "00", 0, "", ""},
		{"unknown field", "0c 0009 0c 0001 00 00  08 0002 00000003  00", 3, "", ""},
		{"known id, other type", "08 0001 00000005  0b 0002 00000000  00", 0, "", ""},
		{"not UTF-8", "0b 0001 00000003 61ff62 00", 0, "ab", ""},
		{"cut off", "08 0002 0000", 0, "", wire.Truncated},
		{"no bytes", "", 0, "", wire.Truncated},
		{"message too long for its body", "0b 0001 7fffffff 61", 0, "", wire.SizeLimit},
		{"rest", "08 0002 00000001 00 00", 0, "", wire.Trailing},
		{"bad field", "63 0002", 0, "", wire.BadType},
	} {
		typ, text, err := binary.ParseApplication(unhex(t, c.body), wire.Limits{})
		if typ != c.typ || text != c.text || reasonOf(err) != c.want {
			t.Errorf("%s: %d, %q, %v", c.name, typ, text, err)
		}
	}
	long := binary.AppendApplication(nil, 6, strings.Repeat("é", binary.MaxApplicationText))
	if _, text, err := binary.ParseApplication(long, wire.Limits{}); len(text) != binary.MaxApplicationText || err != nil {
		t.Errorf("a long message: %d bytes, %v", len(text), err)
	}
	if _, _, err := binary.ParseApplication(append(unhex(t, "0c 0009"), wiretest.AppendBinary(nil, wiretest.Nested(64))...), wire.Limits{}); reasonOf(err) != wire.DepthLimit {
		t.Errorf("65 levels: %v", err)
	}
}

// The first field of a result tells a value, a declared exception and void apart.
func TestResultField(t *testing.T) {
	for _, c := range []struct {
		name, body string
		id         int16
		typ        wire.Type
		ok         bool
	}{
		{"value", "0b 0000 00000000 00", 0, wire.String, true},
		{"exception", "0c 0001 00 00", 1, wire.Struct, true},
		{"void", "00", 0, wire.Stop, false},
		{"no bytes", "", 0, wire.Stop, false},
		{"cut off", "0b 00", 0, wire.Stop, false},
		{"no type", "05 0000", 0, wire.Stop, false},
	} {
		if id, typ, ok := binary.ResultField(unhex(t, c.body)); id != c.id || typ != c.typ || ok != c.ok {
			t.Errorf("%s = %d, %s, %v", c.name, id, typ, ok)
		}
	}
}

// MinSize is the length of the shortest value of each type, and 0 for a code that is no type.
func TestMinSize(t *testing.T) {
	shortest := map[wire.Type]wiretest.Value{
		wire.Bool: wiretest.Bool(true), wire.I8: wiretest.I8(1), wire.I16: wiretest.I16(1), wire.I32: wiretest.I32(1), wire.I64: wiretest.I64(1),
		wire.Double: wiretest.Double(1), wire.String: wiretest.String(""), wire.UUID: wiretest.UUID("0123456789abcdef"), wire.Struct: wiretest.Struct(),
		wire.List: wiretest.List(wire.I8), wire.Set: wiretest.Set(wire.I8), wire.Map: wiretest.Map(wire.I8, wire.I8),
	}
	for code := range 256 {
		want := 0
		if v, ok := shortest[wire.Type(code)]; ok {
			want = len(wiretest.AppendBinary(nil, v))
		}
		if got := binary.MinSize(wire.Type(code)); got != want {
			t.Errorf("MinSize(%d) = %d, want %d", code, got, want)
		}
	}
}
