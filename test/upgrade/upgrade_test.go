//go:build linux

package upgrade

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// The gateway is replaced and its workers are restarted, again and again, under 500 calls a second of real ThriftPy clients: no call
// fails, and no client loses its connection.
func TestReplacedUnderLoad(t *testing.T) {
	record := filepath.Join(t.TempDir(), "words")
	run := func(label int) string { return workers(2, fmt.Sprint(label), "", "--record", record) }
	h := newHost(t, func(h *host) string { return h.kinds(run(0)) })
	defer h.end()
	all := []*callers{
		h.call(peertest.ThriftPy2, "buffered", 250, 10),
		h.call(peertest.ThriftPy2, "framed", 125, 5),
		h.call(peertest.ThriftPy, "buffered", 125, 5),
	}
	start, before := time.Now(), 0
	for _, c := range all {
		before += c.tally().Calls
	}
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
			h.write(h.kinds(run(done)))
			h.reload()
			pids = h.awaitReplicas(2, pids...)
			all[0].more(100)
		}
	}
	took, calls, oneways := time.Since(start), -before, 0
	for _, c := range all {
		did := c.unharmed()
		calls, oneways = calls+did.Calls, oneways+did.Oneways
	}
	peertest.Eventually(t, fmt.Sprintf("all of %d oneways were carried out, and once each", oneways), func() bool {
		text, err := os.ReadFile(record)
		words := strings.Fields(strings.ReplaceAll(string(text), " ", "_"))
		slices.Sort(words)
		return err == nil && len(words) == oneways && len(slices.Compact(words)) == oneways
	})
	t.Logf("%d replacements and %d restarts in %v: %d calls, %.0f a second, %d of them oneways, none failed", *replacements, *restarts, took.Round(time.Second),
		calls, float64(calls)/took.Seconds(), oneways)
}

// With adopt: true the replicas are not restarted: the next gateway goes on with the same processes and with what they write, starts anew
// the one that dies, and ends them with itself. No call fails.
func TestAdoptedReplicas(t *testing.T) {
	h := newHost(t, func(h *host) string { return h.kinds(workers(2, "0", ", adopt: true")) })
	defer h.end()
	c := h.call(peertest.ThriftPy2, "buffered", 200, 5)
	pids := h.awaitReplicas(2)
	for range 2 {
		h.replace(pids...)
		if got := h.awaitReplicas(2); !slices.Equal(got, pids) {
			t.Fatalf("replicas %v, and they were %v", got, pids)
		}
		c.more(50)
	}
	c.unharmed()
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := h.awaitReplicas(2, pids[0])
	if !slices.Contains(again, pids[1]) {
		t.Errorf("replicas %v, and one of %v was killed", again, pids)
	}
	raw := rawDial(t, h.front)
	for range 4 { // each of the two writes a traceback
		raw.call("crash", 6, "not today")
	}
	peertest.Eventually(t, "what replicas write comes to the last program", func() bool { return strings.Contains(h.up.Output(), "RuntimeError") })

	// Another command is no reason to keep them.
	h.write(h.kinds(workers(2, "1", ", adopt: true")))
	h.replace()
	h.awaitReplicas(2, again...)
}

// Where the gateway that has adopted replicas is killed, the kernel ends them, as it does with those that it has started itself.
func TestKilledGatewayLeavesNoAdoptedReplicas(t *testing.T) {
	h := newHost(t, func(h *host) string { return h.kinds(workers(2, "0", ", adopt: true")) })
	first := h.up
	pids := h.awaitReplicas(2)
	h.replace(pids...)
	h.awaitReplicas(2)
	h.kill(h.up)
	peertest.Eventually(t, "no replica is left", func() bool { return len(first.Left()) == 0 })
	h.up = h.start()
	h.await(h.up)
	h.end()
}
