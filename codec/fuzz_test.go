package codec

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

func seed(f *testing.F) {
	v := full()
	plan := mustCompile(f, "Everything", v)
	body, err := plan.Append(nil, wire.Binary, &v)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body, false)
	f.Add(body[:len(body)/2], false)
	if body, err = plan.Append(nil, wire.Compact, &v); err != nil {
		f.Fatal(err)
	}
	f.Add(body, true)
	f.Add(body[:len(body)/2], true)
	for _, hex := range []string{
		"00", "0f 000c 0b 7fffffff 00", "0d 000e 0b 08 00000001 00000001 61 00000005 00", "0c 000b 08 0001 00000001 00 0c 000b 00 00",
		"0f 0010 0c 00000003 00 08 0001 00000001 00 00 00", "0e 000d 08 00000002 00000001 00000001 00",
	} {
		f.Add(unhex(f, hex), false)
	}
	for _, hex := range []string{"00", "11 12 23 fe ff 03 00", "c9 ff ff ff ff 07", "1b 01 58 00 61", "ec 00 0c 16 00", "bc 18 02 00 00"} {
		f.Add(unhex(f, hex), true)
	}
}

// loopOf is the protocol that a seed says.
func loopOf(isCompact bool) wire.Protocol {
	if isCompact {
		return wire.Compact
	}
	return wire.Binary
}

// Whatever the bytes: no panic; what decodes is encoded again to bytes that decode to the same.
func FuzzDecodeValue(f *testing.F) {
	seed(f)
	typ := structType("Everything")
	f.Fuzz(func(t *testing.T, body []byte, isCompact bool) {
		p := loopOf(isCompact)
		v, used, err := DecodeStruct(p, typ, body, wire.Limits{})
		if err != nil {
			if e := (*wire.Error)(nil); !errors.As(err, &e) || e.Offset > len(body) {
				t.Fatalf("%v is no error of place", err)
			}
			return
		}
		if used < 1 || used > len(body) {
			t.Fatalf("used %d of %d bytes", used, len(body))
		}
		once, err := AppendStruct(nil, p, v)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := DecodeStruct(p, typ, once, wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if twice, _ := AppendStruct(nil, p, again); !bytes.Equal(once, twice) {
			t.Fatalf("%x\n%x", once, twice)
		}
		text, err := AppendJSON(nil, TypeOf(typ), v)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = ParseJSON(TypeOf(typ), text)
	})
}

// Whatever the bytes: a plan accepts what the plain path accepts, and reads it as it does.
func FuzzDecodeTyped(f *testing.F) {
	seed(f)
	typ := typeOf("Everything")
	plan := mustCompile(f, "Everything", Everything{})
	f.Fuzz(func(t *testing.T, body []byte, isCompact bool) {
		p := loopOf(isCompact)
		var got, want Everything
		used, err := plan.Decode(p, body, &got, wire.Limits{})
		v, plainUsed, plainErr := DecodeStruct(p, typ.Struct, body, wire.Limits{})
		if (err == nil) != (plainErr == nil) || used != plainUsed {
			t.Fatalf("typed used %d, %v; plain used %d, %v", used, err, plainUsed, plainErr)
		}
		if err != nil {
			return
		}
		plainSet(typ, v, reflect.ValueOf(&want).Elem(), true)
		if a, b := bytesOf(t, &got), bytesOf(t, &want); !bytes.Equal(a, b) { // bytes: NaN is not equal to itself
			t.Fatalf("typed %+v\nplain %+v", got, want)
		}
	})
}

func bytesOf(t *testing.T, v *Everything) []byte {
	typ := typeOf("Everything")
	b, err := AppendValue(nil, wire.Binary, typ, sorted(typ, plainValue(typ, reflect.ValueOf(v))))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever the text: no panic, and a value that is accepted can be written and read again.
func FuzzParseJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"flag":true,"status":"RETIRED","places":[[{"x":1},"p"]],"series":{"ACTIVE":[1,"NaN"]}}`, `{"shape":{"circle":1e3}}`,
		`{"key":"ab000000-0000-0000-0000-000000000001","raw":"/wA="}`, `[1,{"a":`, `{"text":"\ud800"}`, `{"levels":{"-0":1,"0":2}}`,
	} {
		f.Add([]byte(text))
	}
	typ := typeOf("Everything")
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := ParseJSON(typ, text)
		if err != nil {
			return
		}
		once, err := AppendJSON(nil, typ, v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseJSON(typ, once)
		if err != nil {
			t.Fatalf("%s\n%v", once, err)
		}
		if twice, _ := AppendJSON(nil, typ, again); !bytes.Equal(once, twice) {
			t.Fatalf("%s\n%s", once, twice)
		}
	})
}

func skipWhole(p wire.Protocol, body []byte) (int, error) {
	if p == wire.Compact {
		return compact.Skip(body, wire.Struct, wire.Limits{})
	}
	return binary.Skip(body, wire.Struct, wire.Limits{})
}

// Whatever the bytes: decoding and skipping agree on where a struct ends, and what skipping refuses is never decoded. What is made of the
// bytes is bounded by them: typed values take four times as much at most where they have a fixed size.
func FuzzSkipAgreesWithDecode(f *testing.F) {
	seed(f)
	typ := structType("Everything")
	plan := mustCompile(f, "Everything", Everything{})
	f.Fuzz(func(t *testing.T, body []byte, isCompact bool) {
		p := loopOf(isCompact)
		skipped, skipErr := skipWhole(p, body)
		_, decoded, err := DecodeStruct(p, typ, body, wire.Limits{})
		if err == nil && (skipErr != nil || skipped != decoded) {
			t.Fatalf("decoded %d bytes; skipped %d, %v", decoded, skipped, skipErr)
		}
		if skipErr == nil && err != nil {
			e, ok := errors.AsType[*wire.Error](err)
			if !ok || e.Reason == wire.Truncated || e.Reason == wire.NegativeSize || e.Reason == wire.BadType {
				t.Fatalf("skipped %d bytes, and decoding says %v", skipped, err)
			}
		}
		// A value is an interface of 16 bytes and what it points to, where the wire has a single byte for a bool.
		allocs.Bound(t, 64, len(body), func() { _, _, _ = DecodeStruct(p, typ, body, wire.Limits{}) })
		allocs.Bound(t, 64, len(body), func() {
			var v Everything
			_, _ = plan.Decode(p, body, &v, wire.Limits{})
		})
	})
}
