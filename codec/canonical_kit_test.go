package codec

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// arrangement says in what order, and how often, a value's parts are written. One value has many.
type arrangement struct {
	order    func(n int) []int                              // of n fields or entries
	elements func(n int) []int                              // of n elements of a set: an index may stand twice
	before   func(f *schema.Field) (_ schema.Value, _ bool) // a value that the field has before its own; nil: there is none
}

func inOrder(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

func reversed(n int) []int {
	order := inOrder(n)
	slices.Reverse(order)
	return order
}

// value returns v, of type t, as it stands on the wire.
func (a arrangement) value(t *schema.Type, v schema.Value) wiretest.Value {
	switch x := v.(type) {
	case bool:
		return wiretest.Bool(x)
	case int64:
		return wiretest.Value{Type: t.Wire(), Int: x}
	case int32:
		return wiretest.I32(x)
	case float64:
		return wiretest.Double(x)
	case string:
		return wiretest.String(x)
	case []byte:
		return wiretest.String(string(x))
	case [16]byte:
		return wiretest.UUID(string(x[:]))
	case *schema.StructValue:
		return a.structValue(x)
	case schema.MapValue:
		out := wiretest.Map(t.Key.Wire(), t.Elem.Wire())
		for _, i := range a.order(len(x)) {
			out.Items = append(out.Items, a.value(t.Key, x[i].Key), a.value(t.Elem, x[i].Value))
		}
		return out
	}
	items := v.([]schema.Value)
	order := inOrder(len(items))
	if t.Kind == schema.Set {
		order = a.elements(len(items))
	}
	out := wiretest.Value{Type: t.Wire(), Elem: t.Elem.Wire()}
	for _, i := range order {
		out.Items = append(out.Items, a.value(t.Elem, items[i]))
	}
	return out
}

func (a arrangement) structValue(v *schema.StructValue) wiretest.Value {
	out := wiretest.Struct()
	for _, f := range v.Type.Fields {
		if a.before == nil || v.Fields[f.Index] == nil {
			continue
		}
		if x, ok := a.before(f); ok {
			out.Fields = append(out.Fields, wiretest.Field{ID: f.ID, Value: a.value(f.Type, x)})
		}
	}
	for _, i := range a.order(len(v.Fields)) {
		if f := v.Type.Fields[i]; v.Fields[i] != nil {
			out.Fields = append(out.Fields, wiretest.Field{ID: f.ID, Value: a.value(f.Type, v.Fields[i])})
		}
	}
	return out
}

// encode writes v, a struct of type st, in any protocol.
func encode(t testing.TB, p wire.Protocol, st *schema.StructType, v wiretest.Value) []byte {
	t.Helper()
	if p == wire.Compact {
		return wiretest.AppendCompact(nil, v)
	}
	body, err := Translate(nil, wire.Binary, p, st, wiretest.AppendBinary(nil, v), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// plainForm is what Canonical is compared with: a text for each value of type t, equal for equal values alone, made in the plainest way from
// what Canonical promises. ok is false where the value has no form.
func plainForm(t *schema.Type, v schema.Value) (text string, ok bool) { return plainText(t, v, nil) }

// plainText is plainForm inside the defaults of within.
func plainText(t *schema.Type, v schema.Value, within []*schema.Field) (string, bool) {
	switch x := v.(type) {
	case float64:
		return fmt.Sprintf("%016x", math.Float64bits(x)), x == x
	case string:
		return fmt.Sprintf("%q", x), true
	case []byte:
		return fmt.Sprintf("%q", x), true
	case schema.MapValue:
		return plainMap(t, x, within)
	case []schema.Value:
		texts := make([]string, len(x))
		for i, item := range x {
			var ok bool
			if texts[i], ok = plainText(t.Elem, item, within); !ok {
				return "", false
			}
		}
		if t.Kind == schema.Set {
			slices.Sort(texts)
			texts = slices.Compact(texts)
		}
		return "[" + strings.Join(texts, ",") + "]", true
	case *schema.StructValue:
		texts := make([]string, 0, len(x.Fields))
		for _, f := range x.Type.Fields {
			text, there, ok := plainFieldText(x.Type, f, x.Fields[f.Index], within)
			if !ok {
				return "", false
			}
			if there {
				texts = append(texts, fmt.Sprintf("%06d=%s", int(f.ID)+1<<15, text))
			}
		}
		slices.Sort(texts)
		return "{" + strings.Join(texts, ",") + "}", true
	}
	return fmt.Sprint(v), true
}

func plainMap(t *schema.Type, v schema.MapValue, within []*schema.Field) (string, bool) {
	entries := map[string]string{}
	var keys []string
	for _, e := range v {
		key, ok := plainText(t.Key, e.Key, within)
		value, also := plainText(t.Elem, e.Value, within)
		if _, twice := entries[key]; !ok || !also || twice {
			return "", false
		}
		entries[key] = value
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var out strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&out, "%s:%s,", key, entries[key])
	}
	return "<" + out.String() + ">", true
}

func plainFieldText(st *schema.StructType, f *schema.Field, v schema.Value, within []*schema.Field) (text string, there, ok bool) {
	if v == nil {
		if f.Default == nil || f.Required != schema.Unspecified || st.Kind == schema.Union || slices.Contains(within, f) {
			return "", false, true
		}
		v, within = f.Default, append(slices.Clone(within), f)
	}
	text, ok = plainText(f.Type, v, within)
	return text, true, ok
}

// plainArguments is plainForm of what paths name in args; of all arguments without one.
func plainArguments(args *schema.StructValue, paths []string) (string, bool) {
	if len(paths) == 0 {
		return plainForm(TypeOf(args.Type), args)
	}
	var out strings.Builder
	for _, path := range paths {
		text, there, ok := plainPath(args, strings.Split(path, "."), nil)
		if !ok {
			return "", false
		}
		fmt.Fprintf(&out, "%v %s;", there, text)
	}
	return out.String(), true
}

func plainPath(in *schema.StructValue, path []string, within []*schema.Field) (text string, there, ok bool) {
	f := in.Type.FieldByName(path[0])
	v := in.Fields[f.Index]
	if len(path) == 1 {
		return plainFieldText(in.Type, f, v, within)
	}
	if v == nil {
		if _, there, _ := plainFieldText(in.Type, f, nil, within); !there {
			return "", false, true
		}
		v, within = f.Default, append(slices.Clone(within), f)
	}
	return plainPath(v.(*schema.StructValue), path[1:], within)
}
