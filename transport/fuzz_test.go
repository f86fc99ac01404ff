package transport_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// addStreams seeds f with good messages of every wire and with the hostile streams.
func addStreams(f *testing.F, add func(buf []byte)) {
	for _, w := range wires {
		messages := corpus(w)
		for i, m := range messages {
			if len(m) < 200 {
				add(append(bytes.Clone(m), messages[(i+1)%len(messages)]...))
			}
		}
	}
	for _, w := range wires {
		for _, header := range trackingHeaders {
			if !tracks(w) {
				break
			}
			m := transport.Message{Wire: w, Head: wire.Head{Name: "get", Type: wire.Reply}, Tracking: appendBody(w.Protocol, header), Body: []byte{0}}
			add(transport.Append(transport.Append(nil, m), m))
		}
	}
	packed := transport.Message{
		Wire: headerCompact, Envelope: transport.Envelope{Zlib: true}, Head: wire.Head{Name: "get", Seq: 7, Type: wire.Call},
		Headers: []transport.KV{{Key: "traceparent", Value: "00-1-2-01"}, {Key: "k"}}, Body: []byte{0},
	}
	add(transport.Append(transport.Append(nil, packed), packed))
	for _, c := range hostile {
		if buf := unhex(f, c.bytes); len(buf) < 1000 {
			add(buf)
		}
	}
	for _, c := range hostileHTTP {
		if len(c.stream) < 1000 {
			add([]byte(c.stream))
		}
	}
}

