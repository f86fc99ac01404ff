package compact_test

import (
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/compact"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// Whatever the bytes: a walk over all of them, one that goes on byte by byte and the readers agree, and none allocates for what is only
// claimed.
func FuzzWalk(f *testing.F) {
	for _, c := range wiretest.Structs() {
		f.Add(wiretest.AppendCompact(nil, c.Body))
	}
	for _, c := range hostile {
		f.Add(unhex(f, c.bytes))
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		var n int
		var err error
		allocs.Bound(t, 4, len(buf), func() { n, err = compact.Skip(buf, wire.Struct, wire.Limits{}) })
		s := new(compact.Scanner)
		s.Reset(wire.Limits{MessageBytes: len(buf)}, 0)
		end, _, scanErr := s.Scan(buf)
		if err == nil && (end != n || scanErr != nil) {
			t.Fatalf("Skip %d, Scan %d, %v", n, end, scanErr)
		}
		if err != nil && end > 0 {
			t.Fatalf("Skip: %v, Scan %d", err, end)
		}
		if len(buf) > 4096 {
			return
		}
		s.Reset(wire.Limits{MessageBytes: len(buf)}, 0)
		for i := range len(buf) + 1 {
			at, need, err := s.Scan(buf[:i])
			if err != nil || at > 0 {
				if at != end || (err == nil) != (scanErr == nil) {
					t.Fatalf("at %d of %d bytes: %d, %v; at once %d, %v", i, len(buf), at, err, end, scanErr)
				}
				return
			}
			if need <= i {
				t.Fatalf("%d bytes are there and %d are wanted", i, need)
			}
		}
	})
}

// A head that is read is written again as another with the same meaning, and cut off it is short and nothing else.
func FuzzHead(f *testing.F) {
	for _, v := range wiretest.CompactVectors() {
		f.Add(v.Bytes)
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		h, used, err := compact.ParseHead(buf, wire.Limits{})
		if err != nil {
			return
		}
		again, n, err := compact.ParseHead(compact.AppendHead(nil, h), wire.Limits{})
		if again != h || n > used || err != nil {
			t.Fatalf("%+v became %+v, %d of %d bytes, %v", h, again, n, used, err)
		}
		for cut := range used {
			if _, _, err := compact.ParseHead(buf[:cut], wire.Limits{}); err != compact.ErrShort {
				t.Fatalf("%d of %d bytes: %v", cut, used, err)
			}
		}
	})
}
