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
		if next := percent(counted()); next > now+now/8 || next < now-now/8 { // to set it stops the world
			now = next
			debug.SetGCPercent(int(now))
		}
		onCollection(after)
	}
	onCollection(after)
}

// percent returns GOGC where it counts from so many bytes. The runtime has the heap grow to 4 MiB at least, times GOGC.
func percent(counted int64) int64 {
	return max(100, 100*leeway/max(counted, 4<<20))
}

// onCollection calls f once, after the next collection, on a goroutine that does not wait for it.
func onCollection(f func()) {
	runtime.AddCleanup(new(atomic.Pointer[int]), func(f func()) { f() }, f)
}

// counted returns what GOGC counts from: what the last collection left of the heap, and the stacks and globals that it looked at.
func counted() (bytes int64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			bytes += int64(s.Value.Uint64())
		}
	}
	return bytes
}
