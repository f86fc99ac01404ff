package transport_test

import (
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// unhex reads bytes as they stand in these tables: groups in hex.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	buf, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

const (
	headA   = "80010001 00000001 61 00000007" // a call of a, sequence id 7: 13 bytes
	messyIn = headA + " 0b0001 ffffffff"      // with a string of -1: 20 bytes
)

// hostile holds streams that must be refused, and what can be said of each.
var hostile = []struct {
	name, bytes string
	kind        transport.Kind
	want        wire.Reason
	offset      int
	headOK      bool
	skip        int
}{
	{"compact where binary is spoken", "82210003 61626300", transport.Buffered, wire.BadVersion, 0, false, 0},
	{"framed message", "0fffffff" + headA, transport.Buffered, wire.BadVersion, 0, false, 0},
	{"name of 1 MiB", "80010001 00100000", transport.Buffered, wire.SizeLimit, 4, false, 0},
	{"name of 2^31-1", "80010001 7fffffff", transport.Buffered, wire.SizeLimit, 4, false, 0},
	{"name of -1", "80010001 ffffffff", transport.Buffered, wire.NegativeSize, 4, false, 0},
	{"message type 9", "80010009 00000001 61 00000007", transport.Buffered, wire.BadType, 3, true, 0},
	{"string of -1", messyIn, transport.Buffered, wire.NegativeSize, 16, true, 0},
	{"string beyond the limit", headA + "0b0001 7fffffff", transport.Buffered, wire.SizeLimit, 16, true, 0},
	{"string of 1 byte beyond the limit", headA + "0b0001 000003d5", transport.Buffered, wire.SizeLimit, 16, true, 0},
	{"list of 2^31-1 bool", headA + "0f0001 02 7fffffff", transport.Buffered, wire.SizeLimit, 16, true, 0},
	{"list of unknown type", headA + "0f0001 63 05f5e100", transport.Buffered, wire.BadType, 16, true, 0},
	{"unknown field type", headA + "63", transport.Buffered, wire.BadType, 13, true, 0},
	{"10^4 deep", headA + strings.Repeat("0c0001", 10_000), transport.Buffered, wire.DepthLimit, 13 + 3*64, true, 0},
	{"a struct that never ends", headA + strings.Repeat("0200ff01", 1000), transport.Buffered, wire.SizeLimit, 997, true, 0},

	{"zero frame", "00000000", transport.Framed, wire.BadValue, 0, false, 0},
	{"frame of -1", "ffffffff", transport.Framed, wire.NegativeSize, 0, false, 0},
	{"frame of -2^31", "80000000", transport.Framed, wire.NegativeSize, 0, false, 0},
	{"unframed message", headA + "00", transport.Framed, wire.NegativeSize, 0, false, 0},
	{"frame of 2^31-1", "7fffffff", transport.Framed, wire.SizeLimit, 0, false, 0},
	{"frame of 1 byte too many", "000003e9", transport.Framed, wire.SizeLimit, 0, false, 0},
	{"frame with half a head", "00000006 80010001 0000", transport.Framed, wire.Truncated, 10, false, 10},
	{"frame of one byte", "00000001 80", transport.Framed, wire.Truncated, 5, false, 5},
	{"frame with garbage", "00000004 ffffffff", transport.Framed, wire.BadVersion, 4, false, 8},
	{"frame with a name of 1 MiB", "00000008 80010001 00100000", transport.Framed, wire.SizeLimit, 8, false, 12},
	{"frame with message type 9", "0000000e 80010009 00000001 61 00000007 00", transport.Framed, wire.BadType, 7, true, 18},
	{"frame with a head only", "0000000d" + headA, transport.Framed, wire.Truncated, 17, true, 17},
	{"frame with a string of -1", "00000014" + messyIn, transport.Framed, wire.NegativeSize, 20, true, 24},
	{"frame with a string too long for it", "00000015" + headA + "0b0001 00000002 61", transport.Framed, wire.SizeLimit, 20, true, 25},
	{"frame with a list of 2^31-1 bool", "00000016" + headA + "0f0001 02 7fffffff 00", transport.Framed, wire.SizeLimit, 20, true, 26},
	{"frame with a list of unknown type", "00000016" + headA + "0f0001 63 05f5e100 00", transport.Framed, wire.BadType, 20, true, 26},
	{"frame with trailing garbage", "00000010" + headA + "00 dead", transport.Framed, wire.Trailing, 18, true, 20},
	{"frame with two messages", "0000001c" + headA + "00" + headA + "00", transport.Framed, wire.Trailing, 18, true, 32},
	{"frame 330 deep", "000003eb" + headA + strings.Repeat("0c0001", 330), transport.Framed, wire.SizeLimit, 0, false, 0},
	{"frame 300 deep", "00000391" + headA + strings.Repeat("0c0001", 300), transport.Framed, wire.DepthLimit, 4 + 13 + 3*64, true, 4 + 913},
}

// limits of the hostile rows: small, so that "one more" can be written down.
var hostileLimits = wire.Limits{MessageBytes: 1000}

// A hostile stream is refused with what is wrong, where, whom to answer, and how to go on; the same byte by byte and at once.
func TestHostile(t *testing.T) {
	for _, c := range hostile {
		buf := unhex(t, c.bytes)
		w := transport.Wire{Kind: c.kind, Protocol: wire.Binary}
		_, used, need, err := newSplitter(t, w, hostileLimits).Split(buf)
		bad, ok := errors.AsType[*transport.Malformed](err)
		if !ok || used != 0 || need != 0 {
			t.Errorf("%s: used %d, need %d, %v", c.name, used, need, err)
			continue
		}
		if bad.Err.Reason != c.want || bad.Err.Offset != c.offset || bad.HeadOK != c.headOK || bad.Skip != c.skip {
			t.Errorf("%s: %s at %d, head %v, skip %d: %v", c.name, bad.Err.Reason, bad.Err.Offset, bad.HeadOK, bad.Skip, bad)
		}
		if wantHead := (wire.Head{Name: "a", Seq: 7, Type: bad.Message.Head.Type}); bad.HeadOK && bad.Message.Head != wantHead || !bad.HeadOK && bad.Message.Head != (wire.Head{}) {
			t.Errorf("%s: head %+v", c.name, bad.Message.Head)
		}
		whole := feed(t, newSplitter(t, w, hostileLimits), buf)
		if drip := feed(t, newSplitter(t, w, hostileLimits), eachByte(buf)...); drip[0] != whole[0] {
			t.Errorf("%s: byte by byte %q, at once %q", c.name, drip[0], whole[0])
		}
	}
}

// A bad message in a good frame costs that message only: the next one is read.
func TestFrameGoesOn(t *testing.T) {
	good := unhex(t, "0000000e"+headA+"00")
	for _, c := range hostile {
		if c.skip == 0 {
			continue
		}
		s := newSplitter(t, framedBinary, hostileLimits)
		got := feed(t, s, append(unhex(t, c.bytes), good...))
		if len(got) != 2 || got[1] != feed(t, s, good)[0] {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// Whatever lengths are claimed, refusing or awaiting them costs a bounded number of bytes for each byte that came.
func TestHostileMemory(t *testing.T) {
	awaited := []string{"000003e8 80010001", "80010001 00000400", headA + "0b0001 000003d0", headA + "0f0001 0b 00000080"}
	var before, after runtime.MemStats
	for _, kind := range []transport.Kind{transport.Buffered, transport.Framed} {
		w := transport.Wire{Kind: kind, Protocol: wire.Binary}
		var bufs [][]byte
		total := 0
		for _, text := range awaited {
			bufs = append(bufs, unhex(t, text))
		}
		for _, c := range hostile {
			bufs = append(bufs, unhex(t, c.bytes))
		}
		for _, buf := range bufs {
			total += len(buf)
		}
		runtime.ReadMemStats(&before)
		for _, buf := range bufs {
			newSplitter(t, w, hostileLimits).Split(buf)
		}
		runtime.ReadMemStats(&after)
		// A splitter, an error and its text are 600 bytes at most; a scanner's stack for 64 levels 2 KiB in all its growth.
		if got := int(after.TotalAlloc - before.TotalAlloc); got > total+len(bufs)*1024 {
			t.Errorf("%s: %d bytes allocated for %d bytes in %d streams", kind, got, total, len(bufs))
		}
	}
}
