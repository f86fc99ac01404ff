package codec

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// The form of every type in JSON, which ParseJSON reads back to the same value.
func TestJSON(t *testing.T) {
	tests := []struct {
		name string
		in   *schema.StructValue
		want string
	}{
		{"unset fields are left out", sv("Everything"), `{}`},
		{"numbers", sv("Everything", "flag", false, "tiny", int64(-128), "large", int64(math.MinInt64), "real", 0.1),
			`{"flag":false,"tiny":-128,"large":-9223372036854775808,"real":0.1}`},
		{"large and small doubles", sv("Shape", "circle", 1e300), `{"circle":1e+300}`},
		{"infinity", sv("Shape", "circle", math.Inf(1)), `{"circle":"Infinity"}`},
		{"minus infinity", sv("Shape", "circle", math.Inf(-1)), `{"circle":"-Infinity"}`},
		{"text", sv("Everything", "text", "a\"\\\n\x01é<\u2028"), `{"text":"a\"\\\n\u0001é<` + "\u2028" + `"}`},
		{"binary", sv("Everything", "raw", []byte{0xff, 0}), `{"raw":"/wA="}`},
		{"uuid", sv("Everything", "key", [16]byte{0: 0xab, 15: 1}), `{"key":"ab000000-0000-0000-0000-000000000001"}`},
		{"enum", sv("Everything", "status", int32(9)), `{"status":"RETIRED"}`},
		{"enum without a name", sv("Everything", "status", int32(77)), `{"status":77}`},
		{"containers", sv("Everything", "names", []schema.Value{"a"}, "numbers", []schema.Value{int64(2), int64(1)}),
			`{"names":["a"],"numbers":[2,1]}`},
		{"map by string", sv("Everything", "counts", schema.MapValue{{Key: "b", Value: int64(1)}, {Key: "a", Value: int64(2)}}),
			`{"counts":{"b":1,"a":2}}`},
		{"map by enum", sv("Everything", "series", schema.MapValue{
			{Key: int32(1), Value: []schema.Value{1.0}}, {Key: int32(5), Value: []schema.Value{}}}),
			`{"series":{"ACTIVE":[1],"5":[]}}`},
		{"map by bool", sv("Everything", "sides", schema.MapValue{{Key: true, Value: [16]byte{}}}),
			`{"sides":{"true":"00000000-0000-0000-0000-000000000000"}}`},
		{"map by double", sv("Everything", "levels", schema.MapValue{{Key: 1.5, Value: int64(1)}, {Key: math.Inf(1), Value: int64(2)}}),
			`{"levels":{"1.5":1,"Infinity":2}}`},
		{"map by struct", sv("Everything", "places", schema.MapValue{{Key: sv("Point", "x", int64(1)), Value: "p"}}),
			`{"places":[[{"x":1},"p"]]}`},
		{"map by binary", sv("Everything", "blobs", schema.MapValue{{Key: []byte{1}, Value: true}}), `{"blobs":[["AQ==",true]]}`},
		{"structs", sv("Everything", "point", sv("Point", "x", int64(1)), "path", []schema.Value{sv("Point")}),
			`{"point":{"x":1},"path":[{}]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := AppendJSON(nil, TypeOf(test.in.Type), test.in)
			if err != nil || string(got) != test.want {
				t.Fatalf("got  %s, %v\nwant %s", got, err, test.want)
			}
			if !json.Valid(got) {
				t.Error("not JSON")
			}
			back, err := ParseJSON(TypeOf(test.in.Type), got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(schema.Value(test.in), back, byType); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// JSON is valid whatever the value holds.
func TestJSONOfWhatJSONCannotSay(t *testing.T) {
	got, err := AppendJSON(nil, typeOf("Everything"), sv("Everything", "text", "a\xffb\xc3", "real", math.NaN()))
	if want := "{\"real\":\"NaN\",\"text\":\"a\ufffdb\ufffd\"}"; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, err := AppendJSON(nil, &schema.Type{Kind: schema.Void}, nil); err != nil || string(got) != "null" {
		t.Errorf("void is %s, %v", got, err)
	}
	if _, err := AppendJSON(nil, typeOf("Point"), sv("Point", "x", "1")); err == nil || err.Error() != "Point.x: expected i32, found string" {
		t.Errorf("got %v", err)
	}
}

// What people may write besides what AppendJSON writes.
func TestParseJSONAccepts(t *testing.T) {
	tests := []struct {
		name, typ, in string
		want          *schema.StructValue
	}{
		{"null is unset", "Point", `{"x": null, "y": 1}`, sv("Point", "y", int64(1))},
		{"enum by number", "Everything", `{"status": 2}`, sv("Everything", "status", int32(2))},
		{"uuid in capitals", "Everything", `{"key": "AB000000-0000-0000-0000-000000000000"}`, sv("Everything", "key", [16]byte{0xab})},
		{"doubles", "Shape", ` {"circle": -1E3} `, sv("Shape", "circle", -1000.0)},
		{"an integer as a double", "Shape", `{"circle": 7}`, sv("Shape", "circle", 7.0)},
		{"the largest i64", "Everything", `{"large": 9223372036854775807}`, sv("Everything", "large", int64(math.MaxInt64))},
		{"a required field with a default", "Opts", `{}`, nil},
	}
	doc := schema.MustParse(`struct Opts { 1: required i32 n = 3 }`)
	opts := doc.Lookup("Opts").(*schema.StructType)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			st, want := opts, &schema.StructValue{Type: opts, Fields: []schema.Value{int64(3)}}
			if test.want != nil {
				st, want = test.want.Type, test.want
			}
			got, err := ParseJSON(TypeOf(st), []byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(schema.Value(want), got, byType); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every mistake has its path, what was expected and what was found; and they come all at once.
func TestParseJSONMistakes(t *testing.T) {
	tests := []struct{ name, typ, in, want string }{
		{"unknown field", "Address",
			`{"street": "s", "zipp": {"a": [1]}, "city": "c"}`, `$.zipp: no field "zipp" in Address; did you mean "zip"?`},
		{"unknown field of a strange name", "Point", `{"a b": 1}`, `$["a b"]: no field "a b" in Point`},
		{"repeated key", "Point", `{"x": 1, "y": 2, "x": 3}`, `$.x: repeated key`},
		{"wrong type", "Everything", `{"text": {"a": 1}, "flag": "yes"}`,
			"$.text: expected string, found an object\n$.flag: expected bool, found string \"yes\""},
		{"range", "Everything", `{"tiny": 128, "medium": 2147483648, "large": 9223372036854775808, "status": 3000000000}`,
			`$.tiny: 128 is out of range for i8 (-128 to 127)
$.medium: 2147483648 is out of range for i32 (-2147483648 to 2147483647)
$.large: 9223372036854775808 is out of range for i64 (-9223372036854775808 to 9223372036854775807)
$.status: 3000000000 is out of range for Status (-2147483648 to 2147483647)`},
		{"no rounding", "Point", `{"x": 1.0, "y": 1e2}`, "$.x: expected i32, found number 1.0\n$.y: expected i32, found number 1e2"},
		{"double beyond all bounds", "Shape", `{"circle": 1e999}`, `$.circle: expected double, found number 1e999`},
		{"enum", "Everything", `{"status": "ACTIV"}`, `$.status: no value "ACTIV" in enum Status; did you mean "ACTIVE"?`},
		{"base64", "Everything", `{"raw": "?"}`, `$.raw: expected binary (base64), found string "?"`},
		{"uuid", "Everything", `{"key": "1"}`, `$.key: expected uuid (8-4-4-4-12 hex digits), found string "1"`},
		{"null in a list", "Everything", `{"names": ["a", null]}`, `$.names[1]: expected string, found null`},
		{"null for all", "Point", `null`, `$: expected an object (Point), found null`},
		{"missing", "Address", `{"zip": 1}`, `$: required field "street" of Address is missing`},
		{"missing inside", "Users.search", `{"at": {}}`, `$.at: required field "street" of Address is missing`},
		{"null for a required field", "Address", `{"street": null}`, `$: required field "street" of Address is missing`},
		{"argument", "Users.search", `{"at": {"street": ""}, "tex": "a"}`, `$.tex: no argument "tex" in search; did you mean "text"?`},
		{"union of two", "Everything", `{"shape": {"circle": 1, "sides": []}}`,
			`$.shape: union Shape takes exactly one field, found 2 (circle, sides)`},
		{"union of none", "Shape", `{"circle": null}`, `$: union Shape takes exactly one field, found none`},
		{"map key", "Everything", `{"series": {"ACTIV": [], "1.5": []}, "levels": {"x": 1, " 1": 2}}`,
			`$.series["ACTIV"]: expected a key of type Status, found "ACTIV"
$.series["1.5"]: expected a key of type Status, found "1.5"
$.levels["x"]: expected a key of type double, found "x"
$.levels[" 1"]: expected a key of type double, found " 1"`},
		{"equal map keys", "Everything", `{"series": {"ACTIVE": [], "1": []}, "places": [[{"x": 1}, "a"], [{"x": 1, "y": null}, "b"]]}`,
			"$.series[\"1\"]: repeated key\n$.places[1]: repeated key"},
		{"pairs", "Everything", `{"places": [[{}], {}, [{}, "a", 3]]}`,
			`$.places[0]: expected an array of key and value, found 1 values
$.places[1]: expected an array of key and value, found an object
$.places[2]: expected an array of key and value, found 3 values`},
		{"map as object", "Everything", `{"places": {}}`, `$.places: expected an array of [key, value] (map<Point, string>), found an object`},
		{"trailing", "Point", `{} {}`, `$: more data behind the value (byte 4)`},
		{"syntax", "Point", `{"x": 1,}`, `$: not JSON: invalid character '}' looking for beginning of object key string (byte 8)`},
		{"cut", "Point", `{"x": {"y"`, "$.x: expected i32, found an object\n$.x: the JSON ends too early"},
		{"empty", "Point", ``, `$: the JSON ends too early`},
		{"not UTF-8", "Point", "{\"x\": \"\xff\"}", `$: the input is not UTF-8`},
		{"deep", "Tree", strings.Repeat(`{"next":`, 100) + `{}` + strings.Repeat("}", 100), "$" + strings.Repeat(".next", 64) + ": nested too deep"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			typ := TypeOf(kit.Service("Users").Method("search").Args)
			if test.typ != "Users.search" {
				typ = typeOf(test.typ)
			}
			v, err := ParseJSON(typ, []byte(test.in))
			if err == nil || v != nil {
				t.Fatalf("accepted as %v", v)
			}
			if got := err.Error(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// Arguments that are left out get their defaults, and so do the structs in them.
func TestParseJSONOfArguments(t *testing.T) {
	search := kit.Service("Users").Method("search")
	v, err := ParseJSON(TypeOf(search.Args), []byte(`{"at": {"street": "s"}}`))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := AppendJSON(nil, TypeOf(search.Args), v)
	if want := `{"limit":10,"at":{"street":"s","city":"Bonn"}}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An example shows every field, ends in recursive types, and can be sent as it is.
func TestExample(t *testing.T) {
	tests := []struct{ name, typ, want string }{
		{"defaults", "Presence", `{"plain":0,"must":0,"maybe":0,"limit":10,"size":20,"items":[0],"needed":[0],"attrs":{"":0},` +
			`"tags":["a","b"],"at":{"x":0,"y":0},"home":{"x":1,"y":2},"note":""}`},
		{"recursion", "Tree", `{"value":0,"kids":[]}`},
		{"union", "Shape", `{"circle":0}`},
		{"everything", "Everything", `{"flag":false,"tiny":0,"small":0,"medium":0,"large":0,"real":0,"text":"","raw":"",` +
			`"key":"00000000-0000-0000-0000-000000000000","status":"ACTIVE","point":{"x":0,"y":0},"names":[""],"numbers":[0],"counts":{"":0},` +
			`"places":[[{"x":0,"y":0},""]],"path":[{"x":0,"y":0}],"shape":{"circle":0},"series":{"ACTIVE":[0]},"blobs":[["",false]],` +
			`"sides":{"false":"00000000-0000-0000-0000-000000000000"},"levels":{"0":0},"labels":{"":""}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := ParseJSON(typeOf(test.typ), Example(typeOf(test.typ)))
			if err != nil {
				t.Fatal(err)
			}
			got, _ := AppendJSON(nil, typeOf(test.typ), v)
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := string(Example(TypeOf(kit.Service("Users").Method("ping").Args))); got != "{}" {
		t.Errorf("a method without arguments: %s", got)
	}
}

// A struct of structs of structs … does not make an example without end.
func TestExampleIsBounded(t *testing.T) {
	idl := "struct A0 { 1: i32 x }\n"
	for i := range 40 {
		idl += fmt.Sprintf("struct A%d { 1: A%d a, 2: A%d b }\n", i+1, i, i)
	}
	st := schema.MustParse(idl).Lookup("A40").(*schema.StructType)
	got := Example(TypeOf(st))
	if len(got) > 4<<20 {
		t.Errorf("%d bytes", len(got))
	}
	v, err := ParseJSON(TypeOf(st), got)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := AppendValue(nil, wire.Binary, TypeOf(st), v); err != nil {
		t.Error(err)
	}
}
