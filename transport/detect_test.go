package transport_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// The first bytes tell how a connection speaks; what is not spoken here is named.
func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name, first string
		want        string // wire, or reason and part of the text
	}{
		{"strict binary", "\x80\x01\x00\x01", "buffered binary"},
		{"non-strict binary", "\x00\x00\x00\x04echo\x01", "buffered binary, non-strict"},
		{"non-strict binary, multiplexed", "\x00\x00\x00\x0aUsers:echo\x04", "buffered binary, non-strict"},
		{"framed strict binary", "\x00\x00\x00\x15\x80\x01", "framed binary"},
		{"framed strict binary, 16 MB", "\x00\xfa\x00\x00\x80\x01", "framed binary"},
		{"framed non-strict binary", "\x00\x00\x00\x0e\x00\x00\x00\x04echo\x01", "framed binary, non-strict"},
		{"framed non-strict binary, no name", "\x00\x00\x00\x0a\x00\x00\x00\x00\x01", "framed binary, non-strict"},

		{"compact", "\x82\x21\x00\x04", "buffered compact"},
		{"Apache JSON", `[1,"echo"`, "buffered apachejson"},
		{"ThriftPy JSON", "\x00\x00\x00\x5c{\"", "buffered json"},
		{"framed ThriftPy JSON", "\x00\x00\x00\x60\x00\x00\x00\x5c{\"", "framed json"},
		{"framed compact", "\x00\x00\x00\x20\x82\x21", "framed compact"},
		{"framed Apache JSON", "\x00\x00\x00\x20[1", "framed apachejson"},
		{"THeader", "\x00\x00\x00\x20\x0f\xff\x00\x00\x00\x00\x00\x01\x00\x01\x02", "header compact"},
		{"HTTP", "POST /", "http binary"},
		{"HTTP GET", "GET / ", "http binary"},
		{"HTTP/2", "PRI * ", "unsupported: HTTP/2"},
		{"TLS", "\x16\x03\x01\x02", "tls: a TLS handshake on a plain Thrift port"},
		{"tracking, request id first", "\x0b\x00\x01\x00", "buffered binary"},
		{"tracking, meta only", "\x0d\x00\x03\x0b", "buffered binary"},
		{"tracking in a frame", "\x00\x00\x01\x00\x0b\x00\x01", "framed binary"},
		{"tracking in compact", "\x18\x03abc", "buffered compact"},
		{"tracking in a compact frame", "\x00\x00\x01\x00\x18\x03a", "framed compact"},
		{"SASL", "\x01\x00\x00\x00\x05PLAIN", "unsupported: a SASL handshake"},

		{"binary version 2", "\x80\x02\x00\x01", "bad_version: not Thrift"},
		{"zero frame", "\x00\x00\x00\x00", "bad_version: not Thrift"},
		{"length of -1", "\xff\xff\xff\xff", "bad_version: not Thrift"},
		{"SSH", "SSH-2.0", "bad_version: not Thrift"},
		{"a name with blanks", "\x00\x00\x00\x09GET / HTT", "bad_version: not Thrift"},
		{"a name too long", "\x00\x00\x04\x01aaa", "bad_version: not Thrift"},
		{"a name and no message type", "\x00\x00\x00\x04echo\x05", "bad_version: not Thrift"},
		{"a frame too short for its name", "\x00\x00\x00\x0d\x00\x00\x00\x04e", "bad_version: not Thrift"},
		{"a frame of binary version 2", "\x00\x00\x00\x20\x80\x02", "bad_version: not Thrift"},
		{"a frame of control bytes", "\x00\x00\x00\x20\x05\x05\x05", "bad_version: not Thrift"},
		{"a frame with an empty tracking field", "\x00\x00\x00\x20\x0b\x00\x00", "bad_version: not Thrift"},
	} {
		w, nonStrict, need, err := transport.Detect([]byte(c.first))
		got := w.Kind.String() + " " + w.Protocol.String()
		if nonStrict {
			got += ", non-strict"
		}
		reason, text, refused := strings.Cut(c.want, ": ")
		if !refused && (got != c.want || err != nil) || need != 0 {
			t.Errorf("%s: %s, need %d, %v", c.name, got, need, err)
		}
		if bad, ok := errors.AsType[*transport.Malformed](err); refused &&
			(!ok || string(bad.Err.Reason) != reason || !strings.Contains(bad.Err.Text, text) || bad.HeadOK || bad.Skip != 0) {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
	}
}

