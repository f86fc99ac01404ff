//go:build linux

// Package faults plays the fault cases of the plan, each as a test that bears its name: connect, mid-call, process, pool, lifecycle.
//
// What can be had in memory runs there, in virtual time, against the real chain: server, service, cluster, client. The rest runs on the
// loopback interface, with real servers and the real program. The files *.rows list which test shows which case; report prints them.
package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir)
		}
		os.Exit(code)
	}))
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the path of thriftloom, which is built once.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "faults"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(built.dir, "thriftloom"), "github.com/thriftloom/thriftloom/cmd/thriftloom")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "thriftloom")
}

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
