package transport_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// overHTTP is HTTP with the protocol of a client; a server learns it from each body.
func overHTTP(p wire.Protocol) transport.Wire {
	return transport.Wire{Kind: transport.HTTP, Protocol: p}
}

// Requests and responses come apart as they were written, in every protocol, wherever they are cut.
func TestHTTPThereAndBack(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Binary, wire.Compact, wire.JSON, wire.ApacheJSON} {
		for _, typ := range []wire.MessageType{wire.Call, wire.Reply} {
			m := transport.Message{
				Wire: overHTTP(p), Envelope: transport.Envelope{Host: "users.test", Path: "/thrift"}, Head: wire.Head{Name: "get", Seq: 7, Type: typ},
				Headers: []transport.KV{{Key: "traceparent", Value: "00-1-2-01"}, {Key: "bad\r\nkey", Value: "x"}, {Key: "x", Value: "bad\r\nvalue"}, {Key: "Host", Value: "evil"}},
				Body:    appendBody(p, wiretest.Struct()),
			}
			stream := transport.Append(transport.Append(nil, m), m)
			for cut := range stream {
				s := newSplitter(t, overHTTP(wire.Binary), wire.Limits{})
				got := 0
				for _, end := range []int{cut, len(stream)} {
					for at := got * len(stream) / 2; at < end; {
						back, used, need, err := s.Split(stream[at:end])
						if err != nil || used == 0 && need <= end-at {
							t.Fatalf("%s %s cut at %d: used %d, need %d of %d, %v", p, typ, cut, used, need, end-at, err)
						}
						if used == 0 {
							break
						}
						at += used
						got++
						if back.Head != m.Head || back.Wire != m.Wire || string(back.Body) != string(m.Body) || len(back.Headers) != 1 || back.Headers[0] != m.Headers[0] || back.Envelope.Close {
							t.Fatalf("%s %s: %+v", p, typ, back)
						}
					}
				}
				if got != 2 {
					t.Fatalf("%s %s cut at %d: %d messages", p, typ, cut, got)
				}
			}
		}
	}
}

// A response without a length ends with its message, and its connection with it; one to a oneway has none. A status that is not 200 is no
// reply, and says so.
func TestHTTPResponses(t *testing.T) {
	body := string(transport.Append(nil, transport.Message{Wire: bufferedBinary, Head: wire.Head{Name: "get", Seq: 7, Type: wire.Reply}, Body: []byte{0}}))
	split := func(response string) (transport.Message, int, error) {
		m, used, _, err := newSplitter(t, overHTTP(wire.Binary), wire.Limits{}).Split([]byte(response))
		return m, used, err
	}
	response := "HTTP/1.0 200 OK\r\nContent-Type: application/x-thrift\r\n\r\n" + body
	if m, used, err := split(response); m.Head.Seq != 7 || !m.Envelope.Close || used != len(response) || err != nil {
		t.Errorf("%+v, %d, %v", m, used, err)
	}
	if m, used, err := split("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); m.Head.Type != 0 || m.Envelope.Close || used == 0 || err != nil {
		t.Errorf("%+v, %d, %v", m, used, err)
	}
	_, _, err := split("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!")
	if bad, ok := errors.AsType[*transport.Malformed](err); !ok || bad.Err.Text != "the peer answers with HTTP status 502" {
		t.Errorf("%v", err)
	}
}

// Whatever the stream: in any pieces it comes apart as it does at once, and costs a small multiple of its bytes.
func FuzzHTTP(f *testing.F) {
	call := transport.Message{Wire: overHTTP(wire.Binary), Envelope: transport.Envelope{Host: "x"}, Head: wire.Head{Name: "get", Seq: 7, Type: wire.Call}, Body: []byte{0}}
	good := transport.Append(nil, call)
	f.Add(append(slices.Clone(good), good...), uint64(1))
	call.Head.Type = wire.Reply
	f.Add(transport.Append(nil, call), uint64(2))
	for _, text := range []string{
		"GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n\x80\x01\x00\x01\x00\x00\x00\x04echo\x00\x00\x00\x07\x00\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\n\x80\x01\x00\x02\x00\x00\x00\x04echo\x00\x00\x00\x07\x00", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(text), uint64(len(text)))
	}
	f.Fuzz(func(t *testing.T, buf []byte, seed uint64) {
		limits := wire.Limits{MessageBytes: 1000, Depth: 8, NameBytes: 100}
		fresh := func() transport.Splitter { return newSplitter(t, overHTTP(wire.Binary), limits) }
		allocs.Bound(t, 64, len(buf), func() { _, _, _, _ = fresh().Split(buf) })
		rng := rand.New(rand.NewPCG(seed, 0))
		var pieces [][]byte
		for rest := buf; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(1<<rng.IntN(8)))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		want, got := feed(t, fresh(), buf), feed(t, fresh(), pieces...)
		if !slices.Equal(got, want) {
			t.Fatalf("in %d pieces:\n%q\nat once:\n%q", len(pieces), got, fmt.Sprint(want))
		}
	})
}