// More bytes never change what detection has found, and it never asks for bytes that are there.
func FuzzDetect(f *testing.F) {
	addStreams(f, func(buf []byte) { f.Add(buf[:min(len(buf), 40)]) })
	f.Fuzz(func(t *testing.T, buf []byte) {
		w, nonStrict, need, err := transport.Detect(buf)
		if need != 0 && (need <= len(buf) || err != nil || w != transport.Wire{}) {
			t.Fatalf("%v, need %d of %d, %v", w, need, len(buf), err)
		}
		for cut := range buf {
			w2, nonStrict2, need2, err2 := transport.Detect(buf[:cut])
			decided := need2 == 0 || err2 != nil
			if decided && (w2 != w || nonStrict2 != nonStrict || need != 0 || (err2 == nil) != (err == nil)) {
				t.Fatalf("of %d bytes %v, %v; of %d %v, %v", cut, w2, err2, len(buf), w, err)
			}
			if !decided && need2 <= cut {
				t.Fatalf("%d bytes are there and %d are wanted", cut, need2)
			}
		}
		if err == nil && need == 0 {
			if _, err := transport.NewSplitter(w, wire.Limits{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A stream in any pieces comes apart as it does at once, mistakes included.
func FuzzSplit(f *testing.F) {
	addStreams(f, func(buf []byte) {
		for mode := range uint8(len(wires) + 1) {
			f.Add(buf, uint64(len(buf)), mode)
		}
	})
	f.Fuzz(func(t *testing.T, buf []byte, seed uint64, mode uint8) {
		limits := wire.Limits{MessageBytes: 1000, Depth: 8, NameBytes: 100}
		fresh := func() transport.Splitter {
			all := splitters(t, limits)
			return all[int(mode)%len(all)]
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		var pieces [][]byte
		for rest := buf; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(1<<rng.IntN(8)))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		want, got := feed(t, fresh(), buf), feed(t, fresh(), pieces...)
		if !slices.Equal(got, want) {
			t.Fatalf("in %d pieces:\n%q\nat once:\n%q", len(pieces), got, want)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	user := wiretest.Struct(1, wiretest.I64(7), 2, wiretest.String("Ada Lovelace"), 3, wiretest.Bool(true),
		4, wiretest.List(wire.String, wiretest.Repeat(3, wiretest.String("tag"))...))
	shapes := []wiretest.Case{
		{Name: "id", Body: wiretest.Struct(1, wiretest.I64(7))},
		{Name: "user", Body: wiretest.Struct(0, user)},
		{Name: "users100", Body: wiretest.Struct(0, wiretest.List(wire.Struct, wiretest.Repeat(100, user)...))},
	}
	for _, w := range wires {
		for _, c := range shapes {
			body := appendBody(w.Protocol, c.Body)
			m := transport.Append(nil, transport.Message{Wire: w, Head: wire.Head{Name: "getUser", Type: wire.Call}, Body: body})
			b.Run("transport="+w.Kind.String()+"/protocol="+w.Protocol.String()+"/shape="+c.Name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(m)))
				s := newSplitter(b, w, wire.Limits{})
				for b.Loop() {
					if _, used, _, err := s.Split(m); used != len(m) {
						b.Fatal(used, err)
					}
				}
			})
		}
	}
}

// Whatever the stream: byte by byte it comes apart as at once, mistakes included, and costs at most four times its bytes; of a packed
// payload, what the message limit allows it to unpack to, and of a request of HTTP some kilobytes besides, which net/http takes for its lines.
func FuzzEveryByte(f *testing.F) {
	addStreams(f, func(buf []byte) {
		for mode := range uint8(len(wires) + 1) {
			f.Add(buf, mode)
		}
	})
	f.Fuzz(func(t *testing.T, buf []byte, mode uint8) {
		limits := wire.Limits{MessageBytes: 1 << 20}
		fresh := func() transport.Splitter { all := splitters(t, limits); return all[int(mode)%len(all)] }
		factor, unpacked := 4, bytes.Count(buf, []byte{0x0f, 0xff})*limits.MessageBytes
		if bytes.Contains(buf, []byte("HTTP/")) {
			factor = 200
		}
		allocs.Bound(t, factor, len(buf)+unpacked, func() {
			s := fresh()
			for rest := buf; len(rest) > 0; {
				_, used, _, err := s.Split(rest)
				if bad, isBad := errors.AsType[*transport.Malformed](err); isBad {
					used = bad.Skip
				}
				if used == 0 {
					break
				}
				rest = rest[used:]
			}
		})
		if len(buf) > 4<<10 { // the pieces are put together anew for each byte
			buf = buf[:4<<10]
		}
		want, got := feed(t, fresh(), buf), feed(t, fresh(), eachByte(buf)...)
		if !slices.Equal(got, want) {
			t.Fatalf("byte by byte:\n%q\nat once:\n%q", got, want)
		}
	})
}

// splitters are a detector, and one for each wire.
func splitters(t testing.TB, limits wire.Limits) []transport.Splitter {
	all := []transport.Splitter{transport.NewDetector(limits, nil)}
	for _, w := range wires {
		all = append(all, newSplitter(t, w, limits))
	}
	return all
}

// A message that is given up anywhere is used up as far as it goes: what follows is found where it is found without that.
func FuzzShed(f *testing.F) {
	addStreams(f, func(buf []byte) { f.Add(buf, uint16(len(buf)/2), uint8(len(buf))) })
	f.Fuzz(func(t *testing.T, buf []byte, cut uint16, mode uint8) {
		limits := wire.Limits{MessageBytes: 1000, Depth: 8, NameBytes: 100}
		_, length, _, err := splitters(t, limits)[1+int(mode)%len(wires)].Split(buf)
		if err != nil || length < 2 {
			return
		}
		at := 1 + int(cut)%(length-1)
		s := splitters(t, limits)[1+int(mode)%len(wires)].(transport.Shedder)
		if _, used, _, err := s.Split(buf[:at]); used != 0 || err != nil {
			t.Fatalf("of %d bytes %d are a message of %d: %v", at, used, length, err)
		}
		if _, ok := s.Peek(buf[:at]); !ok {
			return
		}
		if used := shedAll(t, s, buf, at, 1+int(mode)%7); used != length {
			t.Fatalf("a message of %d bytes, given up at %d: %d were used", length, at, used)
		}
		if want, got := feed(t, splitters(t, limits)[1+int(mode)%len(wires)], buf[length:]), feed(t, s, buf[length:]); !slices.Equal(got, want) {
			t.Fatalf("behind it:\n%q\nwant:\n%q", got, want)
		}
	})
}
