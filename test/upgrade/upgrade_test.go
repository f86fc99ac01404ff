//go:build linux

package upgrade

import (
	"fmt"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// The gateway is replaced and its workers are restarted, again and again, under 500 calls a second of real ThriftPy clients: no call
// fails, and no client loses its connection.
func TestReplacedUnderLoad(t *testing.T) {
	h := newHost(t, func(h *host) string { return h.kinds(workers(2, "0", "")) })
	defer h.end()
	all := []*callers{
		h.call(peertest.ThriftPy2, "buffered", 250, 10),
		h.call(peertest.ThriftPy2, "framed", 125, 5),
		h.call(peertest.ThriftPy, "buffered", 125, 5),
	}
	start := time.Now()
	pids := h.awaitReplicas(2)
	for left, done := *replacements, 0; left > 0 || done < *restarts; left-- {
		if left > 0 {
			h.replace()
			pids = h.awaitReplicas(2, pids...)
			all[0].more(100)
		}
		for range (*restarts + *replacements - 1) / *replacements {
			if done++; done > *restarts {
				break
			}
			h.write(h.kinds(workers(2, fmt.Sprint(done), "")))
			h.reload()
			pids = h.awaitReplicas(2, pids...)
			all[0].more(100)
		}
	}
	took, calls := time.Since(start), 0
	for _, c := range all {
		calls += c.unharmed()
	}
	t.Logf("%d replacements and %d restarts in %v: %d calls, %.0f a second, none failed", *replacements, *restarts, took.Round(time.Second),
		calls, float64(calls)/took.Seconds())
}
