package schema

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each change that breaks the wire is told once, with its place in the new version; what is compatible is not told.
func TestBreaks(t *testing.T) {
	service := func(s string) string { return "service Users { " + s + " }\n" }
	for _, c := range []struct {
		name, old, next string
		want            []string
	}{
		{"nothing", service("i32 get(1: i64 id)"), service("i32 get(1: i64 id)"), nil},
		{"new method, method that is gone", service("void a()"), service("void b()"), nil},
		{"type of an argument", service("void get(1: i32 id)"), service("void get(1: i64 id)"), []string{"1:33: argument 1 id of get was i32 and is i64"}},
		{"type of a result", service("i32 get()"), service("list<i32> get()"), []string{"1:27: get returned i32 and returns list<i32>"}},
		{"no result any more", service("i32 get()"), service("void get()"), []string{"1:22: get returned i32 and returns void"}},
		{"inside of a container", service("map<string, list<i32>> get()"), service("map<string, list<i64>> get()"), []string{
			"1:40: get returned map<string, list<i32>> and returns map<string, list<i64>>"}},
		{"a set for a list", service("void get(1: list<i32> x)"), service("void get(1: set<i32> x)"), []string{"1:38: argument 1 x of get was list<i32> and is set<i32>"}},
		{"text for bytes", service("string get(1: binary b)"), service("binary get(1: string b)"), nil},
		{"oneway", service("void a(), oneway void b()"), service("oneway void a(), void b()"), []string{
			"1:29: a had an answer and is a oneway now", "1:39: b was a oneway and has an answer now"}},
		{"new argument", service("void get()"), service("void get(1: i32 a, 2: optional i32 b)"), nil},
		{"another name for the same id", service("void get(1: i32 a)"), service("void get(1: i32 b)"), nil},
		{"id that has moved", service("void get(1: i32 a, 2: i32 b)"), service("void get(1: i32 b, 2: i32 a)"), []string{
			"1:33: argument 1 b of get had the id 2", "1:43: argument 2 a of get had the id 1"}},
		{"fields of a struct", "struct User { 1: required i32 id, 2: string name, 3: optional i32 age, 4: required bool on, 5: bool off }" + service("User get()"),
			"struct User { 1: required i64 id, 3: required i32 age, 6: required i32 more, 7: i32 less }" + service("list<User> all(), User get()"), []string{
				"1:31: field 1 id of User was i32 and is i64", "1:51: field 3 age of User is required now: there may be messages without it",
				"1:72: field 6 more of User is new and required: who does not know it sends messages without it",
				"1:8: field 4 on of User was required and is gone: who still asks for it refuses messages without it"}},
		{"a struct that leads back to itself, in many places", "struct Tree { 1: list<Tree> kids, 2: i32 v }" + service("Tree get(1: Tree a) throws (1: X e)") + "exception X { 1: Tree t }",
			"struct Tree { 1: list<Tree> kids, 2: i64 v }" + service("Tree get(1: Tree a) throws (1: X e)") + "exception X { 1: Tree t }", []string{
				"1:42: field 2 v of Tree was i32 and is i64"}},
		{"another struct with the same fields", "struct A { 1: i32 v }" + service("A get()"), "struct B { 1: i32 v }" + service("B get()"), nil},
		{"another struct with others", "struct A { 1: i32 v }" + service("A get()"), "struct B { 1: i64 v }" + service("B get()"), []string{"1:19: field 1 v of B was i32 and is i64"}},
		{"union", "struct A { 1: i32 v }" + service("A get()"), "union A { 1: i32 v }" + service("A get()"), []string{"1:7: A was a struct and is a union"}},
		{"enum", "enum Role { A = 1, B = 2, C = 3, D = 4 }" + service("Role get()"), "enum Role { A = 1, B = 5, E = 4, F = 9 }" + service("Role get()"), []string{
			"1:6: B of Role was 2 and is 5", "1:6: C = 3 of Role is gone"}},
		{"an enum for a number", service("i32 get()"), "enum Role { A = 1 }" + service("Role get()"), nil},
		{"exception", "exception X { 1: i32 a } exception Y { 1: string a }" + service("void get() throws (1: X e)"),
			"exception X { 1: i32 a } exception Y { 1: string a }" + service("void get() throws (1: Y e, 2: X f)"), []string{
				"1:50: field 1 a of Y was i32 and is string"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, b := range Breaks(MustParse(c.old).Services[0], MustParse(c.next).Services[0]) {
				got = append(got, fmt.Sprintf("%d:%d: %s", b.Pos.Line, b.Pos.Col, b.Text))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
