package tracking_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/wire"
)

var protocols = []wire.Protocol{wire.Binary, wire.Compact}

// The bytes are ThriftPy's.
func TestBytes(t *testing.T) {
	request := &tracking.Header{RequestID: "RID", Seq: "1"}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{name: "handshake", got: tracking.AppendHandshake(nil, wire.Binary, tracking.Handshake{AppID: "a", Version: 2}), want: "0b0001 00000001 61 080002 00000002 00"},
		{name: "handshake of 0.3.9", got: tracking.AppendHandshake(nil, wire.Binary, tracking.Handshake{}), want: "00"},
		{name: "grant", got: tracking.AppendGrant(nil, wire.Binary, tracking.Handshake{Version: 2}), want: "080001 00000002 00"},
		{name: "grant to 0.3.9", got: tracking.AppendGrant(nil, wire.Binary, tracking.Handshake{}), want: "00"},
		{name: "request", got: tracking.AppendRequest(nil, wire.Binary, request), want: "0b0001 00000003 524944 0b0002 00000001 31 0d0003 0b0b 00000000 00"},
		{name: "request in compact", got: tracking.AppendRequest(nil, wire.Compact, request), want: "18 03 524944 18 01 31 1b 00 00"},
		{name: "response", got: tracking.AppendResponse(nil, wire.Binary, nil), want: "00"},
		{name: "response with meta", got: tracking.AppendResponse(nil, wire.Compact, map[string]string{"k": "v"}), want: "1b 01 88 01 6b 01 76 00"},
	} {
		if d := cmp.Diff(strings.ReplaceAll(c.want, " ", ""), hex.EncodeToString(c.got)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

// What is written is read, and fields that are not known are skipped.
func TestRoundTrip(t *testing.T) {
	want := &tracking.Header{RequestID: "RID", Seq: "1.2", Meta: map[string]string{"a": "1", "b": ""}}
	for _, p := range protocols {
		got, err := tracking.ParseRequest(p, tracking.AppendRequest(nil, p, want))
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", p, err, d)
		}
		meta, err := tracking.ParseResponse(p, tracking.AppendResponse(nil, p, want.Meta))
		if d := cmp.Diff(want.Meta, meta); d != "" || err != nil {
			t.Errorf("%s: %v %s", p, err, d)
		}
		for version, level := range map[int32]int{0: 1, 1: 1, 2: 2, 7: 2, -1: 1} {
			h, err := tracking.ParseHandshake(p, tracking.AppendHandshake(nil, p, tracking.Handshake{AppID: "x", Version: version}))
			if err != nil || h.AppID != "x" || h.Level() != level {
				t.Errorf("%s: version %d is level %d, %+v, %v", p, version, h.Level(), h, err)
			}
		}
	}
	strange, err := tracking.ParseRequest(wire.Binary, []byte("\x08\x00\x01\x00\x00\x00\x01\x0d\x00\x03\x0b\x08\x00\x00\x00\x01\x00\x00\x00\x01k\x00\x00\x00\x01\x02\x00\x09\x01\x00"))
	if d := cmp.Diff(&tracking.Header{}, strange); d != "" || err != nil {
		t.Errorf("fields of other types: %v %s", err, d)
	}
}

// Sequence numbers nest, meta is inherited and merged, and nothing of the parent changes. Source: TrackerBase.gen_header.
func TestChild(t *testing.T) {
	root := (*tracking.Header)(nil).Child(1, "RID", map[string]string{"a": "1"})
	second := root.Child(2, "other", map[string]string{"b": "2"})
	third := second.Child(1, "other", map[string]string{"a": "3"})
	want := []*tracking.Header{
		{RequestID: "RID", Seq: "1", Meta: map[string]string{"a": "1"}},
		{RequestID: "RID", Seq: "1.2", Meta: map[string]string{"a": "1", "b": "2"}},
		{RequestID: "RID", Seq: "1.2.1", Meta: map[string]string{"a": "3", "b": "2"}},
	}
	if d := cmp.Diff(want, []*tracking.Header{root, second, third}); d != "" {
		t.Error(d)
	}
}

// Whatever the bytes: no panic, an error of the kind that is promised, and what was read is written and read again.
func FuzzParse(f *testing.F) {
	for _, p := range protocols {
		f.Add(tracking.AppendRequest(nil, p, &tracking.Header{RequestID: "RID", Seq: "1", Meta: map[string]string{"k": "v"}}))
		f.Add(tracking.AppendHandshake(nil, p, tracking.Handshake{AppID: "a", Version: 2}))
		f.Add(tracking.AppendResponse(nil, p, map[string]string{"k": "v"}))
	}
	f.Add([]byte("\x0d\x00\x01\x0b\x0b\x7f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range protocols {
			h, err := tracking.ParseRequest(p, b)
			if err == nil {
				again, err := tracking.ParseRequest(p, tracking.AppendRequest(nil, p, h))
				if d := cmp.Diff(h, again); err == nil && d != "" {
					t.Fatal(d)
				}
			} else if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Fatalf("%T %v", err, err)
			}
			_, _ = tracking.ParseHandshake(p, b)
			_, _ = tracking.ParseGrant(p, b)
			_, _ = tracking.ParseResponse(p, b)
		}
	})
}
