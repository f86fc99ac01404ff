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

// The time that is left takes the place of what the headers said, and the headers that were given stay as they were.
func TestWithTimeout(t *testing.T) {
	old := append(make([]transport.KV, 0, 8), transport.KV{Key: rpc.TimeoutHeader, Value: "9000"}, transport.KV{Key: "a", Value: "b"})
	kept := slices.Clone(old)
	for left, want := range map[time.Duration]string{1500 * time.Microsecond: "1", time.Second: "1000", 0: "1", -time.Hour: "1"} {
		got := rpc.WithTimeout(old, left)
		if !slices.Equal(got, []transport.KV{{Key: "a", Value: "b"}, {Key: rpc.TimeoutHeader, Value: want}}) {
			t.Errorf("%v: %v", left, got)
		}
	}
	if !slices.Equal(old, kept) || old[:3][2] != (transport.KV{}) {
		t.Errorf("the given ones are now %v", old[:3])
	}
}
