package memcached

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
)

func BenchmarkGet(b *testing.B) {
	nodes := startNodes(b, 1)
	s := open(b, nodes...)
	groups := []cache.ID{id(1001), id(1002)}
	l := must(s.Acquire(b.Context(), id(1), groups, time.Hour))(b)
	_ = must(s.Put(b.Context(), id(1), l, bytes.Repeat([]byte("x"), 500), time.Hour))(b)
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
			get := func() {
				if got, err := s.Get(b.Context(), id(1), groups); err != nil || len(got.Value) != 500 || got.Versions[1] == 0 {
					b.Errorf("%+v, %v", got, err)
				}
			}
			if callers == 1 {
				for b.Loop() {
					get()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					get()
				}
			})
		})
	}
}
