package match

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

var put = schema.MustParse(`
enum Plan { FREE = 1, PAID = 2 }
struct User { 1: i64 id, 2: string name, 3: Plan plan, 4: bool old, 5: double weight, 6: list<string> tags }
service Users { void put(1: User user, 2: string note) }`).Service("Users").Method("put")

// call is one of put, with its arguments as JSON.
func call(t *testing.T, p wire.Protocol, text string) *rpc.Call {
	t.Helper()
	v, err := codec.ParseJSON(codec.TypeOf(put.Args), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := codec.AppendStruct(nil, wire.Binary, v.(*schema.StructValue))
	if err == nil {
		body, err = codec.Translate(nil, wire.Binary, p, put.Args, body, wire.Limits{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &rpc.Call{Method: put, Protocol: p, Body: body}
}

// An argument is compared as a value, in whatever protocol it comes.
func TestArgument(t *testing.T) {
	const ada = `{"user": {"id": 7, "name": "Ada", "plan": "PAID", "old": true, "weight": 1.5}, "note": "17"}`
	for _, tt := range []struct {
		argument, value string
		want            bool
	}{
		{"user.id", "7", true}, {"user.id", "8", false}, {"user.name", "Ada", true}, {"user.name", "ada", false}, {"note", "17", true},
		{"user.plan", "PAID", true}, {"user.plan", "2", true}, {"user.plan", "FREE", false}, {"user.old", "true", true},
		{"user.weight", "1.50", true},
	} {
		test, err := Argument(put, tt.argument, tt.value)
		if err != nil {
			t.Errorf("%s = %s: %v", tt.argument, tt.value, err)
			continue
		}
		for _, p := range []wire.Protocol{wire.Binary, wire.Compact, wire.JSON, wire.ApacheJSON} {
			if got := (Match{test}).Fits(call(t, p, ada)); got != tt.want {
				t.Errorf("%s = %s in %s: %v", tt.argument, tt.value, p, got)
			}
		}
		if (Match{test}).Fits(call(t, wire.Binary, `{}`)) || (Match{test}).Fits(&rpc.Call{Method: put, Protocol: wire.Binary, Body: []byte{99}}) {
			t.Errorf("%s = %s fits a call without it", tt.argument, tt.value)
		}
	}
}

// What cannot be compared is told when the test is made.
func TestArgumentMistakes(t *testing.T) {
	for _, tt := range []struct{ argument, value, want string }{
		{"user.id", "seven", "not JSON"}, {"user.id", "1.5", "expected i64"}, {"user.plan", "GOLD", `"GOLD"`}, {"user", "7", "only a single value"},
		{"user.tags", "a", "is a list<string>"}, {"user.old", "null", "found null"}, {"user.age", "7", ErrNoArgument.Error()},
	} {
		if _, err := Argument(put, tt.argument, tt.value); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s = %s: %v", tt.argument, tt.value, err)
		}
	}
	if _, err := Argument(nil, "user", "7"); !errors.Is(err, ErrNoArgument) {
		t.Errorf("without a method: %v", err)
	}
}

// One test that fits is enough; a Match without tests fits nothing.
func TestHeaderAndCaller(t *testing.T) {
	with := func(name, value string) *rpc.Call {
		return &rpc.Call{Headers: []transport.KV{{Key: "x-other", Value: "1"}, {Key: name, Value: value}}}
	}
	from := func(c rpc.Caller) *rpc.Call { return &rpc.Call{Caller: c} }
	m := Match{Header("X-Canary", "on"), Caller("shop"), Caller("user:alice"), Caller("10.0.0.7")}
	for name, tt := range map[string]struct {
		call *rpc.Call
		want bool
	}{
		"header": {with("x-canary", "on"), true}, "another value": {with("x-canary", "off"), false}, "another header": {with("x-canaries", "on"), false},
		"name": {from(rpc.Caller{Name: "shop"}), true}, "identity": {from(rpc.Caller{Name: "spiffe://acme/web", Identities: []string{"spiffe://acme/web", "user:alice"}}), true},
		"address": {from(rpc.Caller{Address: "10.0.0.7:5123"}), true}, "mapped": {from(rpc.Caller{Address: "[::ffff:10.0.0.7]:5123"}), true},
		"another address": {from(rpc.Caller{Address: "10.0.0.77:5123"}), false}, "nobody": {from(rpc.Caller{}), false},
	} {
		if m.Fits(tt.call) != tt.want {
			t.Errorf("%s: %v", name, !tt.want)
		}
	}
	if (Match{}).Fits(with("x-canary", "on")) {
		t.Error("nothing fits a call")
	}
}

// A share has as many members as it says, whatever the numbers look like; a greater one has all of them; another salt has others.
func TestShare(t *testing.T) {
	const seed, all = 1, 100_000
	r := rand.New(rand.NewPCG(seed, seed))
	base := r.Uint64()
	for name, number := range map[string]func(i int) uint64{
		"counted": func(i int) uint64 { return uint64(i) }, "call ids": func(i int) uint64 { return base + uint64(i)*0x9e3779b97f4a7c15 },
		"random": func(int) uint64 { return r.Uint64() },
	} {
		for _, percent := range []float64{0, 1, 10, 50, 100} {
			in, both := 0.0, 0.0
			for i := range all {
				n := number(i)
				if !Share(n, 5, percent) {
					continue
				}
				in++
				if !Share(n, 5, min(100, 2*percent)) {
					t.Fatalf("%s: %d is in %v %% and not in twice that", name, n, percent)
				}
				if Share(n, 6, percent) {
					both++
				}
			}
			if want := all * percent / 100; in < want*0.9 || in > want*1.1 {
				t.Errorf("%s: %v of %d are in %v %%", name, in, all, percent)
			}
			if want := in * percent / 100; both < want*0.5 || both > want*1.5 {
				t.Errorf("%s: %v of %v are in the share of another salt too, at %v %%", name, both, in, percent)
			}
		}
	}
}
