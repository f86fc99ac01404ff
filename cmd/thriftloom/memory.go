package main

import (
	"runtime"
	"runtime/debug"

	"github.com/thriftloom/thriftloom/gateway"
)

// overhead is what a gateway needs of memory besides the messages that it holds: code, schemas, connections, and what is garbage already.
const overhead = 24 << 20

// ballast is never written to, so that it takes no memory of the machine: the collector, which begins when the heap has doubled, counts
// it. A gateway's own heap is small, and was collected forty times a second under load.
var ballast []byte

const ballastBytes = 24 << 20

// tuneMemory sets the collector up for a gateway. GOGC and GOMEMLIMIT go before.
func tuneMemory(env func(string) (string, bool)) {
	if v, ok := env("GOGC"); !ok || v == "" {
		ballast = make([]byte, ballastBytes)
		runtime.KeepAlive(ballast)
	}
}

// limitMemory lets garbage be collected in time for the process to stay within what it may hold and its overhead.
func limitMemory(cfg *gateway.Config, env func(string) (string, bool)) {
	if v, ok := env("GOMEMLIMIT"); !ok || v == "" {
		debug.SetMemoryLimit(int64(cfg.MaxBufferedBytes) + overhead + int64(len(ballast)))
	}
}
