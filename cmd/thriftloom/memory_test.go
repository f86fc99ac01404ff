package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
)

// The less lives, the more garbage there may be in proportion, up to a bound; of what is large there may be as much again.
func TestPercent(t *testing.T) {
	for counted, want := range map[int64]int64{0: 600, 4 << 20: 600, 12 << 20: 200, 24 << 20: 100, 1 << 30: 100} {
		if got := percent(counted); got != want {
			t.Errorf("%d bytes: %d, want %d", counted, got, want)
		}
	}
}

// GOGC follows what lives from collection to collection, and is what it was when the gateway has ended.
func TestTuneCollector(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	set := func() int { p := debug.SetGCPercent(100); debug.SetGCPercent(p); return p }
	until := func(what string, ok func(int) bool) {
		t.Helper()
		for range 1000 {
			runtime.GC()
			if ok(set()) {
				return
			}
		}
		t.Errorf("%s: GOGC is %d", what, set())
	}
	ctx, end := context.WithCancel(t.Context())
	tuneCollector(ctx, func(string) (string, bool) { return "", false })
	until("little lives", func(p int) bool { return p > 100 })
	much := make([]byte, 2*leeway)
	until("much lives", func(p int) bool { return p == 100 })
	runtime.KeepAlive(much)
	until("little lives again", func(p int) bool { return p > 100 })
	end()
	until("it has ended", func(p int) bool { return p == 100 })

	tuneCollector(t.Context(), func(string) (string, bool) { return "50", true })
	runtime.GC()
	if p := set(); p != 100 {
		t.Errorf("GOGC is %d though the environment has its say", p)
	}
}
