package jsontext_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/jsontext"
)

// good and bad are values, and what is none.
var (
	good = []string{
		`{}`, `[]`, `""`, `0`, `-0`, `12`, `-1.5e+30`, `1E5`, `true`, `false`, `null`, ` [ 1 , {"a" : [ ] } ] `, `"\u00e9\ud83d\ude00\n\/\\\""`,
		`{"a":1,"a":2}`, "\"L\u00f6we\"", `[[[[[[1]]]]]]`,
	}
	bad = []string{
		``, `{`, `[`, `"`, `"a`, `[1`, `[1,`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{'a':1}`, `01`, `1.`, `.5`, `+1`, `1e`, `-`, `--1`, `0x1`,
		`tru`, `truex`, `nul`, `"\x"`, `"\u12"`, `"\u+123"`, `"` + "\x01" + `"`, "\"\n\"", `[1 2]`, `{"a" 1}`, `]`, `}`, `"\`,
	}
)

// A value is accepted where encoding/json accepts it, and refused where it does not.
func TestSkip(t *testing.T) {
	for _, text := range append(good, bad...) {
		r := jsontext.Reader{Buf: []byte(text)}
		err := r.Skip(10)
		if err == nil {
			err = r.End()
		}
		if (err == nil) != json.Valid([]byte(text)) {
			t.Errorf("%q: %v", text, err)
		}
		if e, ok := errors.AsType[*wire.Error](err); err != nil && (!ok || e.Offset > len(text)) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"NaN", "Infinity", "-Infinity"} { // which Python writes
		r := jsontext.Reader{Buf: []byte(text)}
		if err := r.Skip(0); err != nil || r.Pos != len(text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"NaNs", "-Infinit", "Infinityx", "-NaN"} {
		if err := (&jsontext.Reader{Buf: []byte(text)}).Skip(0); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// Depth is bounded, and what lies above the bound is found however deep it goes.
func TestDepth(t *testing.T) {
	text := []byte(strings.Repeat("[", 10) + strings.Repeat("]", 10))
	if err := (&jsontext.Reader{Buf: text}).Skip(10); err != nil {
		t.Error(err)
	}
	err := (&jsontext.Reader{Buf: text}).Skip(9)
	if e, ok := errors.AsType[*wire.Error](err); !ok || e.Reason != wire.DepthLimit || e.Offset != 9 {
		t.Error(err)
	}
	var f jsontext.Finder
	f.Reset(1000, 9)
	_, err = f.Find(text)
	if e, ok := errors.AsType[*wire.Error](err); !ok || e.Reason != wire.DepthLimit || e.Offset != 9 {
		t.Error(err)
	}
}

// A string stands for what encoding/json reads in it; a surrogate without its half for U+FFFD.
func TestString(t *testing.T) {
	for _, text := range []string{`"plain"`, `"\"\\\/\b\f\n\r\t"`, `"\u00e9 \u20ac \ud83d\ude00"`, `"\ud800"`, `"\ud800\u0041"`, `"\udc00x"`, `"\ud800\ud83d\ude00"`, "\"L\u00f6we\""} {
		var want string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		r := jsontext.Reader{Buf: []byte(text)}
		if got, err := r.String(); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
		for _, ascii := range []bool{true, false} {
			r = jsontext.Reader{Buf: jsontext.AppendString(nil, []byte(want), ascii)}
			if got, err := r.String(); err != nil || string(got) != want {
				t.Errorf("%s, ascii %t: written %s, read %q, %v", text, ascii, r.Buf, got, err)
			}
		}
	}
	every := make([]byte, 128)
	for i := range every {
		every[i] = byte(i)
	}
	r := jsontext.Reader{Buf: jsontext.AppendString(nil, every, true)}
	if got, err := r.String(); err != nil || string(got) != string(every) {
		t.Errorf("%s: %v", r.Buf, err)
	}
	if got := jsontext.AppendString(nil, []byte("\xff"), false); string(got) != "\"\xff\"" {
		t.Errorf("%q", got)
	}
}

// Doubles are written as Python writes them.
func TestDouble(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1.5: "-1.5", 0.1: "0.1", 1e15: "1000000000000000.0", 1e16: "1e+16", 1.5e-5: "1.5e-05", 0.0001: "0.0001", 1e300: "1e+300",
		math.Inf(1): "Infinity", math.Inf(-1): "-Infinity", math.MaxFloat64: "1.7976931348623157e+308", 5e-324: "5e-324",
	} {
		if got := string(jsontext.AppendDouble(nil, v)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := string(jsontext.AppendDouble(nil, math.NaN())) + string(jsontext.AppendDouble(nil, math.Copysign(0, -1))); got != "NaN-0.0" {
		t.Error(got)
	}
}

// Whatever the bytes: what is accepted is JSON for encoding/json too, and its end is found piece by piece where a walk finds it.
func FuzzSkip(f *testing.F) {
	for _, text := range append(good, bad...) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		r := jsontext.Reader{Buf: buf}
		var err error
		allocs.Bound(t, 4, len(buf), func() { r.Pos = 0; err = r.Skip(64) })
		if err != nil {
			return
		}
		value := buf[:r.Pos]
		if !json.Valid(value) && !strings.Contains(string(value), "NaN") && !strings.Contains(string(value), "Infinity") {
			t.Fatalf("%q is no JSON", value)
		}
		if c := (&jsontext.Reader{Buf: value}).Next(); c != '[' && c != '{' || value[0] != c {
			return
		}
		var find jsontext.Finder
		find.Reset(len(buf), 64)
		for n := range len(buf) + 1 {
			end, err := find.Find(buf[:n])
			if err != nil {
				t.Fatal(err)
			}
			if end > 0 {
				if end != len(value) {
					t.Fatalf("%d, want %d", end, len(value))
				}
				return
			}
		}
		t.Fatal("no end is found")
	})
}
