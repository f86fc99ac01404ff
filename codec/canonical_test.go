package codec

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// people has a type or a presence for each rule of the canonical form.
var people = schema.MustParse(`
enum Color { RED = 1, BLUE = 2 }
typedef i64 UserID
typedef set<UserID> UserIDs

struct Point { 1: i32 x, 2: i32 y = 5 }
union Choice { 1: i32 number = 7, 2: string text }
struct Tree { 1: i32 value, 2: list<Tree> kids }
struct Endless { 1: Endless next = {} }
struct Ping { 1: Pong pong = {} }
struct Pong { 1: Ping ping = {} }
struct User { 1: string name, 7: UserID id, 9: optional Point home, 4: i32 level = 3 }
struct Holder { 1: User user = {"name": "nobody"}, 2: optional User other }

service People {
  void scalars(1: bool a, 2: i8 b, 3: i16 c, 4: i32 d, 5: i64 e, 6: double f, 7: string g, 8: binary h, 9: uuid i, 10: Color j),
  void number(1: double value),
  void point(-1: optional i32 before, 1: Point at),
  void list(1: list<i32> items),
  void set(1: set<i32> items),
  void sets(1: set<set<i32>> items),
  void points(1: set<Point> items),
  void map(1: map<string, i32> items),
  void keyed(1: map<Point, i32> items),
  void presence(1: i32 plain, 2: i32 with = 9, 3: optional i32 maybe, 4: optional i32 limit = 9, 5: required i32 must = 9, 6: Point at = {"x": 1}),
  void choice(1: Choice choice),
  void tree(1: Tree tree),
  void endless(1: Endless endless, 2: Pong pong),
  void ping(),
  User getUser(1: i64 id),
  void updateUser(1: string token, 2: User user, 3: list<User> others, 4: Holder holder)
}
`)

func peopleArgs(method string) *schema.StructType {
	return people.Service("People").Method(method).Args
}

