package codec

import (
	"bytes"
	"errors"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// Every shape of struct comes out as the other protocol writes it, and back as it was, without a schema; but for the types of an empty map,
// which compact does not write: there the schema helps.
func TestTranslateShapes(t *testing.T) {
	for _, c := range wiretest.Structs() {
		inBinary, inCompact := wiretest.AppendBinary(nil, c.Body), wiretest.AppendCompact(nil, c.Body)
		got, err := Translate(nil, wire.Binary, wire.Compact, nil, inBinary, wire.Limits{})
		if err != nil || !bytes.Equal(got, inCompact) {
			t.Errorf("%s: to compact %x, %v, want %x", c.Name, got, err, inCompact)
		}
		got, err = Translate([]byte("before"), wire.Compact, wire.Binary, nil, inCompact, wire.Limits{})
		if c.Name == "empty containers" {
			continue
		}
		if err != nil || !bytes.Equal(got, append([]byte("before"), inBinary...)) {
			t.Errorf("%s: to binary %x, %v, want %x", c.Name, got, err, inBinary)
		}
	}
}

func TestTranslateEmptyMap(t *testing.T) {
	st := structType("Everything")
	for _, c := range []struct {
		name string
		body wiretest.Value
	}{
		{"a field", wiretest.Struct(14, wiretest.Map(wire.String, wire.I64))},
		{"a map of others", wiretest.Struct(18, wiretest.Map(wire.I32, wire.List))},
	} {
		inBinary, inCompact := wiretest.AppendBinary(nil, c.body), wiretest.AppendCompact(nil, c.body)
		if got, err := Translate(nil, wire.Compact, wire.Binary, st, inCompact, wire.Limits{}); err != nil || !bytes.Equal(got, inBinary) {
			t.Errorf("%s: %x, %v, want %x", c.name, got, err, inBinary)
		}
	}
}

// A body that is cut off, has more behind it, is too deep or would become too long is a typed error.
func TestTranslateRefuses(t *testing.T) {
	deep := wiretest.AppendCompact(nil, wiretest.Nested(65))
	zeros := wiretest.AppendCompact(nil, wiretest.Struct(1, wiretest.List(wire.I64, wiretest.Repeat(1000, wiretest.I64(0))...)))
	for _, c := range []struct {
		name   string
		body   []byte
		limits wire.Limits
		want   wire.Reason
	}{
		{"cut off", zeros[:500], wire.Limits{}, wire.SizeLimit},
		{"no struct", nil, wire.Limits{}, wire.Truncated},
		{"more behind it", append(bytes.Clone(zeros), 0), wire.Limits{}, wire.Trailing},
		{"too deep", deep, wire.Limits{}, wire.DepthLimit},
		{"too long", zeros, wire.Limits{MessageBytes: 4000}, wire.SizeLimit},
	} {
		_, err := Translate(nil, wire.Compact, wire.Binary, nil, c.body, c.limits)
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Reason != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// Whatever the bytes: what can be translated comes back with the same meaning, and costs no more than a small multiple of its length.
func FuzzTranslate(f *testing.F) {
	for _, c := range wiretest.Structs() {
		f.Add(wiretest.AppendBinary(nil, c.Body), false)
		f.Add(wiretest.AppendCompact(nil, c.Body), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, isCompact bool) {
		from, to := loopOf(isCompact), loopOf(!isCompact)
		var there []byte
		var err error
		allocs.Bound(t, 64, len(body), func() { there, err = Translate(nil, from, to, nil, body, wire.Limits{}) })
		if err != nil {
			if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Fatalf("%v is no *wire.Error", err)
			}
			return
		}
		back, err := Translate(nil, to, from, nil, there, wire.Limits{})
		if err != nil {
			t.Fatalf("%x became %x, and that: %v", body, there, err)
		}
		again, err := Translate(nil, from, to, nil, back, wire.Limits{})
		if err != nil || !bytes.Equal(again, there) {
			t.Fatalf("%x\n%x\n%x\n%x, %v", body, there, back, again, err)
		}
	})
}

// Whatever the text: what can be translated comes to the same value by way of every other protocol, with the schema at hand.
func FuzzTranslateText(f *testing.F) {
	v := full()
	plan := mustCompile(f, "Everything", v)
	v.Places = nil // its keys are structs, which Apache's JSON cannot say
	for i, p := range protocols {
		body, err := plan.Append(nil, p, &v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, uint8(i))
	}
	for _, text := range []string{
		`{"flag": true, "medium": "7", "text": null, "counts": [{"value": 1, "key": "a"}], "unknown": [1, {"a": 2}]}`, `{"real": NaN, "raw": "/wA", "shape": {}}`,
	} {
		f.Add([]byte(text), uint8(2))
	}
	for _, text := range []string{
		`{"6":{"dbl":"NaN"},"8":{"str":"/wA"},"14":{"map":["str","i64",1,{"a":1}]},"99":{"rec":{"1":{"tf":1}}}}`, `{"12":{"lst":["str",0]},"21":{"map":["dbl","i8",1,{"1.5":2}]}}`,
	} {
		f.Add([]byte(text), uint8(3))
	}
	st := structType("Everything")
	f.Fuzz(func(t *testing.T, body []byte, which uint8) {
		from := protocols[int(which)%len(protocols)]
		var first []byte
		var err error
		allocs.Bound(t, 64, len(body), func() { first, err = Translate(nil, from, wire.Binary, st, body, wire.Limits{}) })
		if err != nil {
			if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Fatalf("%v is no *wire.Error", err)
			}
			return
		}
		want, _, err := DecodeStruct(wire.Binary, st, first, wire.Limits{})
		if err != nil {
			return // text that no value of the schema has: an unknown field that is nested too deep, or too much
		}
		first, err = AppendStruct(nil, wire.Binary, want)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range protocols {
			there, err := Translate(nil, wire.Binary, p, st, first, wire.Limits{})
			if e, ok := errors.AsType[*wire.Error](err); ok && e.Reason == wire.Unsupported {
				continue // a struct as a map's key in Apache's JSON
			}
			if err != nil {
				t.Fatal(err)
			}
			back, err := Translate(nil, p, wire.Binary, st, there, wire.Limits{})
			if err != nil {
				t.Fatalf("%s %q: %v", p, there, err)
			}
			if p == wire.Compact && !bytes.Equal(back, first) || normal(t, st, back) != normal(t, st, first) {
				t.Fatalf("%s %q: %x, want %x", p, there, back, first)
			}
		}
	})
}

// normal is a struct in binary as JSON of ours, in which a NaN is like another, and what is no UTF-8 like what else is none.
func normal(t *testing.T, st *schema.StructType, body []byte) string {
	v, _, err := DecodeStruct(wire.Binary, st, body, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := AppendJSON(nil, TypeOf(st), v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
