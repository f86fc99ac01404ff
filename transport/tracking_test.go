package transport_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// trackingHeaders are headers before calls and before replies, the last without fields.
var trackingHeaders = []wiretest.Value{
	wiretest.Struct(1, wiretest.String("RID"), 2, wiretest.String("1"), 3, wiretest.Map(wire.String, wire.String)),
	wiretest.Struct(1, wiretest.String("RID"), 2, wiretest.String("1.2"),
		3, wiretest.Map(wire.String, wire.String, wiretest.String("k"), wiretest.String("v"))),
	wiretest.Struct(1, wiretest.Map(wire.String, wire.String, wiretest.String("k"), wiretest.String("v"))),
	wiretest.Struct(),
}

// tracks reports whether headers stand before messages in w: they are read in binary and compact alone, and not in THeader, which has its
// own.
func tracks(w transport.Wire) bool {
	return (w.Kind == transport.Buffered || w.Kind == transport.Framed) && (w.Protocol == wire.Binary || w.Protocol == wire.Compact)
}

// A header stands before a message or not, from one message to the next, and each goes to its own message, wherever the bytes are cut.
func TestTrackingHeaders(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		if !tracks(w) {
			return
		}
		var stream []byte
		var want []string
		for i := range 3 * len(trackingHeaders) {
			m := transport.Message{Wire: w, Head: wire.Head{Name: "get", Seq: int32(i), Type: wire.Call}, Body: appendBody(w.Protocol, wiretest.Struct(1, wiretest.I64(7)))}
			line := fmt.Sprintf("%+v %x", m.Head, m.Body)
			if i%3 > 0 {
				m.Tracking = appendBody(w.Protocol, trackingHeaders[i/3])
				line += fmt.Sprintf(" behind %x", m.Tracking)
			}
			stream, want = transport.Append(stream, m), append(want, line)
		}
		for name, pieces := range map[string][][]byte{"at once": {stream}, "byte by byte": eachByte(stream)} {
			if d := cmp.Diff(want, feed(t, newSplitter(t, w, wire.Limits{}), pieces...)); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	})
}

// A header has a limit of its own, and it is no message: what is not framed cannot be trusted behind one that is too long.
func TestTrackingHeaderLimit(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		if !tracks(w) {
			return
		}
		long := wiretest.Struct(1, wiretest.String(string(bytes.Repeat([]byte("x"), 70_000))))
		m := transport.Message{Wire: w, Head: wire.Head{Name: "get", Type: wire.Call}, Tracking: appendBody(w.Protocol, long), Body: []byte{0}}
		stream := transport.Append(nil, m)
		_, used, _, err := newSplitter(t, w, wire.Limits{}).Split(stream)
		bad, ok := err.(*transport.Malformed) //nolint:errorlint // the splitter's contract
		if !ok || used != 0 || bad.Err.Reason != wire.SizeLimit || bad.HeadOK {
			t.Fatalf("used %d, %v", used, err)
		}
		if framed := w.Kind == transport.Framed; framed != (bad.Skip == len(stream)) {
			t.Errorf("skip is %d of %d", bad.Skip, len(stream))
		}
	})
}
