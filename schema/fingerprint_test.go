package schema

import (
	"strings"
	"testing"
)

const printed = `
struct User { 1: required i64 id, 2: list<User> friends, 3: Kind kind = Kind.A }
enum Kind { A, B = 5 }
exception Failed { 1: string why }
service Users { User get(1: i64 id) throws (1: Failed f), oneway void touch(1: i64 id) }
service Other { void ping() }`

// A fingerprint stays where nothing changes on the wire.
func TestFingerprintStays(t *testing.T) {
	want := MustParse(printed).Fingerprint()
	if len(want) != 16 {
		t.Fatal(want)
	}
	for name, src := range map[string]string{
		"itself": printed,
		"comments, annotations, order, typedefs, other types": `
namespace py x
service Other { void ping() (a = "b") }
service Users {
  oneway void touch(1: ID id)
  /** gets */ User get(1: i64 id) throws (1: Failed f)
}
typedef i64 ID
struct Unused {}
const i32 C = 1
enum Kind { B = 5, A = 0 }
exception Failed { 1: string why } (x)
struct User { 3: Kind kind = 0, 1: required ID id, 2: list<User> friends }`,
		"names of types": `
struct Person { 1: required i64 id, 2: list<Person> friends, 3: Sort kind = Sort.A }
enum Sort { A, B = 5 }
exception Broken { 1: string why }
service Users { Person get(1: i64 id) throws (1: Broken f), oneway void touch(1: i64 id) }
service Other { void ping() }`,
	} {
		if got := MustParse(src).Fingerprint(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// A fingerprint changes with everything that is seen on the wire, each change in its own way.
func TestFingerprintChanges(t *testing.T) {
	seen := map[string]string{MustParse(printed).Fingerprint(): "before"}
	for name, edit := range map[string][2]string{
		"field id": {"3: Kind", "4: Kind"}, "field name": {"friends", "others"}, "field type": {"list<User>", "set<User>"},
		"requiredness": {"required ", ""}, "default": {"Kind.A", "Kind.B"}, "enum value": {"B = 5", "B = 6"}, "enum name": {"B = 5", "C = 5"},
		"method": {"touch", "poke"}, "oneway": {"oneway ", ""}, "result": {"User get", "Kind get"}, "argument": {"(1: i64 id) throws", "(1: i32 id) throws"},
		"throws": {" throws (1: Failed f)", ""}, "service": {"Other", "Another"}, "kind": {"struct User", "union User"}, "exception": {"why", "what"},
	} {
		d := MustParse(replaceOnce(printed, edit[0], edit[1]))
		got := d.Fingerprint()
		if other := seen[got]; other != "" {
			t.Errorf("%s: same as %s", name, other)
		}
		seen[got] = name
	}
}

// A method's fingerprint changes with its own types and with nothing else.
func TestMethodFingerprint(t *testing.T) {
	before := MustParse(printed)
	after := MustParse(replaceOnce(printed, "B = 5", "B = 6"))
	get := func(d *Document) *Method { return d.Service("Users").Method("get") }
	if get(before).Fingerprint() == get(after).Fingerprint() {
		t.Error("get has not changed")
	}
	if before.Service("Users").Method("touch").Fingerprint() != after.Service("Users").Method("touch").Fingerprint() {
		t.Error("touch has changed")
	}
}

// Without services it is the structs that count.
func TestFingerprintOfTypesAlone(t *testing.T) {
	if MustParse("struct A { 1: i32 a }").Fingerprint() == MustParse("struct A { 1: i64 a }").Fingerprint() {
		t.Error("a changed struct has the same fingerprint")
	}
}

// replaceOnce panics where the edit would change nothing.
func replaceOnce(s, old, new string) string {
	before, after, found := strings.Cut(s, old)
	if !found {
		panic(old)
	}
	return before + new + after
}
