package hedge

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A call is late when it takes longer than all but five of a hundred: nothing is known before a hundred were answered, and what is known follows
// the method when it becomes slower.
func TestLearnsWhatIsLate(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	var m Method
	part := func(scale time.Duration, calls int) float64 {
		late := 0
		for range calls {
			delay := m.begin(5)
			took := time.Duration(random.ExpFloat64() * float64(scale))
			if delay > 0 && took > delay {
				late++
			}
			m.sample(took)
		}
		return float64(late) / float64(calls)
	}
	if part(time.Millisecond, enough-1); m.begin(5) != 0 {
		t.Errorf("after %d answers %v is late", enough-1, m.begin(5))
	}
	for _, scale := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 3 * time.Millisecond} {
		part(scale, 4096)
		if late := part(scale, 10_000); late > 0.06 || late < 0.01 {
			t.Errorf("seed %d, %v in the mean: %.3f of the calls are late", seed, scale, late)
		}
	}
	if m.begin(10) >= m.begin(1) {
		t.Errorf("late is %v for ten percent, %v for one", m.begin(10), m.begin(1))
	}
}

// A method that answers in microseconds has no hedge before a millisecond.
func TestNoHedgeBeforeAMillisecond(t *testing.T) {
	var m Method
	for range 2 * enough {
		m.begin(5)
		m.sample(50 * time.Microsecond)
	}
	if got := m.begin(5); got != minDelay {
		t.Errorf("late after %v", got)
	}
}

// Hedges are never more than their part of the calls, whenever they are taken; a hundred can be saved up. What was not sent is given back.
func TestHedgesAreAPartOfTheCalls(t *testing.T) {
	var m Method
	taken := 0
	for calls := 1; calls <= 10_000; calls++ {
		m.begin(5)
		for calls > 3000 && m.take() {
			taken++
		}
		if 100*taken > 5*calls {
			t.Fatalf("%d hedges for %d calls", taken, calls)
		}
	}
	if want := saved/one + 6999*5/100; taken != want {
		t.Errorf("%d hedges, want %d", taken, want)
	}
	if m.take() {
		t.Fatal("there is one more")
	}
	if m.giveBack(); !m.take() {
		t.Error("one that was given back is not there")
	}
}
