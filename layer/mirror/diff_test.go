package mirror

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

const idl = `
enum Role { READER = 1, OWNER = 2 }
struct Address { 1: string street, 2: string city, 3: i64 updatedAt }
struct User {
    1: i64 id, 2: string name, 3: Role role, 4: Address home, 5: list<Address> others, 6: set<string> tags,
    7: map<string, Address> places, 8: double weight, 9: i64 updatedAt, 10: i32 level = 3, 11: set<Address> seen, 12: map<Address, i32> marks,
    13: User friend, 14: optional bool old, 15: list<double> scores,
}
exception NotFound { 1: i64 id, 2: string message }
service Users {
    User get(1: i64 id) throws (1: NotFound missing),
    i32 count(),
    void ping(),
    oneway void note(1: string text),
}`

var users = schema.MustParse(idl).Service("Users")

var protocols = []wire.Protocol{wire.Binary, wire.Compact, wire.ApacheJSON, wire.JSON}

// reply is the result of a method, given as JSON.
func reply(t testing.TB, m *schema.Method, p wire.Protocol, text string) *rpc.Reply {
	t.Helper()
	v, err := codec.ParseJSON(codec.TypeOf(m.Result), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := codec.AppendStruct(nil, wire.Binary, v.(*schema.StructValue))
	if err == nil {
		body, err = codec.Translate(nil, wire.Binary, p, m.Result, body, wire.Limits{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &rpc.Reply{Protocol: p, Body: body}
}

// Replies are compared as values, whatever their protocols, and the fields in which they differ are named; those that are to be ignored are
// not looked at.
func TestDiff(t *testing.T) {
	get := users.Method("get")
	user := func(text string) string { return `{"success": {` + text + `}}` }
	for _, tt := range []struct {
		name, a, b string
		ignore     []string
		want       string // paths
	}{
		{name: "equal", a: user(`"id": 1, "name": "Ada"`), b: user(`"id": 1, "name": "Ada"`)},
		{name: "a field", a: user(`"id": 1, "name": "Ada"`), b: user(`"id": 1, "name": "ada"`), want: "success.name"},
		{name: "two fields", a: user(`"id": 1, "name": "Ada"`), b: user(`"id": 2, "name": "ada"`), want: "success.id success.name"},
		{name: "left out", a: user(`"id": 1`), b: user(`"id": 1, "old": false`), want: "success.old"},
		{name: "left out, with a default", a: user(`"id": 1`), b: user(`"id": 1, "level": 3`)},
		{name: "left out, and not the default", a: user(`"id": 1`), b: user(`"id": 1, "level": 4`), want: "success.level"},
		{name: "enum", a: user(`"role": "READER"`), b: user(`"role": "OWNER"`), want: "success.role"},
		{name: "inside", a: user(`"home": {"city": "Bremen"}`), b: user(`"home": {"city": "Kiel"}`), want: "success.home.city"},
		{name: "in a list", a: user(`"others": [{"city": "a"}, {"city": "b"}]`), b: user(`"others": [{"city": "a"}, {"city": "c"}]`), want: "success.others.city"},
		{name: "a longer list", a: user(`"others": [{"city": "a"}]`), b: user(`"others": [{"city": "a"}, {"city": "c"}]`), want: "success.others"},
		{name: "order of a list", a: user(`"scores": [1, 2]`), b: user(`"scores": [2, 1]`), want: "success.scores"},
		{name: "order of a set", a: user(`"tags": ["a", "b"]`), b: user(`"tags": ["b", "a"]`)},
		{name: "another set", a: user(`"tags": ["a", "b"]`), b: user(`"tags": ["b", "c"]`), want: "success.tags"},
		{name: "order of a map", a: user(`"places": {"x": {"city": "a"}, "y": {"city": "b"}}`), b: user(`"places": {"y": {"city": "b"}, "x": {"city": "a"}}`)},
		{name: "in a map", a: user(`"places": {"x": {"city": "a"}, "y": {"city": "b"}}`), b: user(`"places": {"y": {"city": "c"}, "x": {"city": "a"}}`), want: "success.places.city"},
		{name: "another key", a: user(`"places": {"x": {"city": "a"}}`), b: user(`"places": {"z": {"city": "a"}}`), want: "success.places"},
		{name: "an empty map", a: user(`"places": {}`), b: user(`"places": {"z": {"city": "a"}}`), want: "success.places"},
		{name: "structs as keys", a: user(`"marks": [[{"city": "a", "street": "s"}, 1], [{"city": "b"}, 2]]`), b: user(`"marks": [[{"city": "b"}, 2], [{"city": "a", "street": "s"}, 1]]`)},
		{name: "a set of structs", a: user(`"seen": [{"city": "a"}, {"city": "b"}]`), b: user(`"seen": [{"city": "b"}, {"city": "a"}]`)},
		{name: "NaN", a: user(`"weight": "NaN", "scores": ["NaN"]`), b: user(`"weight": "NaN", "scores": ["NaN"]`)},
		{name: "zeros", a: user(`"weight": 0`), b: user(`"weight": -0.0`)},
		{name: "ignored", a: user(`"id": 1, "updatedAt": 5`), b: user(`"id": 1, "updatedAt": 6`), ignore: []string{"updatedAt"}},
		{name: "ignored at any depth", a: user(`"home": {"updatedAt": 5}`), b: user(`"home": {"updatedAt": 6}`), ignore: []string{"updatedAt"}},
		{name: "ignored by path", a: user(`"id": 1, "home": {"city": "a"}, "others": [{"city": "a"}]`), b: user(`"id": 1, "home": {"city": "b"}, "others": [{"city": "b"}]`),
			ignore: []string{"home.city"}, want: "success.others.city"},
		{name: "ignored from the root", a: user(`"friend": {"name": "a"}, "name": "x"`), b: user(`"friend": {"name": "b"}, "name": "y"`), ignore: []string{"success.name"}, want: "success.friend.name"},
		{name: "ignored in a set", a: user(`"seen": [{"city": "a", "updatedAt": 1}]`), b: user(`"seen": [{"city": "a", "updatedAt": 2}]`), ignore: []string{"seen.updatedAt"}},
		{name: "ignored in a key", a: user(`"marks": [[{"city": "a", "updatedAt": 1}, 7]]`), b: user(`"marks": [[{"city": "a", "updatedAt": 2}, 7]]`), ignore: []string{"updatedAt"}},
		{name: "ignored where one lacks it", a: user(`"id": 1`), b: user(`"id": 1, "home": {"city": "a"}`), ignore: []string{"home"}},
		{name: "exceptions", a: `{"missing": {"id": 1, "message": "a"}}`, b: `{"missing": {"id": 1, "message": "b"}}`, want: "missing.message"},
		{name: "equal exceptions", a: `{"missing": {"id": 1}}`, b: `{"missing": {"id": 1}}`},
		{name: "a result and an exception", a: user(`"id": 1`), b: `{"missing": {"id": 1}}`, want: "missing success"},
	} {
		d, all := NewDiff(get, tt.ignore), protocols
		if strings.Contains(tt.a, "marks") {
			all = all[:2] // structs are no keys in JSON
		}
		for i, p := range all {
			q := all[(i+1)%len(all)]
			for _, pair := range [][2]*rpc.Reply{
				{reply(t, get, p, tt.a), reply(t, get, p, tt.b)}, {reply(t, get, p, tt.b), reply(t, get, p, tt.a)}, {reply(t, get, p, tt.a), reply(t, get, q, tt.b)},
			} {
				got := d.Compare(wire.Binary, pair[0], pair[1])
				if strings.Join(got.Paths, " ") != tt.want || (got.Result == Same) != (tt.want == "") || got.More {
					t.Errorf("%s, in %s and %s: %+v, want %q", tt.name, pair[0].Protocol, pair[1].Protocol, got, tt.want)
				}
			}
		}
	}
}

// Fields that the IDL does not have are compared, and named by their ids; so is a field that came with another type.
func TestDiffOfUnknownFields(t *testing.T) {
	get := users.Method("get")
	body := func(inner ...byte) *rpc.Reply {
		b := binary.AppendField(nil, wire.Struct, 0)
		return &rpc.Reply{Body: append(append(b, inner...), 0, 0)}
	}
	number := func(id int16, n int64) []byte { return binary.AppendI64(binary.AppendField(nil, wire.I64, id), n) }
	words := func(id int16, list ...string) []byte {
		b := binary.AppendList(binary.AppendField(nil, wire.Set, id), wire.String, len(list))
		for _, w := range list {
			b = binary.AppendString(b, w)
		}
		return b
	}
	text := binary.AppendString(binary.AppendField(nil, wire.String, 1), "one")
	for _, tt := range []struct {
		name string
		a, b []byte
		want string
	}{
		{"one has it", number(1, 7), append(number(1, 7), number(99, 1)...), "success.#99"},
		{"both have it", append(number(1, 7), number(99, 1)...), append(number(99, 1), number(1, 7)...), ""},
		{"of other values", number(99, 1), number(99, 2), "success.#99"}, {"sets", words(99, "a", "b"), words(99, "b", "a"), ""},
		{"of another type", number(1, 7), text, "success.id"}, {"below zero", number(-4, 1), number(-4, 2), "success.#-4"},
		{"twice", append(number(1, 6), number(1, 7)...), number(1, 7), ""},
	} {
		if got := NewDiff(get, nil).Compare(wire.Binary, body(tt.a...), body(tt.b...)); strings.Join(got.Paths, " ") != tt.want {
			t.Errorf("%s: %+v, want %q", tt.name, got, tt.want)
		}
	}
}

// A reply that cannot be read is a failure of who sent it; one that is too long is not compared.
func TestDiffOfBadReplies(t *testing.T) {
	d, good := NewDiff(users.Method("get"), nil), reply(t, users.Method("get"), wire.Binary, `{"success": {"id": 1}}`)
	long := reply(t, users.Method("get"), wire.Binary, `{"success": {"name": "`+strings.Repeat("x", maxDiffBytes)+`"}}`)
	for name, tt := range map[string]struct {
		a, b *rpc.Reply
		want Result
	}{
		"the main one's": {&rpc.Reply{Protocol: wire.Compact, Body: []byte{0xff}}, good, MainFailed}, "cut": {good, &rpc.Reply{Body: good.Body[:5]}, MirrorFailed},
		"trailing": {good, &rpc.Reply{Body: append(slices.Clone(good.Body), 0)}, MirrorFailed}, "long": {good, long, Answered}, "equally long": {long, long, Same},
	} {
		if got := d.Compare(wire.Binary, tt.a, tt.b); got.Result != tt.want || got.Paths != nil {
			t.Errorf("%s: %+v, want %s", name, got, tt.want)
		}
	}
}

// A path that is to be ignored has to lead somewhere.
func TestNames(t *testing.T) {
	for path, want := range map[string]bool{
		"updatedAt": true, "home.city": true, "success.home.city": true, "friend.friend.home.updatedAt": true, "places.city": true, "marks.street": true,
		"missing.message": true, "success": true, "message": true, "updated_at": false, "home.name": false, "id.city": false, "": false,
	} {
		if got := Names(users.Method("get"), path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
	if Names(users.Method("ping"), "updatedAt") || Names(users.Method("note"), "updatedAt") {
		t.Error("a method without a result has fields in it")
	}
}

// The paths of one pair are bounded, and those of all pairs; pairs that differ beyond are counted.
func TestPathsAreBounded(t *testing.T) {
	var text strings.Builder
	for i := range 30 {
		fmt.Fprintf(&text, "%d: i32 f%d, ", i+1, i+1)
	}
	wide := schema.MustParse("struct Wide { " + text.String() + "} service S { Wide get() }").Service("S").Method("get")
	some := func(from, to int) *rpc.Reply {
		var b strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintf(&b, `%q: 1,`, fmt.Sprint("f", i))
		}
		return reply(t, wide, wire.Binary, `{"success": {`+strings.TrimSuffix(b.String(), ",")+`}}`)
	}
	d, none := NewDiff(wide, nil), some(1, 0)
	all := d.Compare(wire.Binary, none, some(1, 30))
	if len(all.Paths) != maxPaths || !all.More {
		t.Errorf("%d paths, more: %v", len(all.Paths), all.More)
	}
	var c Counts
	c.compared(d.Compare(wire.Binary, none, some(1, 15)))
	c.compared(d.Compare(wire.Binary, none, some(11, 30)))
	c.compared(d.Compare(wire.Binary, none, some(1, 1)))
	if r := c.Report(); len(r.Paths) != maxPaths || r.MorePaths != 1 || r.Paths["success.f1"] != 2 || r.Paths["success.f15"] != 2 || r.Results[Differ] != 3 {
		t.Errorf("%+v", r)
	}
}

// A reply with very many fields takes no more time than its length.
func TestDiffOfManyFields(t *testing.T) {
	var a, b []byte
	for i := range 1 << 17 {
		a = append(binary.AppendField(a, wire.Bool, int16(i)), 1)
		b = append(binary.AppendField(b, wire.Bool, int16(-i)), 1)
	}
	d := NewDiff(users.Method("ping"), nil)
	if got := d.Compare(wire.Binary, &rpc.Reply{Body: append(a, 0)}, &rpc.Reply{Body: append(b, 0)}); got.Result != Same {
		t.Errorf("all ids are there on both sides: %+v", got)
	}
}

// Any two bodies are compared without a panic, and every body equals itself.
func FuzzDiff(f *testing.F) {
	get := users.Method("get")
	for _, text := range []string{`{"success": {"tags": ["a"], "marks": [[{"city": "a"}, 1]]}}`, `{"missing": {"id": 1}}`} {
		f.Add(reply(f, get, wire.Binary, text).Body, reply(f, get, wire.Binary, `{"success": {"weight": "NaN"}}`).Body)
	}
	d := NewDiff(get, []string{"updatedAt"})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, y := &rpc.Reply{Body: a}, &rpc.Reply{Body: b}
		there, back := d.Compare(wire.Binary, x, y), d.Compare(wire.Binary, y, x)
		if readable := walkable(a) == nil && walkable(b) == nil; readable && (there.Result != back.Result || !slices.Equal(there.Paths, back.Paths)) && !there.More {
			t.Errorf("%+v there, %+v back", there, back)
		}
	})
}

// A value's canonical bytes are those of each equal value, and of no other: two random values compare as their canonical bytes do.
func TestCanonicalAgreesWithCompare(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	address := func() string {
		return fmt.Sprintf(`{"city": "%c", "updatedAt": %d}`, 'a'+rune(r.IntN(2)), r.IntN(2))
	}
	value := func() string {
		weight := []string{"0", "-0.0", "1"}[r.IntN(3)]
		return fmt.Sprintf(`{"success": {"home": %s, "seen": [%s, %s], "places": {"x": %s}, "weight": %s}}`, address(), address(), address(), address(), weight)
	}
	d, same := NewDiff(users.Method("get"), []string{"home.updatedAt", "seen.city"}), 0
	for range 500 {
		x, y := value(), value()
		a, b := reply(t, users.Method("get"), wire.Binary, x), reply(t, users.Method("get"), wire.Binary, y)
		c := comparison{Diff: d, found: map[string]bool{}}
		equal := string(c.canonical(nil, codec.TypeOf(d.result), wire.Struct, a.Body)) == string(c.canonical(nil, codec.TypeOf(d.result), wire.Struct, b.Body))
		if got := d.Compare(wire.Binary, a, b).Result == Same; got != equal {
			t.Fatalf("seed %d: compared %v, canonical %v\n%s\n%s", seed, got, equal, x, y)
		}
		if equal {
			same++
		}
	}
	if same == 0 || same == 500 {
		t.Errorf("seed %d: %d of 500 pairs are equal", seed, same)
	}
}
