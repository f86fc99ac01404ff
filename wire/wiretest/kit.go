package wiretest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/wire"
)

// Protocol is what the kit needs of a protocol.
type Protocol struct {
	AppendHead func(dst []byte, h wire.Head) []byte
	ParseHead  func(buf []byte, limits wire.Limits) (h wire.Head, used int, err error)
	ErrShort   error // what ParseHead returns while bytes are missing
	Append     func(dst []byte, v Value) []byte
	Skip       func(buf []byte, t wire.Type, limits wire.Limits) (used int, err error)
	NewScanner func() Scanner
	NonStrict  bool // whether heads without the version word exist
}

// Scanner finds the end of a struct that comes piece by piece.
type Scanner interface {
	Reset(limits wire.Limits, consumed int)
	Scan(buf []byte) (end, need int, err error)
}

// Test checks p against the kit's promises.
func Test(t *testing.T, p Protocol) {
	t.Run("heads", func(t *testing.T) { testHeads(t, p) })
	t.Run("limits", func(t *testing.T) { testLimits(t, p) })
	t.Run("reuse", func(t *testing.T) { testReuse(t, p) })
	for _, c := range Structs() {
		body := p.Append(nil, c.Body)
		t.Run("whole/"+c.Name, func(t *testing.T) { testWhole(t, p, body) })
		t.Run("pieces/"+c.Name, func(t *testing.T) { testPieces(t, p, body) })
		t.Run("cut/"+c.Name, func(t *testing.T) { testCut(t, p, body) })
	}
}

// A head that was written is read back; what is cut off is short and nothing else; what follows is left alone.
func testHeads(t *testing.T, p Protocol) {
	for _, name := range []string{"", "a", "Users:getUser", "naïve", strings.Repeat("n", wire.DefaultNameBytes)} {
		for _, h := range []wire.Head{
			{Name: name, Seq: 0, Type: wire.Call}, {Name: name, Seq: -1, Type: wire.Reply},
			{Name: name, Seq: math.MaxInt32, Type: wire.Exception}, {Name: name, Seq: math.MinInt32, Type: wire.Oneway},
			{Name: name, Seq: 7, Type: wire.Call, NonStrict: p.NonStrict},
		} {
			buf := p.AppendHead(nil, h)
			got, used, err := p.ParseHead(append(buf, "rest"...), wire.Limits{})
			if got != h || used != len(buf) || err != nil {
				t.Errorf("ParseHead of %+v = %+v, %d, %v", h, got, used, err)
			}
			for cut := range buf {
				if _, _, err := p.ParseHead(buf[:cut], wire.Limits{}); err != p.ErrShort {
					t.Fatalf("ParseHead of %d of %d bytes of %+v: %v", cut, len(buf), h, err)
				}
			}
		}
	}
}

// A bound is reached without a mistake, and one more is a mistake that says which bound.
func testLimits(t *testing.T, p Protocol) {
	for _, depth := range []int{1, 2, 64, 1000} {
		limits := wire.Limits{Depth: depth}
		check(t, p, fmt.Sprint("nested ", depth), p.Append(nil, Nested(depth)), limits, "")
		check(t, p, fmt.Sprint("nested 1 more than ", depth), p.Append(nil, Nested(depth+1)), limits, wire.DepthLimit)
	}
	list := p.Append(nil, Struct(1, List(wire.Struct, Struct(1, Map(wire.I32, wire.I32)))))
	check(t, p, "containers are levels", list, wire.Limits{Depth: 4}, "")
	check(t, p, "containers are levels, 1 more", list, wire.Limits{Depth: 3}, wire.DepthLimit)

	for _, c := range Structs() {
		body := p.Append(nil, c.Body)
		if _, err := scan(p, body, wire.Limits{MessageBytes: 100 + len(body)}, 100); err != nil {
			t.Errorf("%s: a message of exactly the limit: %v", c.Name, err)
		}
		_, err := scan(p, body, wire.Limits{MessageBytes: 100 + len(body) - 1}, 100)
		if reason(err) != wire.SizeLimit {
			t.Errorf("%s: a message of 1 byte more than the limit: %v", c.Name, err)
		}
	}
}

// check wants the same of Skip and of a scan: no error, or one with that reason.
func check(t *testing.T, p Protocol, name string, body []byte, limits wire.Limits, want wire.Reason) {
	t.Helper()
	if _, err := p.Skip(body, wire.Struct, limits); reason(err) != want {
		t.Errorf("%s: Skip: %v, want %q", name, err, want)
	}
	if _, err := scan(p, body, limits, 0); reason(err) != want {
		t.Errorf("%s: Scan: %v, want %q", name, err, want)
	}
}

// A walk over a whole struct ends where the struct ends, whatever follows.
func testWhole(t *testing.T, p Protocol, body []byte) {
	buf := append(body[:len(body):len(body)], 0xff, 0, 1)
	if used, err := p.Skip(buf, wire.Struct, wire.Limits{}); used != len(body) || err != nil {
		t.Errorf("Skip = %d, %v, want %d", used, err, len(body))
	}
	if end, err := scan(p, buf, wire.Limits{}, 0); end != len(body) || err != nil {
		t.Errorf("Scan = %d, %v, want %d", end, err, len(body))
	}
}

// A scan finds the same end however the bytes come, and until then asks for bytes that the struct has.
func testPieces(t *testing.T, p Protocol, body []byte) {
	s := p.NewScanner()
	s.Reset(wire.Limits{}, 0)
	for n := range len(body) + 1 {
		step(t, s, body, n)
	}
	for cut := range body {
		s.Reset(wire.Limits{}, 0)
		step(t, s, body, cut)
		step(t, s, body, len(body))
	}
}

func step(t *testing.T, s Scanner, body []byte, n int) {
	t.Helper()
	end, need, err := s.Scan(body[:n:n])
	whole := n == len(body)
	if err != nil || whole && end != n || !whole && (end != 0 || need <= n || need > len(body)) {
		t.Fatalf("Scan of %d of %d bytes = %d, need %d, %v", n, len(body), end, need, err)
	}
}

// A struct that is cut off is a typed error to Skip, at every byte.
func testCut(t *testing.T, p Protocol, body []byte) {
	for cut := range body {
		_, err := p.Skip(body[:cut:cut], wire.Struct, wire.Limits{})
		if r := reason(err); r != wire.Truncated && r != wire.SizeLimit {
			t.Fatalf("Skip of %d of %d bytes: %v", cut, len(body), err)
		}
	}
}

// A scanner that has seen a struct as deep allocates nothing.
func testReuse(t *testing.T, p Protocol) {
	var bodies [][]byte
	for _, c := range Structs() {
		bodies = append(bodies, p.Append(nil, c.Body))
	}
	s := p.NewScanner()
	allocs := testing.AllocsPerRun(10, func() {
		for _, body := range bodies {
			s.Reset(wire.Limits{}, 0)
			_, _, _ = s.Scan(body[:len(body)/2])
			if end, _, err := s.Scan(body); end != len(body) || err != nil {
				t.Errorf("Scan = %d, %v", end, err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a run", allocs)
	}
}

// scan walks over buf in one step.
func scan(p Protocol, buf []byte, limits wire.Limits, consumed int) (end int, err error) {
	s := p.NewScanner()
	s.Reset(limits, consumed)
	end, _, err = s.Scan(buf)
	return end, err
}

func reason(err error) wire.Reason {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Reason
	}
	return wire.Reason("not a *wire.Error: " + err.Error())
}