// Detection asks for more until it is sure, never for more than a message has, and the first message's head is as it says.
func TestDetectMessages(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		for i, m := range corpus(w) {
			got, nonStrict, _, err := transport.Detect(m)
			first, _, _, _ := newSplitter(t, w, wire.Limits{}).Split(m)
			wantOld := first.Head.NonStrict && w.Kind != transport.Header && w.Kind != transport.HTTP // those tell their protocol themselves
			if got != w || nonStrict != wantOld || err != nil {
				t.Errorf("message %d: %v, %v, %v", i, got, nonStrict, err)
			}
			for cut := range m {
				got, _, need, err := transport.Detect(m[:cut])
				if err != nil || need == 0 && got != w || need != 0 && (need <= cut || need > len(m)) {
					t.Fatalf("message %d, %d bytes: %v, need %d, %v", i, cut, got, need, err)
				}
			}
		}
	})
}

// A detector knows the wire from its first message on, and a listener can refuse one.
func TestDetector(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		m := corpus(w)[0]
		d := transport.NewDetector(wire.Limits{}, nil)
		if d.Split(m[:3]); d.Wire() != (transport.Wire{}) {
			t.Errorf("after 3 bytes: %v", d.Wire())
		}
		if _, used, _, err := d.Split(m); d.Wire() != w || used != len(m) || err != nil {
			t.Errorf("after a message: %v, %d, %v", d.Wire(), used, err)
		}

		refuse := transport.NewDetector(wire.Limits{}, func(got transport.Wire) error { return fmt.Errorf("no %s here", got.Kind) })
		_, _, _, err := refuse.Split(m)
		bad, ok := errors.AsType[*transport.Malformed](err)
		if !ok || bad.Err.Reason != wire.Unsupported || bad.Err.Text != "no "+w.Kind.String()+" here" || refuse.Wire() != (transport.Wire{}) {
			t.Errorf("refused: %v, %v", err, refuse.Wire())
		}
	})
	// A detector that is told how its connection speaks knows it before the first byte, and is held to it.
	eachWire(t, func(t *testing.T, w transport.Wire) {
		d, err := transport.Resume(w, wire.Limits{})
		if err != nil || d.Wire() != w {
			t.Fatalf("resumed: %v, %v", d, err)
		}
		m := corpus(w)[0]
		if _, used, _, err := d.Split(m); used != len(m) || err != nil {
			t.Errorf("the first message: %d, %v", used, err)
		}
		other := transport.Wire{Kind: transport.Buffered, Protocol: w.Protocol}
		if w.Kind == transport.Buffered {
			other.Kind = transport.Framed
		}
		if d, err = transport.Resume(other, wire.Limits{}); err != nil {
			t.Fatal(err)
		}
		if _, used, _, err := d.Split(m); used != 0 && err == nil {
			t.Errorf("a message of %s was taken as one of %s", w.Kind, other.Kind)
		}
	})
	if _, err := transport.Resume(transport.Wire{Kind: transport.Header, Protocol: wire.JSON}, wire.Limits{}); err == nil {
		t.Error("a wire that is not built was resumed")
	}
	// A connection that began unframed is held to it.
	d := transport.NewDetector(wire.Limits{}, nil)
	d.Split(unhex(t, headA+"00"))
	if _, _, _, err := d.Split(unhex(t, "7fffffff"+headA+"00")); err == nil {
		t.Error("a frame on an unframed connection was taken")
	}
}
