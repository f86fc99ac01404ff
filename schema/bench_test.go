package schema

import (
	"fmt"
	"strings"
	"testing"
)

// generated returns an IDL of about so many lines, of the shapes that real ones have: comments, enums, typedefs, structs with
// containers and defaults, exceptions, services that extend others.
func generated(lines int) string {
	var b strings.Builder
	b.WriteString("namespace py generated\n\n")
	for i := range lines / 25 {
		fmt.Fprintf(&b, `/**
 * Kind%[1]d says what an Item%[1]d is.
 */
enum Kind%[1]d { ONE = 1, TWO, FIVE = 5 }
typedef map<string, list<Item%[1]d>> Items%[1]d
const i32 LIMIT%[1]d = %[1]d

struct Item%[1]d {
  1: required i64 id,                   // its key
  2: optional string name = "item %[1]d",
  3: Kind%[1]d kind = Kind%[1]d.TWO,
  4: list<string> tags,
  5: map<i32, set<Item%[2]d>> others,
  6: optional Items%[1]d parts,
  7: i32 limit = LIMIT%[1]d (unit = "pieces"),
  8: double weight = 1.5,
}
exception Failed%[1]d { 1: string message, 2: i32 code }

service Service%[1]d%[3]s {
  Item%[1]d get%[1]d(1: i64 id, 2: bool fresh = false) throws (1: Failed%[1]d failed),
  /** Stores an item. */
  void put%[1]d(1: Item%[1]d item) throws (1: Failed%[1]d failed),
  oneway void touch%[1]d(1: i64 id)
}
`, i, i+1, map[bool]string{true: fmt.Sprintf(" extends Service%d", i-1)}[i%8 > 0])
	}
	fmt.Fprintf(&b, "struct Item%d {}\n", strings.Count(b.String(), "exception"))
	return b.String()
}

// An IDL of ten thousand lines loads, whole.
func TestLargeFile(t *testing.T) {
	src := generated(10_000)
	if n := strings.Count(src, "\n"); n < 10_000 {
		t.Fatalf("only %d lines", n)
	}
	d := MustParse(src)
	if len(d.Services) != 400 || len(d.Structs) != 801 || len(d.Services[7].Methods) != 24 {
		t.Fatalf("%d services, %d structs, %d methods", len(d.Services), len(d.Structs), len(d.Services[7].Methods))
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, lines := range []int{300, 10_000} {
		src := []byte(generated(lines))
		b.Run(fmt.Sprintf("lines=%d", lines), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				if _, err := LoadBytes("idl", src, Options{FS: noFiles{}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFingerprint(b *testing.B) {
	d := MustParse(generated(10_000))
	b.ReportAllocs()
	for b.Loop() {
		d.Fingerprint()
	}
}
