package soak

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	duration = flag.Duration("soak", 0, "how long to soak; 0: not at all (make soak)")
	seed     = flag.Uint64("seed", 0, "which faults come when; 0: another one each time")
)

// The pace. A fault's consequences are over after settle.
const (
	between     = 10 * time.Second // from the start of one fault to that of the next
	betweenWarm = 4 * time.Second  // in the first round, in which every fault comes once, so that every buffer has its size
	settle      = 4 * time.Second
	longRun     = 10 * time.Minute // from which on five percent of memory can be told
)

// The program, with real servers and callers, lives through a fault every few seconds: it leaks nothing, no call that may be made twice
// fails, and each other failure is explained by the fault of its moment.
func TestSoak(t *testing.T) {
	if *duration == 0 {
		t.Skip("make soak runs it")
	}
	peertest.Require(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	t.Setenv("GOGC", "10") // of the program: what is held is not to drown in garbage that comes and goes
	w := start(t)
	random := rand.New(rand.NewPCG(*seed, 0))
	began := time.Now()
	warmUp := w.serve(random, betweenWarm, *duration/5)
	first := w.quiet()
	rest := w.serve(random, between, *duration-time.Since(began))
	last := w.quiet()
	w.judge(time.Since(began), Drift{First: first, Last: last}, warmUp.and(rest))
}

// serve lets all callers call, with a fault every so often, for at least so long and until every fault has come once.
func (w *world) serve(random *rand.Rand, every, atLeast time.Duration) traffic {
	callers := w.call()
	deck := w.deck()
	began := time.Now()
	for round := 0; round == 0 || time.Since(began) < atLeast; round++ {
		for _, i := range random.Perm(len(deck)) {
			if round > 0 && time.Since(began) >= atLeast {
				break
			}
			next := time.Now().Add(every)
			w.play(deck[i], random)
			time.Sleep(time.Until(next))
		}
	}
	time.Sleep(settle)
	return callers()
}