func canonicalOf(t testing.TB, method string, paths ...string) *Canonical {
	t.Helper()
	c, err := NewCanonical(peopleArgs(method), paths...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wire values, short
var (
	i32 = wiretest.I32
	str = wiretest.String
	rec = wiretest.Struct
)

// Each rule, with its bytes: what is equal has these bytes in binary and in compact.
func TestCanonical(t *testing.T) {
	i32s := func(of ...int32) (items []wiretest.Value) {
		for _, v := range of {
			items = append(items, i32(v))
		}
		return items
	}
	for _, c := range []struct {
		name, method string
		want         string
		equal        []wiretest.Value
	}{
		{"no arguments", "ping", "", []wiretest.Value{rec()}},
		{"scalars by their declared width", "scalars", `
			01 01                // true
			01 fe                // i8 -2
			01 fffe              // i16
			01 fffffffe          // i32
			01 fffffffffffffffe  // i64
			01 3ff8000000000000  // 1.5
			01 00000002 c3a9     // string: length, bytes
			01 00000001 ff       // binary
			01 01000000000000000000000000000000 // uuid
			01 00000002          // enum`, []wiretest.Value{
			rec(1, wiretest.Bool(true), 2, wiretest.I8(-2), 3, wiretest.I16(-2), 4, i32(-2), 5, wiretest.I64(-2), 6, wiretest.Double(1.5),
				7, str("é"), 8, str("\xff"), 9, wiretest.UUID("\x01"+strings.Repeat("\x00", 15)), 10, i32(2)),
		}},
		{"unset arguments", "scalars", "00 00 00 00 00 00 00 00 00 00", []wiretest.Value{rec()}},
		{"zero", "number", "01 0000000000000000", []wiretest.Value{rec(1, wiretest.Double(0))}},
		{"negative zero is another number", "number", "01 8000000000000000", []wiretest.Value{rec(1, wiretest.Double(math.Copysign(0, -1)))}},
		{"infinity", "number", "01 7ff0000000000000", []wiretest.Value{rec(1, wiretest.Double(math.Inf(1)))}},
		{"struct fields by ascending id, in any order, the last of each", "point", `
			00                   // -1: unset
			01                   // 1: there
			08 0001 00000003     // i32 1
			08 0002 00000004     // i32 2
			00                   // end`, []wiretest.Value{
			rec(1, rec(1, i32(3), 2, i32(4))),
			rec(1, rec(2, i32(4), 1, i32(3))),
			rec(1, rec(2, i32(9), 1, i32(3), 2, i32(4))),
			rec(1, rec(1, i32(8), 1, i32(9), 2, i32(4), 1, i32(3))),
			rec(1, rec(1, i32(9)), 1, rec(2, i32(4), 1, i32(3))),
		}},
		{"arguments by ascending id", "point", "01 00000001  01 08 0002 00000005 00", []wiretest.Value{
			rec(-1, i32(1), 1, rec()),
			rec(1, rec(), -1, i32(1)),
		}},
		{"a default is there without being sent", "point", "00  01 08 0001 00000003 08 0002 00000005 00", []wiretest.Value{
			rec(1, rec(1, i32(3))),
			rec(1, rec(1, i32(3), 2, i32(5))),
			rec(1, rec(2, i32(5), 1, i32(3))),
		}},
		{"unset is a default's value only for default requiredness", "presence", `
			00                   // plain: it has none
			01 00000009          // with: default requiredness
			00                   // maybe
			00                   // limit: optional
			00                   // must: required
			01 08 0001 00000001 08 0002 00000005 00 // at, and y's default in it`, []wiretest.Value{
			rec(),
			rec(2, i32(9)),
			rec(6, rec(1, i32(1))),
			rec(6, rec(2, i32(5), 1, i32(1)), 2, i32(9)),
		}},
		{"optional and required ones that are sent", "presence", "00  01 00000009  00  01 00000009  01 00000009  01 08 0001 00000001 08 0002 00000005 00",
			[]wiretest.Value{rec(4, i32(9), 5, i32(9))}},
		{"a union has no defaults", "choice", "01 00", []wiretest.Value{rec(1, rec())}},
		{"a union's field", "choice", "01 08 0001 00000007 00", []wiretest.Value{rec(1, rec(1, i32(7)))}},
		{"defaults that would never end", "endless", `
			01 0c 0001 00 00                   // endless: next is {} without its own next
			01 0c 0001 0c 0001 00 00 00        // pong: ping is {} with its pong, {} without its own ping`, []wiretest.Value{rec(1, rec(), 2, rec())}},
		{"lists are kept", "list", "01 00000003 00000002 00000001 00000002", []wiretest.Value{rec(1, wiretest.List(wire.I32, i32s(2, 1, 2)...))}},
		{"sets are sorted, without duplicates", "set", "01 00000002 00000001 00000002", []wiretest.Value{
			rec(1, wiretest.Set(wire.I32, i32s(1, 2)...)),
			rec(1, wiretest.Set(wire.I32, i32s(2, 1)...)),
			rec(1, wiretest.Set(wire.I32, i32s(2, 1, 2, 2, 1)...)),
		}},
		{"sets of sets", "sets", "01 00000002 00000001 00000007 00000002 00000001 00000002", []wiretest.Value{
			rec(1, wiretest.Set(wire.Set, wiretest.Set(wire.I32, i32s(2, 1)...), wiretest.Set(wire.I32, i32s(7, 7)...),
				wiretest.Set(wire.I32, i32s(1, 2)...))),
		}},
		{"elements that are equal by a default", "points", "01 00000001 08 0002 00000005 00", []wiretest.Value{
			rec(1, wiretest.Set(wire.Struct, rec(), rec(2, i32(5)))),
		}},
		{"maps by the bytes of their keys", "map", `
			01 00000003          // there, three entries
			00000001 62 00000001 // "b"; by the length first, which is part of the bytes
			00000001 63 00000003 // "c"
			00000002 6161 00000002 // "aa"`, []wiretest.Value{
			rec(1, wiretest.Map(wire.String, wire.I32, str("aa"), i32(2), str("b"), i32(1), str("c"), i32(3))),
			rec(1, wiretest.Map(wire.String, wire.I32, str("c"), i32(3), str("b"), i32(1), str("aa"), i32(2))),
		}},
		{"empty list, whatever its elements", "list", "01 00000000", []wiretest.Value{
			rec(1, wiretest.List(wire.I32)), rec(1, wiretest.List(wire.String)), rec(1, wiretest.List(wire.Struct)),
		}},
		{"empty set, whatever its elements", "set", "01 00000000", []wiretest.Value{rec(1, wiretest.Set(wire.I32)), rec(1, wiretest.Set(wire.String))}},
		{"empty map, whatever its entries", "map", "01 00000000", []wiretest.Value{
			rec(1, wiretest.Map(wire.String, wire.I32)), rec(1, wiretest.Map(wire.I64, wire.Bool)),
		}},
		{"recursive structs", "tree", `
			01 08 0001 00000001 0f 0002 00000002 // value 1, two kids
			08 0001 00000002 00
			0f 0002 00000000 00
			00`, []wiretest.Value{
			rec(1, rec(1, i32(1), 2, wiretest.List(wire.Struct, rec(1, i32(2)), rec(2, wiretest.List(wire.Struct))))),
			rec(1, rec(2, wiretest.List(wire.Struct, rec(1, i32(2)), rec(2, wiretest.List(wire.Struct))), 1, i32(1))),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			form := canonicalOf(t, c.method)
			want := append([]byte("before"), unhex(t, c.want)...)
			for i, v := range c.equal {
				for _, p := range loops {
					got, err := form.Append([]byte("before"), p, encode(t, p, peopleArgs(c.method), v), wire.Limits{})
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d in %s: %x, %v\nwant %x", i, p, got[len("before"):], err, want[len("before"):])
					}
				}
			}
		})
	}
}

// What is not in the IDL, what a map has twice and what is equal to nothing has no form, and the error says where it stands; bodies that are
// beyond the limits, or no bodies, are told apart by their reason. Nothing is appended.
func TestCanonicalRefuses(t *testing.T) {
	user := func(v wiretest.Value) wiretest.Value { return rec(2, v) }
	deep := rec()
	for range 40 {
		deep = rec(2, wiretest.List(wire.Struct, deep))
	}
	for _, c := range []struct {
		name, method string
		paths        []string
		in           wiretest.Value
		limits       wire.Limits
		path         string      // of an *Error
		reason       wire.Reason // of a *wire.Error
	}{
		{"an unknown argument", "getUser", nil, rec(1, wiretest.I64(1), 2, i32(1)), wire.Limits{}, "getUser_args", ""},
		{"an argument of another type", "getUser", nil, rec(1, i32(1)), wire.Limits{}, "getUser_args.id", ""},
		{"an unknown field", "updateUser", nil, user(rec(5, i32(1))), wire.Limits{}, "updateUser_args.user", ""},
		{"a field of another type", "updateUser", nil, user(rec(9, rec(1, str("")))), wire.Limits{}, "updateUser_args.user.home.x", ""},
		{"an unknown field in what a path names", "updateUser", []string{"user.home"}, user(rec(9, rec(3, i32(1)))), wire.Limits{},
			"updateUser_args.user.home", ""},
		{"a path through another type", "updateUser", []string{"user.id"}, rec(2, str("")), wire.Limits{}, "updateUser_args.user", ""},
		{"elements of another type", "list", nil, rec(1, wiretest.List(wire.I64, wiretest.I64(1))), wire.Limits{}, "list_args.items[]", ""},
		{"a set for a list", "list", nil, rec(1, wiretest.Set(wire.I32)), wire.Limits{}, "list_args.items", ""},
		{"set elements of another type", "set", nil, rec(1, wiretest.Set(wire.I64, wiretest.I64(1))), wire.Limits{}, "set_args.items[]", ""},
		{"keys of another type", "map", nil, rec(1, wiretest.Map(wire.I32, wire.I32, i32(1), i32(1))), wire.Limits{}, "map_args.items{key}", ""},
		{"values of another type", "map", nil, rec(1, wiretest.Map(wire.String, wire.Bool, str(""), wiretest.Bool(true))),
			wire.Limits{}, "map_args.items{value}", ""},
		{"a key twice", "map", nil, rec(1, wiretest.Map(wire.String, wire.I32, str("b"), i32(1), str("a"), i32(1), str("b"), i32(1))), wire.Limits{},
			"map_args.items{key}", ""},
		{"keys that are equal by a default", "keyed", nil, rec(1, wiretest.Map(wire.Struct, wire.I32, rec(), i32(1), rec(2, i32(5)), i32(1))),
			wire.Limits{}, "keyed_args.items{key}", ""},
		{"a NaN", "number", nil, rec(1, wiretest.Double(math.NaN())), wire.Limits{}, "number_args.value", ""},
		{"a field in an element", "updateUser", nil, rec(3, wiretest.List(wire.Struct, rec(), rec(6, i32(1)))),
			wire.Limits{}, "updateUser_args.others[1]", ""},
		{"too deep", "tree", nil, rec(1, deep), wire.Limits{}, "", wire.DepthLimit},
		{"too deep for less", "updateUser", []string{"user.home.x"}, user(rec(9, rec())), wire.Limits{Depth: 2}, "", wire.DepthLimit},
		{"too large", "updateUser", nil, rec(1, str(strings.Repeat("a", 100))), wire.Limits{MessageBytes: 100}, "", wire.SizeLimit},
		{"too large by defaults", "points", nil, rec(1, wiretest.Set(wire.Struct, wiretest.Repeat(100, rec())...)),
			wire.Limits{MessageBytes: 500}, "", wire.SizeLimit},
	} {
		for _, p := range loops {
			b, err := canonicalOf(t, c.method, c.paths...).Append([]byte("before"), p, encode(t, p, peopleArgs(c.method), c.in), c.limits)
			unsound, refused := errors.AsType[*Error](err)
			broken, invalid := errors.AsType[*wire.Error](err)
			ok := refused == (c.path != "") && invalid == (c.reason != "")
			if !ok || refused && unsound.Path != c.path || invalid && broken.Reason != c.reason || string(b) != "before" {
				t.Errorf("%s in %s: appended %x, %v", c.name, p, b[len("before"):], err)
			}
		}
	}
}

// A body that is cut off, or longer than its struct, has no form; nor has one of a protocol that is none.
func TestCanonicalOfBrokenBodies(t *testing.T) {
	form := canonicalOf(t, "updateUser", "user.id", "others")
	v := rec(1, str("secret"), 2, rec(7, wiretest.I64(7), 9, rec(1, i32(1))), 3, wiretest.List(wire.Struct, rec(1, str("a"))))
	for _, p := range protocols {
		body := encode(t, p, peopleArgs("updateUser"), v)
		if _, err := form.Append(nil, p, body, wire.Limits{}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		for n := range body {
			if b, err := form.Append(nil, p, body[:n], wire.Limits{}); err == nil {
				t.Errorf("%s: %d of %d bytes have the form %x", p, n, len(body), b)
			}
		}
		_, err := form.Append(nil, p, append(body, "00"...), wire.Limits{})
		if e, ok := errors.AsType[*wire.Error](err); !ok || p != wire.JSON && p != wire.ApacheJSON && e.Reason != wire.Trailing {
			t.Errorf("%s: bytes behind the struct: %v", p, err)
		}
	}
	_, err := form.Append(nil, 99, nil, wire.Limits{})
	if e, ok := errors.AsType[*wire.Error](err); !ok || e.Reason != wire.Unsupported {
		t.Errorf("protocol 99: %v", err)
	}
}

// The id that a read takes and the id inside what a write takes have one form, whatever stands around it; so has what comes by default.
func TestCanonicalPaths(t *testing.T) {
	user := rec(1, str("Ada"), 7, wiretest.I64(7), 9, rec(1, i32(1)))
	nobody := rec()
	unknown := rec(7, wiretest.I64(7), 77, wiretest.List(wire.Struct, rec(1, i32(1))))
	for _, c := range []struct {
		name, method string
		paths        []string
		in           wiretest.Value
		want         string
	}{
		{"read", "getUser", nil, rec(1, wiretest.I64(7)), "01 0000000000000007"},
		{"read, by path", "getUser", []string{"id"}, rec(1, wiretest.I64(7)), "01 0000000000000007"},
		{"write", "updateUser", []string{"user.id"}, rec(1, str("token"), 2, user), "01 0000000000000007"},
		{"write, with what is not in the IDL around it", "updateUser", []string{"user.id"}, rec(2, unknown, 55, user, 3, i32(1)), "01 0000000000000007"},
		{"the last of two", "updateUser", []string{"user.id"}, rec(2, rec(7, wiretest.I64(1)), 2, rec(7, wiretest.I64(2), 7, wiretest.I64(7))),
			"01 0000000000000007"},
		{"the last of two has none", "updateUser", []string{"user.id"}, rec(2, user, 2, nobody), "00"},
		{"no id", "updateUser", []string{"user.id"}, rec(2, nobody), "00"},
		{"no user", "updateUser", []string{"user.id"}, rec(), "00"},
		{"in the order of the paths", "updateUser", []string{"user.name", "token", "user.id"}, rec(1, str("t"), 2, user), `
			01 00000003 416461   // user.name
			01 00000001 74       // token
			01 0000000000000007  // user.id`},
		{"a path in another", "updateUser", []string{"user.home.x", "user", "user.level"}, rec(2, user), `
			01 00000001          // user.home.x
			01 0b 0001 00000003 416461  08 0004 00000003  0a 0007 0000000000000007  0c 0009 08 0001 00000001 08 0002 00000005 00 00
			01 00000003          // user.level`},
		{"the default of a struct that is there", "updateUser", []string{"user.level", "user.home.y"}, rec(2, rec(9, rec())), "01 00000003  01 00000005"},
		{"of one that is not there nothing", "updateUser", []string{"user.level", "user.home.y"}, rec(), "00 00"},
		{"what a default has, and what it has by default", "updateUser",
			[]string{"holder.user.name", "holder.user.level", "holder.user.id", "holder.other.level"},
			rec(4, rec()), "01 00000006 6e6f626f6479  01 00000003  00  00"},
	} {
		for _, p := range loops {
			got, err := canonicalOf(t, c.method, c.paths...).Append(nil, p, encode(t, p, peopleArgs(c.method), c.in), wire.Limits{})
			if want := unhex(t, c.want); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s in %s: %x, %v\nwant %x", c.name, p, got, err, want)
			}
		}
	}
}

// Types are those of what is written, in that order: what is to have equal forms can be checked to be of equal types.
func TestCanonicalTypes(t *testing.T) {
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{nil, "string User list<User> Holder"},
		{[]string{"user.id", "token", "holder.user.home"}, "i64 string Point"},
	} {
		var got []string
		for _, typ := range canonicalOf(t, "updateUser", c.paths...).Types() {
			got = append(got, typ.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, want %q", c.paths, got, c.want)
		}
	}
}

// Every path that leads nowhere is named.
func TestNewCanonicalRefuses(t *testing.T) {
	c, err := NewCanonical(peopleArgs("updateUser"), "user.nam", "token", "", "user.", "others.name", "token.length", "nobody", "token")
	mistakes, ok := errors.AsType[Errors](err)
	if !ok || c != nil {
		t.Fatalf("%v, %v", c, err)
	}
	var got []string
	for _, m := range mistakes {
		got = append(got, strings.TrimPrefix(m.Path, "updateUser_args."))
	}
	if want := []string{"", "nobody", "others.name", "token", "token.length", "user.", "user.nam"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Defaults that stand in each other's structs and double at each step are a mistake, not a way to use up the memory.
func TestCanonicalOfDefaultsThatExplode(t *testing.T) {
	idl := "struct S0 { 1: i32 x = 1 }\n"
	for i := range 40 {
		idl += strings.NewReplacer("A", string(rune('0'+i/10))+string(rune('0'+i%10)), "B", string(rune('0'+(i+1)/10))+string(rune('0'+(i+1)%10))).
			Replace("struct TB { 1: TA a = {}, 2: TA b = {} }\n")
	}
	idl = strings.Replace(idl, "S0", "T00", 1) + "service S { void m(1: T40 it = {}, 2: i32 other) }"
	doc, err := schema.LoadBytes("explode", []byte(idl), schema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	args := doc.Service("S").Method("m").Args
	if _, err := NewCanonical(args); err == nil || !strings.Contains(err.Error(), errDefaultTooLarge.Error()) {
		t.Errorf("%v", err)
	}
	if _, err := NewCanonical(args, "other"); err != nil {
		t.Errorf("a path past them: %v", err)
	}
}

// A call keeps what fits the limit to the byte.
func TestCanonicalAtTheLimit(t *testing.T) {
	form := canonicalOf(t, "updateUser", "token")
	body := binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 1), "abc"))
	for limit := 1; limit < 20; limit++ {
		b, err := form.Append(make([]byte, 5), wire.Binary, body, wire.Limits{MessageBytes: limit})
		if fits := limit >= 8; (err == nil) != fits || fits && len(b) != 5+8 {
			t.Errorf("limit %d: %d bytes, %v", limit, len(b), err)
		}
	}
}

// In ThriftPy's JSON a field that is not in the IDL is no part of the value; in Apache's it is.
func TestCanonicalOfJSON(t *testing.T) {
	form := canonicalOf(t, "getUser")
	want := unhex(t, "01 0000000000000007")
	for _, c := range []struct {
		p    wire.Protocol
		text string
		ok   bool
	}{
		{wire.JSON, `{"id": 7}`, true},
		{wire.JSON, `{"other": [1], "id": 7}`, true},
		{wire.ApacheJSON, `{"1":{"i64":7}}`, true},
		{wire.ApacheJSON, `{"1":{"i64":7},"2":{"i32":1}}`, false},
	} {
		got, err := form.Append(nil, c.p, []byte(c.text), wire.Limits{MessageBytes: 100})
		if (err == nil) != c.ok || c.ok && !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", c.text, got, err)
		}
	}
}
