package binary_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

func reasonOf(err error) wire.Reason {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Reason
	}
	return ""
}

// hostile holds structs that are no structs. Each is refused by Skip, and by a scan as soon as these bytes are there.
var hostile = []struct {
	name, body string
	want       wire.Reason
	offset     int
}{
	{"list of 2^31-1 bool", "0f 0001 02 7fffffff", wire.SizeLimit, 3},
	{"list of 2^31 bool", "0f 0001 02 80000000", wire.NegativeSize, 3},
	{"list of 10^8 elements of an unknown type", "0f 0001 63 05f5e100", wire.BadType, 3},
	{"list of an unknown type, empty", "0f 0001 63 00000000", wire.BadType, 3},
	{"list of void", "0f 0001 01 00000001", wire.BadType, 3},
	{"list of stop", "0f 0001 00 00000001", wire.BadType, 3},
	{"list of -1", "0f 0001 08 ffffffff", wire.NegativeSize, 3},
	{"set of 2^31-1 empty structs", "0e 0001 0c 7fffffff", wire.SizeLimit, 3},
	{"list of 2^31-1 uuids", "0f 0001 10 7fffffff", wire.SizeLimit, 3},
	{"list of lists, too many inside", "0f 0001 0f 00000001 08 7fffffff", wire.SizeLimit, 8},
	{"map of 2^31-1", "0d 0001 03 03 7fffffff", wire.SizeLimit, 3},
	{"map of -1", "0d 0001 08 08 ffffffff", wire.NegativeSize, 3},
	{"map, unknown key", "0d 0001 07 08 00000001", wire.BadType, 3},
	{"map, unknown value", "0d 0001 08 07 00000001", wire.BadType, 3},
	{"map, unknown value, empty", "0d 0001 08 ff 00000000", wire.BadType, 3},
	{"string of 2^31-1", "0b 0001 7fffffff", wire.SizeLimit, 3},
	{"string of -1", "0b 0001 ffffffff", wire.NegativeSize, 3},
	{"string of -2^31", "0b 0001 80000000", wire.NegativeSize, 3},
	{"field of void", "01 0001", wire.BadType, 0},
	{"field of code 5", "05 0001", wire.BadType, 0},
	{"field of code 17", "11 0001", wire.BadType, 0},
	{"field of code 255", "08 0001 00000000 ff 0001", wire.BadType, 7},
	{"struct 10^4 deep", strings.Repeat("0c0001", 10_000), wire.DepthLimit, 64 * 3},
	{"list 10^4 deep", "0f0001" + strings.Repeat("0f00000001", 10_000), wire.DepthLimit, 3 + 63*5},
	{"map 10^4 deep", "0d0001" + strings.Repeat("030d0000000101", 10_000), wire.DepthLimit, 3 + 63*7},
}

// Hostile bytes are refused at the byte that shows it, whatever is claimed to follow: nothing behind a bad head is walked over.
func TestHostile(t *testing.T) {
	var s binary.Scanner
	for _, c := range hostile {
		body := unhex(t, c.body)
		_, skipErr := binary.Skip(body, wire.Struct, wire.Limits{})
		s.Reset(wire.Limits{}, 0)
		_, _, scanErr := s.Scan(body)
		for who, err := range map[string]error{"Skip": skipErr, "Scan": scanErr} {
			e, _ := errors.AsType[*wire.Error](err)
			if e == nil || e.Reason != c.want || e.Offset != c.offset {
				t.Errorf("%s: %s: %v (%s), want %s at %d", c.name, who, err, reasonOf(err), c.want, c.offset)
			}
		}
	}
}

// An empty container may leave its types open, as writers without a schema do.
func TestEmptyContainerOfStop(t *testing.T) {
	for _, body := range []string{"0f 0001 00 00000000 00", "0e 0001 00 00000000 00", "0d 0001 00 00 00000000 00", "0d 0001 08 00 00000000 00"} {
		buf := unhex(t, body)
		var s binary.Scanner
		s.Reset(wire.Limits{}, 0)
		end, _, err := s.Scan(buf)
		used, skipErr := binary.Skip(buf, wire.Struct, wire.Limits{})
		if end != len(buf) || used != len(buf) || err != nil || skipErr != nil {
			t.Errorf("%s: Scan %d, %v; Skip %d, %v", body, end, err, used, skipErr)
		}
	}
}

// A head that is none is refused as soon as the bytes show it; one that is only of a wrong type can still be answered.
func TestHostileHeads(t *testing.T) {
	for _, c := range []struct {
		name, head string
		want       wire.Reason
		used       int
	}{
		{"compact", "82 21 00 04", wire.BadVersion, 0},
		{"version 2", "8002 0001", wire.BadVersion, 0},
		{"all ones", "ffffffff", wire.BadVersion, 0},
		{"text", "47455420", wire.BadVersion, 0},
		{"name of -1", "80010001 ffffffff", wire.NegativeSize, 0},
		{"name of 1025", "80010001 00000401", wire.SizeLimit, 0},
		{"name of 1 MiB", "80010001 00100000", wire.SizeLimit, 0},
		{"name of 2^31-1", "80010001 7fffffff", wire.SizeLimit, 0},
		{"non-strict name of 1 MiB", "00100000", wire.SizeLimit, 0},
		{"type 0", "80010000 00000001 61 00000007", wire.BadType, 13},
		{"type 5", "80010005 00000001 61 00000007", wire.BadType, 13},
		{"non-strict type 9", "00000001 61 09 00000007", wire.BadType, 10},
	} {
		h, used, err := binary.ParseHead(unhex(t, c.head), wire.Limits{})
		if reasonOf(err) != c.want || used != c.used || err == binary.ErrShort {
			t.Errorf("%s: %d, %v (%s)", c.name, used, err, reasonOf(err))
		}
		if used > 0 && (h.Name != "a" || h.Seq != 7) {
			t.Errorf("%s: head %+v", c.name, h)
		}
	}
	unused := unhex(t, "8001 7f 01 00000000 00000000") // Apache and ThriftPy ignore the third byte
	if h, _, err := binary.ParseHead(unused, wire.Limits{}); h.Type != wire.Call || err != nil {
		t.Errorf("with an unused byte: %+v, %v", h, err)
	}
}

// Whatever lengths hostile bytes claim, refusing them costs less memory than they have bytes.
func TestHostileMemory(t *testing.T) {
	var bodies [][]byte
	total := 0
	for _, c := range hostile {
		body := unhex(t, c.body)
		bodies = append(bodies, body)
		total += len(body)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, body := range bodies {
		binary.Skip(body, wire.Struct, wire.Limits{})
		var s binary.Scanner
		s.Reset(wire.Limits{}, 0)
		s.Scan(body)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(total) {
		t.Errorf("%d bytes allocated for %d hostile bytes", got, total)
	}
}
