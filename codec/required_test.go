package codec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// Of the required fields that a body does not have, the first is named by its path, wherever it stands; one with a default, and one of a
// union, is never missing.
func TestMissingRequiredFields(t *testing.T) {
	svc := schema.MustParse(`
struct Inner { 1: required string email, 2: optional i32 n }
struct Filled { 1: required i32 n = 7, 2: required Inner inner }
struct Tree { 1: required i32 n, 2: list<Tree> children }
union Either { 1: required i32 n, 2: Inner inner }
struct Plain { 1: optional string s }
service S {
	void one(1: required i64 id, 2: Inner user),
	void many(1: list<Inner> users, 2: map<string, Inner> byName, 3: map<Inner, i32> counts, 4: set<Inner> some),
	void filled(1: Filled f),
	void tree(1: Tree t),
	void either(1: Either e),
	void plain(1: Plain p, 2: map<string, list<Plain>> m),
}`).Service("S")
	inner := wiretest.Struct(1, wiretest.String("a@b"))
	empty := wiretest.Struct()
	for _, tt := range []struct {
		method string
		body   wiretest.Value
		want   string
	}{
		{"one", wiretest.Struct(1, wiretest.I64(7), 2, inner), ""},
		{"one", wiretest.Struct(1, wiretest.I64(7)), ""}, // an argument that is left out has nothing inside
		{"one", wiretest.Struct(2, inner), "one_args.id"},
		{"one", wiretest.Struct(1, wiretest.I32(7), 2, inner), "one_args.id"}, // of another type: it is skipped
		{"one", wiretest.Struct(1, wiretest.I64(7), 2, empty), "one_args.user.email"},
		{"one", wiretest.Struct(1, wiretest.I64(7), 2, inner, 9, empty), ""},
		{"many", wiretest.Struct(1, wiretest.List(wire.Struct, inner, empty)), "many_args.users[1].email"},
		{"many", wiretest.Struct(1, wiretest.List(wire.I32, wiretest.I32(1))), ""},
		{"many", wiretest.Struct(2, wiretest.Map(wire.String, wire.Struct, wiretest.String("x"), empty)), "many_args.byName{value}.email"},
		{"many", wiretest.Struct(2, wiretest.Map(wire.String, wire.I8, wiretest.String("x"), wiretest.I8(1))), ""},
		{"many", wiretest.Struct(3, wiretest.Map(wire.Struct, wire.I32, empty, wiretest.I32(1))), "many_args.counts{key}.email"},
		{"many", wiretest.Struct(4, wiretest.Set(wire.Struct, empty)), "many_args.some[0].email"},
		{"filled", wiretest.Struct(1, wiretest.Struct(2, inner)), ""},
		{"filled", wiretest.Struct(1, empty), "filled_args.f.inner"},
		{"tree", wiretest.Struct(1, wiretest.Struct(1, wiretest.I32(1), 2, wiretest.List(wire.Struct, empty))), "tree_args.t.children[0].n"},
		{"either", wiretest.Struct(1, empty), ""},
		{"either", wiretest.Struct(1, wiretest.Struct(2, empty)), "either_args.e.inner.email"},
	} {
		r := codec.CompileRequired(svc.Method(tt.method).Args)
		got, err := r.Missing(wire.Binary, wiretest.AppendBinary(nil, tt.body), wire.Limits{})
		if got != tt.want || err != nil {
			t.Errorf("%s %+v: %q, %v, want %q", tt.method, tt.body, got, err, tt.want)
		}
	}
	if codec.CompileRequired(svc.Method("plain").Args) != nil {
		t.Error("something is required where nothing is")
	}
}

// More required fields than fit into a glance are all looked for.
func TestManyRequiredFields(t *testing.T) {
	var idl strings.Builder
	var all []any
	idl.WriteString("struct Wide {\n")
	for i := 1; i <= 100; i++ {
		fmt.Fprintf(&idl, "%d: required bool f%d\n", i, i)
		all = append(all, i, wiretest.Bool(true))
	}
	idl.WriteString("}")
	wide := schema.MustParse(idl.String()).Lookup("Wide").(*schema.StructType)
	r := codec.CompileRequired(wide)
	for left := range 100 {
		fields := append(append([]any{}, all[:2*left]...), all[2*left+2:]...)
		got, err := r.Missing(wire.Binary, wiretest.AppendBinary(nil, wiretest.Struct(fields...)), wire.Limits{})
		if want := fmt.Sprintf("Wide.f%d", left+1); got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

// A body that is cut off, or nested too deep, is a typed error and never a missing field.
func TestMissingInBadBodies(t *testing.T) {
	tree := schema.MustParse("struct Tree { 1: required i32 n, 2: list<Tree> children }").Lookup("Tree").(*schema.StructType)
	r := codec.CompileRequired(tree)
	body := wiretest.AppendBinary(nil, wiretest.Struct(1, wiretest.I32(1), 2, wiretest.List(wire.Struct, wiretest.Struct(1, wiretest.I32(2)))))
	for cut := range body {
		if got, err := r.Missing(wire.Binary, body[:cut], wire.Limits{}); got != "" || err == nil {
			t.Errorf("%d of %d bytes: %q, %v", cut, len(body), got, err)
		}
	}
	if got, err := r.Missing(wire.Binary, body, wire.Limits{Depth: 2}); got != "" || err == nil {
		t.Errorf("too deep: %q, %v", got, err)
	}
	if _, err := r.Missing(wire.Binary, body, wire.Limits{Depth: 3}); err != nil {
		t.Error(err)
	}
}
