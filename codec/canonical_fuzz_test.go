package codec

import (
	"bytes"
	"errors"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/wire"
)

// Whatever the bytes: no panic, and memory in bounds. What has a form is a value that the codec reads, of which the plain reference has one,
// and has the same form in the other protocol and when it is written anew.
func FuzzCanonical(f *testing.F) {
	seed(f)
	for _, hex := range []string{
		"0e 000d 08 00000003 00000002 00000001 00000002 00",                                   // a set out of order, with a duplicate
		"0d 000e 0b 0a 00000002 00000001 62 0000000000000001 00000001 61 0000000000000002 00", // a map out of order
		"0d 000e 0b 0a 00000002 00000000 0000000000000001 00000000 0000000000000002 00",       // a key twice
		"0c 000b 08 0002 00000001 08 0001 00000002 00 08 0004 00000001 08 0004 00000002 00",   // fields out of order, and twice
		"04 0006 7ff8000000000000 00", "04 0006 8000000000000000 00", "0f 000c 02 00000000 00", "08 0063 00000001 00",
	} {
		f.Add(unhex(f, hex), false)
	}
	args := structType("Everything")
	paths := []string{"point.x", "names", "shape.corner", "point", "places"}
	f.Fuzz(func(t *testing.T, body []byte, isCompact bool) {
		for _, some := range [][]string{nil, paths} {
			form, err := NewCanonical(args, some...)
			if err != nil {
				t.Fatal(err)
			}
			checkCanonical(t, form, some, body, isCompact)
		}
	})
}

func checkCanonical(t *testing.T, form *Canonical, paths []string, body []byte, isCompact bool) {
	p, other := loopOf(isCompact), loopOf(!isCompact)
	limits := wire.Limits{MessageBytes: 64 << 10}
	var got []byte
	var err error
	allocs.Bound(t, 64, len(body), func() { got, err = form.Append(nil, p, body, limits) })
	if err != nil {
		unsound, invalid := (*Error)(nil), (*wire.Error)(nil)
		if got != nil || !errors.As(err, &unsound) && (!errors.As(err, &invalid) || invalid.Offset > len(body)) {
			t.Fatalf("%x, %v", got, err)
		}
		return
	}
	v, used, err := DecodeStruct(p, form.args, body, wire.Limits{})
	if err != nil || used != len(body) {
		t.Fatalf("a form of what cannot be read: %d of %d bytes, %v", used, len(body), err)
	}
	if plain, ok := plainArguments(v, paths); !ok {
		t.Fatalf("a form of what has none: %s", plain)
	}
	there, err := Translate(nil, p, other, form.args, body, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := AppendStruct(nil, other, v)
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range [][]byte{there, again} {
		if b, err := form.Append(nil, other, same, limits); err != nil || !bytes.Equal(b, got) {
			t.Fatalf("%x in %s, %x in %s, %v", got, p, b, other, err)
		}
	}
}
