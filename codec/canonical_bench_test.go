package codec

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// fields60 and wideCall are a struct of sixty fields, and a call with it.
var fields60, wideCall = func() (fields, call string) {
	for i := range 60 {
		fields += fmt.Sprintf("%d: i32 f%d, ", i+1, i+1)
		call += fmt.Sprintf(`, "f%d": %d`, i+1, i)
	}
	return fields, `{"all": {` + call[2:] + "}}"
}()

// searches has arguments as calls have them.
var searches = schema.MustParse("struct Wide {" + fields60 + `}
struct Range { 1: i64 from, 2: i64 to }
struct Filter { 1: string field, 2: list<string> anyOf, 3: optional Range range, 4: bool negated }
service Searches {
  list<i64> byID(1: i64 id),
  list<i64> search(1: string text, 2: string language, 3: i32 limit = 20, 4: i32 offset, 5: Filter filter, 6: list<string> columns,
    7: double minimum, 8: bool exact),
  list<i64> tagged(1: set<string> tags, 2: map<string, string> labels),
  void wide(1: Wide all)
}
`)

func argsOf(method string) *schema.StructType {
	return searches.Service("Searches").Method(method).Args
}

// call is a call's arguments, written in JSON.
type call struct {
	args *schema.StructType
	text string
	back bool // with the fields in descending order
}

// calls are of one number; of 200 bytes in binary; of the same with its fields out of order; of sixty fields; of a set and a map,
// which are out of order.
func calls() map[string]call {
	search := `{"text": "red bicycle with a basket", "language": "en-GB", "limit": 50, "offset": 100,
		"filter": {"field": "category", "anyOf": ["city", "touring", "folding"], "range": {"from": 100, "to": 999}, "negated": false},
		"columns": ["id", "name", "price", "stock"], "minimum": 0.5, "exact": true}`
	return map[string]call{
		"id":         {args: argsOf("byID"), text: `{"id": 1234567}`},
		"search200":  {args: argsOf("search"), text: search},
		"disordered": {args: argsOf("search"), text: search, back: true},
		"wide":       {args: argsOf("wide"), text: wideCall},
		"containers": {args: argsOf("tagged"), text: `{"tags": ["new", "blue", "large", "fragile", "sale", "outdoor"],
			"labels": {"region": "north", "shop": "12", "channel": "web", "app": "4.2.1"}}`},
	}
}

// bodyOf encodes a call written in JSON.
func bodyOf(t testing.TB, args *schema.StructType, p wire.Protocol, text string, back bool) []byte {
	t.Helper()
	v, err := ParseJSON(TypeOf(args), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if back {
		return encode(t, p, args, arrangement{order: reversed, elements: inOrder}.value(TypeOf(args), v))
	}
	body, err := AppendValue(nil, p, TypeOf(args), v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func BenchmarkCanonical(b *testing.B) {
	for _, shape := range []string{"id", "search200", "disordered", "wide", "containers"} {
		call := calls()[shape]
		c, err := NewCanonical(call.args)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range protocols {
			b.Run("protocol="+p.String()+"/shape="+shape, func(b *testing.B) {
				body := bodyOf(b, call.args, p, call.text, call.back)
				dst := make([]byte, 0, 4096)
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					if _, err := c.Append(dst, p, body, wire.Limits{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Into room that is large enough, a form is written without an allocation: also where fields, set elements and map entries have to be put in
// order, as long as they are few.
func TestCanonicalAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes allocations")
	}
	for shape, call := range calls() {
		c, err := NewCanonical(call.args)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range loops {
			body := bodyOf(t, call.args, p, call.text, call.back)
			dst := make([]byte, 0, 4096)
			var form []byte
			n := testing.AllocsPerRun(100, func() { form, err = c.Append(dst, p, body, wire.Limits{}) })
			if err != nil || n > 0 || bytes.Equal(form, dst) {
				t.Errorf("%s, %s: %v allocations, %d bytes, %v", shape, p, n, len(form), err)
			}
		}
	}
}
