package codec

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// everyPresence is Presence in Go, with each field able to be unset.
type everyPresence struct {
	Plain  *int32
	Must   *int32
	Maybe  *int32
	Limit  *int32
	Size   *int32
	Items  []int32
	Needed []int32
	Attrs  map[string]int32
	Tags   []string
	At     *Point
	Home   *Point
	Note   *string
}

// fieldState is one field in one state, in the three modes.
type fieldState struct {
	name  string
	set   func(*everyPresence)
	value schema.Value // nil: unset
	json  string       // "": left out
}

// states are what each field may be: unset, zero or empty, another value; and its default, where it has one, as a value like another.
var states = map[string][]fieldState{
	"plain":  {{"unset", func(*everyPresence) {}, nil, ""}, {"zero", func(p *everyPresence) { p.Plain = ptr(int32(0)) }, int64(0), "0"}, {"set", func(p *everyPresence) { p.Plain = ptr(int32(7)) }, int64(7), "7"}},
	"maybe":  {{"unset", func(*everyPresence) {}, nil, ""}, {"zero", func(p *everyPresence) { p.Maybe = ptr(int32(0)) }, int64(0), "0"}, {"set", func(p *everyPresence) { p.Maybe = ptr(int32(7)) }, int64(7), "7"}},
	"limit":  {{"unset", func(*everyPresence) {}, nil, ""}, {"default", func(p *everyPresence) { p.Limit = ptr(int32(10)) }, int64(10), "10"}, {"set", func(p *everyPresence) { p.Limit = ptr(int32(7)) }, int64(7), "7"}},
	"size":   {{"unset", func(*everyPresence) {}, nil, ""}, {"default", func(p *everyPresence) { p.Size = ptr(int32(20)) }, int64(20), "20"}, {"set", func(p *everyPresence) { p.Size = ptr(int32(0)) }, int64(0), "0"}},
	"items":  {{"unset", func(*everyPresence) {}, nil, ""}, {"empty", func(p *everyPresence) { p.Items = []int32{} }, []schema.Value{}, "[]"}, {"set", func(p *everyPresence) { p.Items = []int32{1} }, []schema.Value{int64(1)}, "[1]"}},
	"attrs":  {{"unset", func(*everyPresence) {}, nil, ""}, {"empty", func(p *everyPresence) { p.Attrs = map[string]int32{} }, schema.MapValue{}, "{}"}, {"set", func(p *everyPresence) { p.Attrs = map[string]int32{"a": 1} }, schema.MapValue{{Key: "a", Value: int64(1)}}, `{"a":1}`}},
	"tags":   {{"unset", func(*everyPresence) {}, nil, ""}, {"empty", func(p *everyPresence) { p.Tags = []string{} }, []schema.Value{}, "[]"}, {"default", func(p *everyPresence) { p.Tags = []string{"a", "b"} }, []schema.Value{"a", "b"}, `["a","b"]`}},
	"at":     {{"unset", func(*everyPresence) {}, nil, ""}, {"set", func(p *everyPresence) { p.At = &Point{1, 2} }, sv("Point", "x", int64(1), "y", int64(2)), `{"x":1,"y":2}`}},
	"home":   {{"unset", func(*everyPresence) {}, nil, ""}, {"default", func(p *everyPresence) { p.Home = &Point{1, 2} }, sv("Point", "x", int64(1), "y", int64(2)), `{"x":1,"y":2}`}},
	"note":   {{"unset", func(*everyPresence) {}, nil, ""}, {"empty", func(p *everyPresence) { p.Note = ptr("") }, "", `""`}, {"set", func(p *everyPresence) { p.Note = ptr("x") }, "x", `"x"`}},
	"must":   {{"zero", func(p *everyPresence) { p.Must = ptr(int32(0)) }, int64(0), "0"}, {"set", func(p *everyPresence) { p.Must = ptr(int32(7)) }, int64(7), "7"}},
	"needed": {{"empty", func(p *everyPresence) { p.Needed = []int32{} }, []schema.Value{}, "[]"}, {"set", func(p *everyPresence) { p.Needed = []int32{1} }, []schema.Value{int64(1)}, "[1]"}},
}

