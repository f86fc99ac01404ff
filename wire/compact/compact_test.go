package compact_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/compact"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// The compact protocol passes the kit.
func TestCompact(t *testing.T) { wiretest.Test(t, wiretest.Compact()) }

// ThriftPy2's messages are read to their last byte, and their heads are written as ThriftPy2 writes them.
func TestVectors(t *testing.T) {
	for _, v := range wiretest.CompactVectors() {
		h, used, err := compact.ParseHead(v.Bytes, wire.Limits{})
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if got := compact.AppendHead(nil, h); !bytes.Equal(got, v.Bytes[:used]) {
			t.Errorf("%s: head %x, want %x", v.Name, got, v.Bytes[:used])
		}
		if n, err := compact.Skip(v.Bytes[used:], wire.Struct, wire.Limits{}); n != len(v.Bytes)-used || err != nil {
			t.Errorf("%s: %d of %d bytes, %v", v.Name, n, len(v.Bytes)-used, err)
		}
	}
}

// Values lie as Apache's document has them.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		v    wiretest.Value
		want string
	}{
		{"empty", wiretest.Struct(), "00"},
		{"bools in their headers", wiretest.Struct(1, wiretest.Bool(true), 2, wiretest.Bool(false)), "11 12 00"},
		{"a distance of 15, and of 16", wiretest.Struct(15, wiretest.I8(1), 31, wiretest.I8(2)), "f3 01 03 3e 02 00"},
		{"ids that go down", wiretest.Struct(2, wiretest.I8(1), 1, wiretest.I8(2)), "23 01 03 02 02 00"},
		{"field 0", wiretest.Struct(0, wiretest.I32(1)), "05 00 02 00"},
		{"a bool of an id that goes down", wiretest.Struct(2, wiretest.I8(1), 1, wiretest.Bool(true)), "23 01 01 02 00"},
		{"zigzag", wiretest.Struct(1, wiretest.I32(-1), 2, wiretest.I64(math.MinInt64), 3, wiretest.I16(300)), "15 01 16 ffffffffffffffffff01 14 d804 00"},
		{"little-endian double", wiretest.Struct(1, wiretest.Double(1)), "17 000000000000f03f 00"},
		{"string", wiretest.Struct(1, wiretest.String("hi")), "18 02 6869 00"},
		{"short list", wiretest.Struct(1, wiretest.List(wire.I8, wiretest.I8(7))), "19 13 07 00"},
		{"list of 15", wiretest.Struct(1, wiretest.List(wire.I8, wiretest.Repeat(15, wiretest.I8(7))...)), "19 f3 0f" + strings.Repeat("07", 15) + "00"},
		{"list of bools", wiretest.Struct(1, wiretest.List(wire.Bool, wiretest.Bool(true), wiretest.Bool(false))), "19 21 01 02 00"},
		{"empty map", wiretest.Struct(1, wiretest.Map(wire.String, wire.I32)), "1b 00 00"},
		{"map", wiretest.Struct(1, wiretest.Map(wire.String, wire.I32, wiretest.String("a"), wiretest.I32(1))), "1b 01 85 01 61 02 00"},
		{"ids begin anew inside a struct", wiretest.Struct(3, wiretest.Struct(1, wiretest.I8(1)), 4, wiretest.I8(2)), "3c 13 01 00 13 02 00"},
	} {
		if got := wiretest.AppendCompact(nil, c.v); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: %x, want %s", c.name, got, c.want)
		}
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hostile holds structs that must be refused, by a walk over all of it and by one that goes on byte by byte alike.
var hostile = []struct {
	name, bytes string
	want        wire.Reason
	offset      int
}{
	{"unknown field type", "1e 00", wire.BadType, 0},
	{"field type 15", "1f 00", wire.BadType, 0},
	{"long form of no type", "10 00", wire.BadType, 0},
	{"an id above 32767 by its distance", "03 feff03 00 13 00", wire.BadValue, 5},
	{"an id of four bytes", "03 80808001 00", wire.BadValue, 1},
	{"an id of 17 bits", "03 ffff07 00", wire.BadValue, 1},
	{"i16 of four bytes", "14 80808001 00", wire.BadValue, 1},
	{"i16 of 17 bits", "14 808004 00", wire.BadValue, 1},
	{"i32 of six bytes", "15 808080808001 00", wire.BadValue, 1},
	{"i32 of 33 bits", "15 8080808010 00", wire.BadValue, 1},
	{"i64 of eleven bytes", "16 8080808080808080808001 00", wire.BadValue, 1},
	{"i64 of 65 bits", "16 80808080808080808002 00", wire.BadValue, 1},
	{"a varint that never ends", "16" + strings.Repeat("ff", 100), wire.BadValue, 1},
	{"string of 2^31", "18 8080808008 00", wire.NegativeSize, 1},
	{"string of 2^31-1", "18 ffffffff07 61", wire.SizeLimit, 1},
	{"string of 33 bits", "18 8080808010 00", wire.BadValue, 1},
	{"list of 2^31-1 bools", "19 f1 ffffffff07 01", wire.SizeLimit, 1},
	{"list of 2^31 bools", "19 f1 8080808008 01", wire.NegativeSize, 1},
	{"list of 2^31-1 structs", "19 fc ffffffff07 00", wire.SizeLimit, 1},
	{"list of an unknown type", "19 1e 00", wire.BadType, 1},
	{"list of no type", "19 10 00", wire.BadType, 1},
	{"map of 2^31-1", "1b ffffffff07 11 01", wire.SizeLimit, 1},
	{"map with keys of an unknown type", "1b 01 e1 00", wire.BadType, 1},
	{"map with values of no type", "1b 01 10 00", wire.BadType, 1},
	{"10^4 structs deep", strings.Repeat("1c", 10_000), wire.DepthLimit, 64},
	{"10^4 lists deep", "19" + strings.Repeat("19", 10_000), wire.DepthLimit, 64},
}

