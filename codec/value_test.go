package codec

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// Fields are written in declaration order, unset ones not at all, each in the layout of the binary protocol.
func TestAppendStruct(t *testing.T) {
	tests := []struct {
		name string
		in   *schema.StructValue
		want string
	}{
		{"empty", sv("Point"), "00"},
		{"one field", sv("Point", "y", int64(-2)), `
			08 0002 fffffffe // i32 2
			00               // stop`},
		{"nested", sv("Everything", "flag", true, "status", int32(9), "point", sv("Point", "x", int64(1))), `
			02 0001 01                 // bool 1
			08 000a 00000009           // enum 10
			0c 000b 08 0001 00000001 00 // struct 11
			00`},
		{"containers", sv("Everything",
			"names", []schema.Value{"a", "bc"},
			"numbers", []schema.Value{int64(5), int64(5)},
			"counts", schema.MapValue{{Key: "n", Value: int64(7)}}), `
			0f 000c 0b 00000002 00000001 61 00000002 6263 // list
			0e 000d 08 00000002 00000005 00000005         // set, duplicates kept
			0d 000e 0b 0a 00000001 00000001 6e 0000000000000007 // map
			00`},
		{"bytes that are not UTF-8", sv("Everything", "text", "\xff", "raw", []byte{0, 1}), `
			0b 0007 00000001 ff
			0b 0008 00000002 0001
			00`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := unhex(t, test.want)
			got, err := AppendStruct(nil, wire.Binary, test.in)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %x, %v, want %x", got, err, want)
			}
			back, used, err := DecodeStruct(wire.Binary, test.in.Type, append(got, 0xaa), wire.Limits{})
			if err != nil || used != len(got) {
				t.Fatalf("decoding used %d of %d bytes, %v", used, len(got), err)
			}
			if diff := cmp.Diff(test.in, back, byType); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// byType compares schema types by identity, not by what they hold.
var byType = cmp.Comparer(func(a, b *schema.StructType) bool { return a == b })

// What a reader does not know or does not expect is skipped, as ThriftPy skips it.
func TestDecodeTolerates(t *testing.T) {
	tests := []struct {
		name, typ, in string
		want          *schema.StructValue
	}{
		{"unknown field", "Point", "08 0009 00000001  08 0001 00000005  00", sv("Point", "x", int64(5))},
		{"wrong type", "Point", "0b 0001 00000001 61  08 0002 00000005  00", sv("Point", "y", int64(5))},
		{"any order", "Point", "08 0002 00000002  08 0001 00000001  00", sv("Point", "x", int64(1), "y", int64(2))},
		{"last value of a field that comes twice", "Point", "08 0001 00000001 08 0001 00000002  00", sv("Point", "x", int64(2))},
		{"list for a set", "Everything", "0f 000d 08 00000001 00000005  00", sv("Everything")},
		{"wrong element type", "Everything", "0f 000c 08 00000001 00000005  02 0001 01  00",
			sv("Everything", "names", []schema.Value{}, "flag", true)},
		{"wrong value type of a map", "Everything", "0d 000e 0b 08 00000001 00000001 61 00000005  00",
			sv("Everything", "counts", schema.MapValue{})},
		{"empty list of no type", "Everything", "0f 000c 00 00000000  00", sv("Everything", "names", []schema.Value{})},
		{"enum without a name", "Everything", "08 000a 0000004d  00", sv("Everything", "status", int32(77))},
		{"union with two fields", "Shape", "04 0001 0000000000000000  0f 0003 08 00000000  00",
			sv("Shape", "circle", 0.0, "sides", []schema.Value{})},
		{"missing required field", "Address", "00", sv("Address")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := unhex(t, test.in)
			got, used, err := DecodeStruct(wire.Binary, structType(test.typ), in, wire.Limits{})
			if err != nil || used != len(in) {
				t.Fatalf("used %d of %d bytes, %v", used, len(in), err)
			}
			if diff := cmp.Diff(test.want, got, byType); diff != "" {
				t.Error(diff)
			}
			again, err := AppendStruct(nil, wire.Binary, got)
			if err != nil {
				t.Fatalf("what was decoded cannot be encoded: %v", err)
			}
			if _, _, err := DecodeStruct(wire.Binary, structType(test.typ), again, wire.Limits{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Bytes that are no value are refused with the reason.
func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name, typ, in string
		limits        wire.Limits
		want          wire.Reason
	}{
		{"nothing", "Point", "", wire.Limits{}, wire.Truncated},
		{"cut in a field", "Point", "08 0001 0000", wire.Limits{}, wire.Truncated},
		{"no stop", "Point", "08 0001 00000001", wire.Limits{}, wire.Truncated},
		{"unknown type code", "Point", "63 0001 00", wire.Limits{}, wire.BadType},
		{"string beyond the bytes", "Everything", "0b 0007 00000009 61 00", wire.Limits{}, wire.SizeLimit},
		{"count beyond the bytes", "Everything", "0f 000c 0b 7fffffff 00", wire.Limits{}, wire.SizeLimit},
		{"negative count", "Everything", "0d 000e 0b 0a ffffffff 00", wire.Limits{}, wire.NegativeSize},
		{"too deep", "Tree", "0c 0003 0c 0003 0c 0003 00 00 00 00", wire.Limits{Depth: 3}, wire.DepthLimit},
		{"too deep in a skipped field", "Tree", "0c 0009 0c 0003 0c 0003 00 00 00 00", wire.Limits{Depth: 3}, wire.DepthLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := DecodeStruct(wire.Binary, structType(test.typ), unhex(t, test.in), test.limits)
			var e *wire.Error
			if !errors.As(err, &e) || e.Reason != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// The depth that is allowed is allowed.
func TestDepthAtTheLimit(t *testing.T) {
	in := unhex(t, "0c 0003 0c 0003 0c 0003 00 00 00 00")
	if _, _, err := DecodeStruct(wire.Binary, structType("Tree"), in, wire.Limits{Depth: 4}); err != nil {
		t.Error(err)
	}
}

// A value that does not fit its type is refused with its path, before it reaches a peer.
func TestAppendRefuses(t *testing.T) {
	deep := sv("Tree")
	for range wire.DefaultDepth {
		deep = sv("Tree", "next", deep)
	}
	tests := []struct {
		name string
		in   *schema.StructValue
		want string
	}{
		{"wrong Go type", sv("Point", "x", "1"), "Point.x: expected i32, found string"},
		{"int for int64", sv("Point", "x", 1), "Point.x: expected i32, found int"},
		{"out of range", sv("Everything", "tiny", int64(128)), "Everything.tiny: 128 is out of range for i8"},
		{"another struct", sv("Everything", "point", sv("Address")), "Everything.point: expected Point, found a Address"},
		{"nil in a list", sv("Everything", "names", []schema.Value{"a", nil}), "Everything.names[1]: expected string, found nothing (nil)"},
		{"map value", sv("Everything", "counts", schema.MapValue{{Key: "a", Value: "b"}}), "Everything.counts{value}: expected i64, found string"},
		{"too deep", deep, "Tree" + strings.Repeat(".next", wire.DefaultDepth) + ": nested too deep"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := AppendStruct(nil, wire.Binary, test.in)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A protocol that there is not is refused by its name, never written as something else.
func TestUnsupportedProtocol(t *testing.T) {
	_, encode := AppendStruct(nil, wire.Protocol(9), sv("Point"))
	_, _, decode := DecodeStruct(wire.Protocol(9), structType("Point"), []byte{0}, wire.Limits{})
	for _, err := range []error{encode, decode} {
		if e := (*wire.Error)(nil); !errors.As(err, &e) || e.Reason != wire.Unsupported || !strings.Contains(e.Text, "protocol 9") {
			t.Errorf("got %v", err)
		}
	}
}

// Defaults fill what is unset, structs inside included, and are copies that may be changed.
func TestApplyDefaults(t *testing.T) {
	v := sv("Presence", "size", int64(1), "at", sv("Point"))
	ApplyDefaults(v)
	want := sv("Presence", "limit", int64(10), "size", int64(1), "tags", []schema.Value{"a", "b"}, "at", sv("Point"),
		"home", sv("Point", "x", int64(1), "y", int64(2)))
	if diff := cmp.Diff(want, v, byType); diff != "" {
		t.Fatal(diff)
	}
	v.Get("tags").([]schema.Value)[0] = "changed"
	v.Get("home").(*schema.StructValue).Fields[0] = int64(99)
	again := sv("Presence")
	ApplyDefaults(again)
	if again.Get("tags").([]schema.Value)[0] != "a" || again.Get("home").(*schema.StructValue).Get("x") != int64(1) {
		t.Error("the schema's own default was changed")
	}
	list := []schema.Value{sv("Address")}
	ApplyDefaults(list)
	if list[0].(*schema.StructValue).Get("city") != "Bonn" {
		t.Error("a struct in a list got no default")
	}
}

// Every bit of a NaN survives.
func TestNaN(t *testing.T) {
	nan := math.Float64frombits(0x7ff8000000000abc)
	b, err := AppendStruct(nil, wire.Binary, sv("Everything", "real", nan))
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := DecodeStruct(wire.Binary, structType("Everything"), b, wire.Limits{})
	if err != nil || math.Float64bits(v.Get("real").(float64)) != math.Float64bits(nan) {
		t.Errorf("got %x, %v", v.Get("real"), err)
	}
}

// A hostile message never makes the decoder allocate more than the documented multiple of its bytes.
func TestMemoryIsBounded(t *testing.T) {
	plan, mismatches := Compile(TypeOf(wide), wideGo)
	if plan == nil {
		t.Fatal(mismatches)
	}
	lists := binary.AppendField(nil, wire.List, 1)
	lists = binary.AppendList(lists, wire.Struct, 400_000)
	hostile := map[string][]byte{
		"structs without fields":          append(append(lists, make([]byte, 400_000)...), 0),
		"a count that nothing stands for": append(append(lists, 0xff), make([]byte, 400_000)...),
	}
	for name, in := range hostile {
		decode := map[string]func() error{
			"dynamic": func() error {
				_, _, err := DecodeStruct(wire.Binary, wide, in, wire.Limits{})
				return err
			},
			"typed": func() error {
				_, err := plan.Decode(wire.Binary, in, reflect.New(wideGo).Interface(), wire.Limits{})
				return err
			},
		}
		for mode, f := range decode {
			t.Run(name+"/"+mode, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := f()
				runtime.ReadMemStats(&after)
				// Growing a slice holds the old room for a moment: twice the bound in all that was ever allocated.
				if got, most := after.TotalAlloc-before.TotalAlloc, uint64(2*(unpackFactor*len(in)+unpackFloorBytes)); got > most {
					t.Errorf("%d bytes were allocated for %d, at most %d are allowed", got, len(in), most)
				}
				if err == nil {
					t.Error("accepted")
				}
			})
		}
	}
}