// What is set is written, a default like any other value, and what is unset is not, in every mode and protocol alike; and so it is read.
func TestPresenceInEveryMode(t *testing.T) {
	st := structType("Presence")
	plan := mustCompile(t, "Presence", everyPresence{})
	for field, all := range states {
		for _, state := range all {
			t.Run(field+"/"+state.name, func(t *testing.T) {
				typed, dynamic := everyPresence{Must: ptr(int32(1)), Needed: []int32{}}, sv("Presence", "must", int64(1), "needed", []schema.Value{})
				text := map[string]string{"must": "1", "needed": "[]"}
				state.set(&typed)
				dynamic.Fields[st.FieldByName(field).Index] = state.value
				text[field] = state.json
				parsed, err := ParseJSON(TypeOf(st), objectOf(text))
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range protocols {
					checkModes(t, p, plan, &typed, dynamic, parsed.(*schema.StructValue))
				}
			})
		}
	}
}

func objectOf(fields map[string]string) []byte {
	var all []string
	for name, value := range fields {
		if value != "" {
			all = append(all, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return []byte("{" + strings.Join(all, ",") + "}")
}

// checkModes writes the same value in three modes, and reads it in two.
func checkModes(t *testing.T, p wire.Protocol, plan *Plan, typed *everyPresence, dynamic, parsed *schema.StructValue) {
	t.Helper()
	want, err := AppendStruct(nil, p, dynamic)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := plan.Append(nil, p, typed); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: typed %q, %v, dynamic %q", p, got, err, want)
	}
	if got, err := AppendStruct(nil, p, parsed); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: from JSON %q, %v, dynamic %q", p, got, err, want)
	}
	var back everyPresence
	if _, err := plan.Decode(p, want, &back, wire.Limits{}); err != nil || !reflect.DeepEqual(&back, withDefaults(typed)) {
		t.Errorf("%s: read %+v, %v, want %+v", p, back, err, *typed)
	}
	v, _, err := DecodeStruct(p, dynamic.Type, want, wire.Limits{})
	if err != nil || !reflect.DeepEqual(v, dynamic) {
		t.Errorf("%s: read %v, %v, want %v", p, v, err, dynamic)
	}
}

// withDefaults is what a typed value is read as: a pointer that is unset stays so, and a slice or map has its default, as ThriftPy's have.
func withDefaults(v *everyPresence) *everyPresence {
	c := *v
	if c.Tags == nil {
		c.Tags = []string{"a", "b"}
	}
	return &c
}

// A required field that is unset is a mistake to who writes typed values or JSON; a dynamic value is written as it is, since it may be one
// that was read: ThriftPy's peers leave required fields out.
func TestRequiredInEveryMode(t *testing.T) {
	plan := mustCompile(t, "Presence", everyPresence{})
	if _, err := plan.Append(nil, wire.Binary, &everyPresence{Needed: []int32{}}); err == nil || !strings.Contains(err.Error(), "must") {
		t.Errorf("typed: %v", err)
	}
	if _, err := ParseJSON(typeOf("Presence"), []byte(`{"needed":[]}`)); err == nil || !strings.Contains(err.Error(), "must") {
		t.Errorf("JSON: %v", err)
	}
	if body, err := AppendStruct(nil, wire.Binary, sv("Presence")); err != nil || !bytes.Equal(body, []byte{0}) {
		t.Errorf("dynamic: %x, %v", body, err)
	}
	if v, _, err := DecodeStruct(wire.Binary, structType("Presence"), []byte{0}, wire.Limits{}); err != nil || v.Get("must") != nil {
		t.Errorf("read: %v, %v", v, err)
	}
}