func TestHostile(t *testing.T) {
	for _, c := range hostile {
		buf := unhex(t, c.bytes)
		_, err := compact.Skip(buf, wire.Struct, wire.Limits{})
		wantError(t, c.name+": Skip", err, c.want, c.offset)
		limits := wire.Limits{MessageBytes: 10_500} // the bytes left on a stream are the message limit's
		s := new(compact.Scanner)
		s.Reset(limits, 0)
		_, _, err = s.Scan(buf)
		wantError(t, c.name+": Scan", err, c.want, c.offset)
		s.Reset(limits, 0)
		for n := 0; n <= len(buf); n++ {
			if _, _, err = s.Scan(buf[:n]); err != nil {
				break
			}
		}
		wantError(t, c.name+": byte by byte", err, c.want, c.offset)
	}
}

func wantError(t *testing.T, name string, err error, want wire.Reason, offset int) {
	t.Helper()
	if e, ok := errors.AsType[*wire.Error](err); !ok || e.Reason != want || e.Offset != offset {
		t.Errorf("%s: %v, want %s at %d", name, err, want, offset)
	}
}

// Heads that are none, and numbers in them that are too long, are refused with what is wrong.
func TestHostileHeads(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		want        wire.Reason
		offset      int
		used        int
	}{
		{"binary", "80010001", wire.BadVersion, 0, 0},
		{"version 2", "82220000", wire.BadVersion, 1, 0},
		{"sequence id of six bytes", "8221 808080808001 00", wire.BadValue, 2, 0},
		{"sequence id of 33 bits", "8221 8080808010 00", wire.BadValue, 2, 0},
		{"name of 1 MiB", "8221 00 808040", wire.SizeLimit, 3, 0},
		{"name of 2^31-1", "8221 00 ffffffff07", wire.SizeLimit, 3, 0},
		{"message type 0", "8201 07 01 61", wire.BadType, 1, 5},
		{"message type 5", "82a1 07 01 61", wire.BadType, 1, 5},
	} {
		h, used, err := compact.ParseHead(unhex(t, c.bytes), wire.Limits{})
		wantError(t, c.name, err, c.want, c.offset)
		if used != c.used || used > 0 && (h.Name != "a" || h.Seq != 7) {
			t.Errorf("%s: %+v, %d", c.name, h, used)
		}
	}
}

// An exception is read back; fields of other types and unknown ones are skipped, bools among them.
func TestApplication(t *testing.T) {
	body := compact.AppendApplication(nil, 6, "broken")
	if typ, text, err := compact.ParseApplication(body, wire.Limits{}); typ != 6 || text != "broken" || err != nil {
		t.Errorf("%d %q %v", typ, text, err)
	}
	if got := compact.AppendApplication(nil, 1, ""); !bytes.Equal(got, unhex(t, "25 02 00")) {
		t.Errorf("%x", got)
	}
	odd := wiretest.AppendCompact(nil, wiretest.Struct(2, wiretest.I32(7), 9, wiretest.Bool(true), 1, wiretest.Bool(true), 10, wiretest.String("x"), 1, wiretest.String("late")))
	if typ, text, err := compact.ParseApplication(odd, wire.Limits{}); typ != 7 || text != "late" || err != nil {
		t.Errorf("%d %q %v", typ, text, err)
	}
	if _, _, err := compact.ParseApplication(append(body, 1), wire.Limits{}); err == nil {
		t.Error("bytes behind the exception are no mistake")
	}
}
