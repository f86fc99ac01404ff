// Package faults plays the fault cases of the plan, each as a test that bears its name: connect, mid-call, process, pool, lifecycle.
//
// What can be had in memory runs there, in virtual time, against the real chain: server, service, cluster, client. The rest runs on the
// loopback interface, with real servers and the real program. The files *.rows list which test shows which case; report prints them.
package faults

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// random returns a source whose seed the test prints. THRIFTLOOM_SEED plays a seed again.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("THRIFTLOOM_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("THRIFTLOOM_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
