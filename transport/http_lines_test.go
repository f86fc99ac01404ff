package transport_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// call is a message of 14 bytes: a call of "a", with sequence id 7 and no arguments.
const call = "\x80\x01\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x07\x00"

// A message comes out of a body whatever says how long that is, with the header lines that are the call's own, and in the protocol that the
// body is in.
func TestHTTP(t *testing.T) {
	const post, ok = "POST /users HTTP/1.1\r\nHost: a:1\r\n", "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		name, stream string
		protocol     wire.Protocol
		last         bool
		headers      []transport.KV
	}{
		{"length", post + "Content-Length: 14\r\n\r\n" + call, wire.Binary, false, nil},
		{"length in other case, with blanks", post + "content-LENGTH: \t 14 \r\n\r\n" + call, wire.Binary, false, nil},
		{"last of its connection", post + "Connection: Close\r\nContent-Length: 14\r\n\r\n" + call, wire.Binary, true, nil},
		{"HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 14\r\n\r\n" + call, wire.Binary, true, nil},
		{"HTTP/1.0 kept", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 14\r\n\r\n" + call, wire.Binary, false, nil},
		{"chunks", post + "Transfer-Encoding: chunked\r\n\r\n1\r\n\x80\r\n0d;a=b\r\n" + call[1:] + "\r\n0\r\nX: y\r\n\r\n", wire.Binary, false, nil},
		{"headers", post + "X-B: 2\r\nx-a: 1\r\nX-B: 3\r\nContent-Type: application/x-thrift\r\nContent-Length: 14\r\n\r\n" + call, wire.Binary, false,
			[]transport.KV{{"x-a", "1"}, {"x-b", "2"}, {"x-b", "3"}}},
		{"non-strict", post + "Content-Length: 11\r\n\r\n\x00\x00\x00\x01a\x01\x00\x00\x00\x07\x00", wire.Binary, false, nil},
		{"compact", post + "Content-Length: 6\r\n\r\n\x82\x21\x07\x01a\x00", wire.Compact, false, nil},
		{"Apache's JSON", post + "Content-Length: 14\r\n\r\n[1,\"a\",1,7,{}]", wire.ApacheJSON, false, nil},
		{"response", ok + "Content-Length: 14\r\n\r\n" + call, wire.Binary, false, nil},
		{"response in chunks", ok + "Transfer-Encoding: chunked\r\n\r\ne\r\n" + call + "\r\n0\r\n\r\n", wire.Binary, false, nil},
		{"response without a length", "HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6\r\n\r\n" + call, wire.Binary, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, used, _, err := newSplitter(t, httpBinary, wire.Limits{}).Split([]byte(c.stream))
			want := wire.Head{Name: "a", Seq: 7, Type: wire.Call, NonStrict: c.name == "non-strict"}
			if err != nil || used != len(c.stream) || m.Head != want || m.Wire != (transport.Wire{Kind: transport.HTTP, Protocol: c.protocol}) ||
				m.Envelope.Close != c.last || !reflect.DeepEqual(m.Headers, c.headers) {
				t.Errorf("%+v, used %d of %d, %v", m, used, len(c.stream), err)
			}
			if got := feed(t, newSplitter(t, httpBinary, wire.Limits{}), eachByte([]byte(c.stream))...); len(got) != 1 || strings.Contains(got[0], "error") {
				t.Errorf("byte by byte: %q", got)
			}
		})
	}
}

// What is encoded comes out again, and header lines that would end, or be others, stay out.
func TestHTTPEncode(t *testing.T) {
	m := transport.Message{
		Wire: httpBinary, Envelope: transport.Envelope{Host: "a:1", Path: "/users"}, Head: wire.Head{Name: "a", Seq: 7, Type: wire.Call}, Body: []byte{0},
		Headers: []transport.KV{{"x-a", "1"}, {"x-b\r\nx-c", "2"}, {"x-d", "3\r\nx-e: 4"}, {"host", "b"}, {"Content-Length", "5"}, {"", "6"}, {"x f", "7"}, {"x-n", "\x00"}},
	}
	const want = "POST /users HTTP/1.1\r\nHost: a:1\r\nAccept: application/x-thrift\r\nUser-Agent: thriftloom\r\n" +
		"Content-Type: application/x-thrift\r\nx-a: 1\r\nContent-Length: 14\r\n\r\n" + call
	if got := string(transport.Append(nil, m)); got != want {
		t.Errorf("%q\nwant:\n%q", got, want)
	}
	m.Head.Type, m.Envelope = wire.Reply, transport.Envelope{Close: true}
	back, _, _, err := newSplitter(t, httpBinary, wire.Limits{}).Split(transport.Append(nil, m))
	if m.Headers = m.Headers[:1]; err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("the answer came back as %+v, %v", back, err)
	}
}

