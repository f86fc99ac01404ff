package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"github.com/thriftloom/thriftloom/gateway"
)

const (
	// overhead is what a gateway needs of memory besides the messages that it holds: code, schemas, connections, and what is garbage already.
	overhead = 24 << 20
	// leeway is how many bytes are allocated between two collections at least. What lives in a gateway is small, and was collected forty
	// times a second under load.
	leeway = 24 << 20
)

// limitMemory lets garbage be collected in time for the process to stay within what it may hold and its overhead. GOMEMLIMIT goes before.
func limitMemory(cfg *gateway.Config, env func(string) (string, bool)) {
	if v, ok := env("GOMEMLIMIT"); !ok || v == "" {
		debug.SetMemoryLimit(int64(cfg.MaxBufferedBytes) + overhead)
	}
}

// tuneCollector has garbage collected when the heap has doubled, as ever, but not before it has grown by leeway, until ctx ends. GOGC goes
// before.
func tuneCollector(ctx context.Context, env func(string) (string, bool)) {
	if v, ok := env("GOGC"); ok && v != "" {
		return
	}
	now := int64(100)
	var after func()
	after = func() { // each collection
		if ctx.Err() != nil {
			debug.SetGCPercent(100)
			return
		}
		if next := percent(liveBytes()); next > now+now/8 || next < now-now/8 { // to set it stops the world
			now = next
			debug.SetGCPercent(int(now))
		}
		onCollection(after)
	}
	onCollection(after)
}

// percent returns GOGC for a heap of which so many bytes live.
func percent(live int64) int64 {
	return min(max(100, 100*leeway/max(live, 1)), 100*leeway>>20)
}

// onCollection calls f once, after the next collection, on a goroutine that does not wait for it.
func onCollection(f func()) {
	runtime.AddCleanup(new(atomic.Pointer[int]), func(f func()) { f() }, f)
}

// liveBytes returns how much of the heap the last collection left.
func liveBytes() int64 {
	sample := [1]metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample[:])
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}
