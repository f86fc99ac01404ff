package binary_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// A scan in any pieces finds what Skip finds in the whole: the same end, or a mistake in the same bytes.
func FuzzScan(f *testing.F) {
	for i, c := range wiretest.Structs() {
		f.Add(wiretest.AppendBinary(nil, c.Body), uint64(i))
	}
	for i, c := range hostile {
		if body := unhex(f, c.body); len(body) < 1000 {
			f.Add(body, uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		limits := wire.Limits{MessageBytes: len(body) + 1, Depth: 8}
		used, skipErr := binary.Skip(body, wire.Struct, limits)
		allocs.Bound(t, 4, len(body), func() {
			_, _ = binary.Skip(body, wire.Struct, limits)
			var s binary.Scanner
			s.Reset(limits, 1)
			_, _, _ = s.Scan(body)
		})

		var s binary.Scanner
		s.Reset(limits, 1)
		rng := rand.New(rand.NewPCG(seed, 0))
		var end, need int
		var scanErr error
		for n := 0; end == 0 && scanErr == nil; n = min(len(body), max(n+1, n+rng.IntN(8))) {
			end, need, scanErr = s.Scan(body[:n:n])
			if end == 0 && scanErr == nil && (need <= n || need > len(body)) {
				t.Fatalf("of %d bytes %d are there and %d are wanted", len(body), n, need)
			}
		}
		if end != used || (scanErr == nil) != (skipErr == nil) {
			t.Fatalf("Scan = %d, %v; Skip = %d, %v", end, scanErr, used, skipErr)
		}
		if scanErr == nil {
			return
		}
		// What the scan calls too long is cut off to Skip: the limit is where the bytes end. And a type byte tells the scan that the struct
		// behind the field's id, which has not come, is too deep.
		got, want := reasonOf(scanErr), reasonOf(skipErr)
		if got != want && (want != wire.Truncated || got != wire.SizeLimit && got != wire.DepthLimit) {
			t.Fatalf("Scan: %v (%s); Skip: %v (%s)", scanErr, got, skipErr, want)
		}
	})
}

// A head that is read is written back as it was, but for the byte that strict heads leave unused; one that is cut off is short.
func FuzzParseHead(f *testing.F) {
	for _, v := range wiretest.BinaryVectors() {
		f.Add(v.Bytes[:min(len(v.Bytes), 30)])
	}
	f.Add([]byte("\x80\x01\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, buf []byte) {
		h, used, err := binary.ParseHead(buf, wire.Limits{NameBytes: 20})
		if err == binary.ErrShort {
			if longer := append(bytes.Clone(buf), make([]byte, 40)...); used != 0 {
				t.Fatalf("short, and %d bytes used", used)
			} else if _, _, err := binary.ParseHead(longer, wire.Limits{NameBytes: 20}); err == binary.ErrShort {
				t.Fatal("short with 40 bytes more")
			}
			return
		}
		if used == 0 {
			if reasonOf(err) == "" {
				t.Fatalf("no head, and no reason: %v", err)
			}
			return
		}
		want := bytes.Clone(buf[:used])
		if !h.NonStrict {
			want[2] = 0
		}
		if got := binary.AppendHead(nil, h); !bytes.Equal(got, want) {
			t.Fatalf("%x is written back as %x", want, got)
		}
		for cut := range used {
			if _, _, err := binary.ParseHead(buf[:cut], wire.Limits{NameBytes: 20}); err != binary.ErrShort {
				t.Fatalf("%d of %d bytes: %v", cut, used, err)
			}
		}
	})
}

// shapes are bodies that calls really have, for the benchmarks.
func shapes() []wiretest.Case {
	user := func() wiretest.Value {
		return wiretest.Struct(1, wiretest.I64(7), 2, wiretest.String("Ada Lovelace"), 3, wiretest.Bool(true), 4, wiretest.Double(0.5),
			5, wiretest.List(wire.String, wiretest.Repeat(3, wiretest.String("tag"))...),
			6, wiretest.Map(wire.String, wire.I64, wiretest.String("logins"), wiretest.I64(3)))
	}
	return []wiretest.Case{
		{Name: "id", Body: wiretest.Struct(1, wiretest.I64(7))},
		{Name: "user", Body: wiretest.Struct(0, user())},
		{Name: "users100", Body: wiretest.Struct(0, wiretest.List(wire.Struct, wiretest.Repeat(100, user())...))},
		{Name: "strings1000", Body: wiretest.Struct(0, wiretest.List(wire.String, wiretest.Repeat(1000, wiretest.String("a tag"))...))},
		{Name: "doubles10000", Body: wiretest.Struct(0, wiretest.List(wire.Double, wiretest.Repeat(10_000, wiretest.Double(1))...))},
	}
}

func BenchmarkScan(b *testing.B) {
	for _, c := range shapes() {
		body := wiretest.AppendBinary(nil, c.Body)
		b.Run("shape="+c.Name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var s binary.Scanner
			for b.Loop() {
				s.Reset(wire.Limits{}, 12)
				if end, _, err := s.Scan(body); end != len(body) {
					b.Fatal(end, err)
				}
			}
		})
	}
}

func BenchmarkSkip(b *testing.B) {
	for _, c := range shapes() {
		body := wiretest.AppendBinary(nil, c.Body)
		b.Run("shape="+c.Name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if used, err := binary.Skip(body, wire.Struct, wire.Limits{}); used != len(body) {
					b.Fatal(used, err)
				}
			}
		})
	}
}
