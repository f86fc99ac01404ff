package rpc_test

import (
	"slices"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// What is no number of milliseconds within bounds says nothing; of several the shortest holds.
func TestTimeoutOfHeaders(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []string
		want   time.Duration // 0: none
	}{
		{"none", nil, 0},
		{"one", []string{"250"}, 250 * time.Millisecond},
		{"the least", []string{"1"}, time.Millisecond},
		{"the most", []string{"4294967295"}, 4294967295 * time.Millisecond},
		{"beyond", []string{"4294967296"}, 0},
		{"far beyond", []string{"99999999999999999999999"}, 0},
		{"no bound", []string{"0"}, 0},
		{"empty", []string{""}, 0},
		{"negative", []string{"-1"}, 0},
		{"signed", []string{"+5"}, 0},
		{"spaced", []string{" 5"}, 0},
		{"unit", []string{"5ms"}, 0},
		{"fraction", []string{"5.0"}, 0},
		{"exponent", []string{"1e3"}, 0},
		{"hexadecimal", []string{"0x10"}, 0},
		{"underscore", []string{"1_000"}, 0},
		{"the shortest", []string{"300", "junk", "200", "0", "400"}, 200 * time.Millisecond},
	} {
		headers := []transport.KV{{Key: "Client_Timeout", Value: "7"}, {Key: "other", Value: "7"}}
		for _, v := range tt.values {
			headers = append(headers, transport.KV{Key: rpc.TimeoutHeader, Value: v})
		}
		if got, ok := rpc.Timeout(headers); got != tt.want || ok != (tt.want > 0) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, ok, tt.want)
		}
	}
}

// What is known of the caller and of its time takes the place of what the headers said, and the headers that were given stay as they were.
func TestTierHeaders(t *testing.T) {
	now := time.Now()
	in := func(d time.Duration) rpc.Call { return rpc.Call{Deadline: now.Add(d)} }
	of := func(c rpc.Caller) rpc.Call { return rpc.Call{Caller: c} }
	kv := func(pairs ...string) (all []transport.KV) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, transport.KV{Key: pairs[i], Value: pairs[i+1]})
		}
		return all
	}
	said := kv("client_timeout", "9000", "identity", "mallory", "a", "b", "id_version", "1")
	old := append(make([]transport.KV, 0, 16), said...)
	for _, tt := range []struct {
		name string
		call rpc.Call
		want []transport.KV
	}{
		{"nothing is known", rpc.Call{}, said},
		{"a second", in(time.Second), kv("identity", "mallory", "a", "b", "id_version", "1", "client_timeout", "1000")},
		{"a millisecond and a half", in(1500 * time.Microsecond), kv("identity", "mallory", "a", "b", "id_version", "1", "client_timeout", "1")},
		{"no time is left", in(0), kv("identity", "mallory", "a", "b", "id_version", "1", "client_timeout", "1")},
		{"long over", in(-time.Hour), kv("identity", "mallory", "a", "b", "id_version", "1", "client_timeout", "1")},
		{"a name", of(rpc.Caller{Name: "shop"}), kv("client_timeout", "9000", "a", "b", "identity", "shop", "id_version", "1")},
		{"verified, with no name to show", of(rpc.Caller{Verified: true}), kv("client_timeout", "9000", "a", "b")},
		{"both", rpc.Call{Deadline: now.Add(time.Second), Caller: rpc.Caller{Name: "shop", Verified: true}},
			kv("a", "b", "identity", "shop", "id_version", "1", "client_timeout", "1000")},
	} {
		if got := tt.call.TierHeaders(old, now); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if !slices.Equal(old, said) || old[:5][4] != (transport.KV{}) {
		t.Errorf("the given ones are now %v", old[:5])
	}
}

// A name is one with the version that is known, or with none.
func TestIdentity(t *testing.T) {
	for _, tt := range []struct {
		headers []transport.KV
		want    string
	}{
		{nil, ""},
		{[]transport.KV{{Key: "Identity", Value: "shop"}}, ""},
		{[]transport.KV{{Key: "identity", Value: "shop"}}, "shop"},
		{[]transport.KV{{Key: "id_version", Value: "1"}, {Key: "identity", Value: "shop"}, {Key: "identity", Value: "another"}}, "shop"},
		{[]transport.KV{{Key: "identity", Value: "shop"}, {Key: "id_version", Value: "2"}}, ""},
	} {
		if got := rpc.Identity(tt.headers); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.headers, got, tt.want)
		}
	}
}