// hostileHTTP are streams that are refused, with the status that a caller is told.
var hostileHTTP = []struct {
	name, stream string
	want         wire.Reason
	status       int
}{
	{"not HTTP", "POST /\r\n\r\n", wire.BadValue, 400},
	{"HTTP/1.2", "POST / HTTP/1.2\r\nContent-Length: 14\r\n\r\n" + call, wire.BadValue, 505},
	{"GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", wire.BadValue, 405},
	{"no length", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", wire.BadValue, 411},
	{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\nContent-Length: 14\r\n\r\n" + call, wire.BadValue, 400},
	{"two lengths in one line", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14, 14\r\n\r\n" + call, wire.BadValue, 400},
	{"a length and chunks", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", wire.BadValue, 400},
	{"chunks twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", wire.BadValue, 400},
	{"another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", wire.BadValue, 400},
	{"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", wire.BadValue, 501},
	{"a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", wire.BadValue, 400},
	{"a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +14\r\n\r\n" + call, wire.BadValue, 400},
	{"a length in hex", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0xe\r\n\r\n" + call, wire.BadValue, 400},
	{"a length of 2^64", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", wire.BadValue, 400},
	{"a length beyond the limit", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n", wire.SizeLimit, 413},
	{"a line that goes on", "POST / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\nContent-Length: 14\r\n\r\n" + call, wire.BadValue, 400},
	{"a blank before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 14\r\n\r\n" + call, wire.BadValue, 400},
	{"a bare LF", "POST / HTTP/1.1\r\nHost: a\nX: b\r\nContent-Length: 14\r\n\r\n" + call, wire.BadValue, 400},
	{"a bare CR", "POST / HTTP/1.1\r\nHost: a\rX: b\r\nContent-Length: 14\r\n\r\n" + call, wire.BadValue, 400},
	{"a NUL", "POST / HTTP/1.1\r\nHost: a\x00\r\nContent-Length: 14\r\n\r\n" + call, wire.BadValue, 400},
	{"257 headers", "POST / HTTP/1.1\r\n" + strings.Repeat("a:\r\n", 256) + "Content-Length: 14\r\n\r\n" + call, wire.BadValue, 431},
	{"64 KiB of headers", "POST / HTTP/1.1\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", wire.BadValue, 431},
	{"headers without end", "POST / HTTP/1.1\r\nX: " + strings.Repeat("x", 64<<10), wire.BadValue, 431},
	{"a chunk of no size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n", wire.BadValue, 400},
	{"a chunk of a negative size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", wire.BadValue, 400},
	{"a chunk of 2^64", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n", wire.BadValue, 400},
	{"a chunk with a blank", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\ne \r\n" + call + "\r\n0\r\n\r\n", wire.BadValue, 400},
	{"a chunk longer than its size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n" + call + "\r\n0\r\n\r\n", wire.BadValue, 400},
	{"a bare LF in a chunk's line", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\ne;\n0\r\n" + call + "\r\n0\r\n\r\n", wire.BadValue, 400},
	{"a chunk beyond the limit", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n", wire.SizeLimit, 413},
	{"chunks that are lines", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat("1;"+strings.Repeat("x", 4000)+"\r\na\r\n", 20), wire.SizeLimit, 413},
	{"a trailer without end", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: y\r\n", 2000), wire.BadValue, 400},
	{"an empty body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", wire.BadVersion, 400},
	{"a body of text", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n<html>", wire.BadVersion, 400},
	{"a frame in a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\n\x00\x00\x00\x0e" + call, wire.BadVersion, 400},
	{"HTTP in a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nPOST / HTTP/1.1\r\n\r\n..", wire.BadVersion, 400},
}

// What is wrong is said, in HTTP's words too, and nothing behind it is read.
func TestHTTPHostile(t *testing.T) {
	for _, c := range hostileHTTP {
		t.Run(c.name, func(t *testing.T) {
			_, used, need, err := newSplitter(t, httpBinary, wire.Limits{}).Split([]byte(c.stream))
			bad, ok := errors.AsType[*transport.Malformed](err)
			if !ok || used != 0 || need != 0 || bad.Err.Reason != c.want || bad.HeadOK || bad.Skip != 0 {
				t.Fatalf("%+v, used %d, need %d, %v", bad, used, need, err)
			}
			if answer := string(bad.Answer); !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || !strings.Contains(answer, "Connection: close\r\n") {
				t.Errorf("the caller is told %q", answer)
			}
		})
	}
	t.Run("trailing garbage", func(t *testing.T) { // its sender is known: it is answered, and its connection is kept
		stream := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n" + call + "."
		_, _, _, err := newSplitter(t, httpBinary, wire.Limits{}).Split([]byte(stream))
		bad, ok := errors.AsType[*transport.Malformed](err)
		if !ok || bad.Err.Reason != wire.Trailing || !bad.HeadOK || bad.Message.Head.Name != "a" || bad.Skip != len(stream) {
			t.Errorf("%+v", bad)
		}
	})
}

// Who is called takes no responses: they may end without saying where, and each could hold another.
func TestHTTPResponseToServer(t *testing.T) {
	const empty = "HTTP/1.1 200 OK\r\n\r\n"
	first := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n" + call
	for name, stream := range map[string]string{"at once": strings.Repeat(empty, 20_000), "behind a request": first + strings.Repeat(empty, 20_000)} {
		d := transport.NewDetector(wire.Limits{}, nil)
		out := feed(t, d, []byte(stream))
		if !strings.Contains(out[len(out)-1], "a response where a request should begin") && !strings.Contains(out[len(out)-1], "an HTTP response") {
			t.Errorf("%s: %q", name, out)
		}
	}
	// Nor does a client look for a response in a response.
	nested := []byte(strings.Repeat(empty, 20_000))
	allocs.Bound(t, 1, len(nested), func() {
		_, used, _, err := newSplitter(t, httpBinary, wire.Limits{}).Split(nested)
		if used != 0 || err == nil {
			t.Errorf("used %d, %v", used, err)
		}
	})
}

// A response that is no success is an error with its status, also where its body's end is not known.
func TestHTTPStatusAnywhere(t *testing.T) {
	for _, stream := range []string{
		"HTTP/1.0 501 Unsupported method\r\nServer: BaseHTTP/0.6\r\n\r\n<html>", "HTTP/1.1 501 No\r\nContent-Length: 99\r\n\r\n<ht", "HTTP/1.1 501 No\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		_, _, _, err := newSplitter(t, httpBinary, wire.Limits{}).Split([]byte(stream))
		if err == nil || !strings.Contains(err.Error(), "HTTP status 501") {
			t.Errorf("%q: %v", stream, err)
		}
	}
}
