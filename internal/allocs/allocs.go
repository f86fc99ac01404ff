// Package allocs measures what tests allow to be allocated.
package allocs

import (
	"runtime"
	"testing"
)

// Slack is what a hostile input may allocate besides a multiple of its bytes: buffers of one size, errors, texts.
const Slack = 64 << 10

// Bound fails the test where f allocates more than factor times the n bytes that it was given, and Slack. What other goroutines allocate
// meanwhile counts as well, so f, which has to be repeatable, is run up to three times and the least counts.
func Bound(t testing.TB, factor, n int, f func()) {
	t.Helper()
	least := ^uint64(0)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if least = min(least, after.TotalAlloc-before.TotalAlloc); least <= uint64(factor*n+Slack) {
			return
		}
	}
	t.Errorf("%d bytes allocated for %d bytes of input, more than %d times and %d", least, n, factor, Slack)
}
