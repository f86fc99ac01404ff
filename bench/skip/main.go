// Command skip measures what it costs to find the end of the struct of about 10 KB: by Thriftloom's resumable scan, which is what the
// gateway does with an unframed message, and by the typed read of Apache's Go library, the code out of thrift-compiler. The passes
// alternate; the least of each counts.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/thriftloom/thriftloom/bench/order"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"

	generated "skip/order"
)

func main() {
	passes := flag.Int("passes", 10, "`number` of passes of each")
	flag.Parse()
	body, err := order.Arguments()
	if err != nil {
		log.Fatal(err)
	}
	scan, read := func(b *testing.B) {
		var s binary.Scanner
		limits := wire.Limits{}.WithDefaults()
		for b.Loop() {
			s.Reset(limits, 0)
			if used, _, err := s.Scan(body); err != nil || used != len(body) {
				b.Fatal(used, err)
			}
		}
	}, func(b *testing.B) {
		b.ReportAllocs()
		ctx, buffer := context.Background(), thrift.NewTMemoryBufferLen(len(body))
		protocol := thrift.NewTBinaryProtocolConf(buffer, nil)
		for b.Loop() {
			buffer.Reset()
			buffer.Write(body)
			args := generated.NewArguments()
			if err := args.Read(ctx, protocol); err != nil || args.Order.ID != 1 {
				b.Fatal(err)
			}
		}
	}
	var ours, theirs testing.BenchmarkResult
	least := func(of *testing.BenchmarkResult, f func(b *testing.B)) {
		if r := testing.Benchmark(f); of.N == 0 || r.NsPerOp() < of.NsPerOp() {
			*of = r
		}
	}
	for range *passes {
		least(&ours, scan)
		least(&theirs, read)
	}
	fmt.Printf("| finding the end of %d bytes | ns | allocations |\n|---|---|---|\n", len(body))
	fmt.Printf("| Thriftloom, resumable scan | %d | %d |\n", ours.NsPerOp(), ours.AllocsPerOp())
	fmt.Printf("| Apache Go v0.25.0, typed read | %d | %d |\n", theirs.NsPerOp(), theirs.AllocsPerOp())
	fmt.Printf("\nRatio 1/%.1f (goal: 1/20 at most), least of %d alternating passes.\n", float64(theirs.NsPerOp())/float64(ours.NsPerOp()), *passes)
}
