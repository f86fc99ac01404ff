package budget

import (
	"math"
	"testing"
	"time"
)

// storm makes calls at a rate, each of which is to be tried twice more, and returns the attempts for each call.
func storm(b *Budget, rate, seconds int) float64 {
	now := time.Unix(1, 0)
	attempts := 0
	for range rate * seconds {
		now = now.Add(time.Second / time.Duration(rate))
		b.Deposit(15, now)
		attempts++
		for range 2 {
			if b.Take(now) {
				attempts++
			}
		}
	}
	return float64(attempts) / float64(rate*seconds)
}

// Where every call fails for a minute, all attempts are at most 1.2 times the calls, however many there were before.
func TestWholeFleetFails(t *testing.T) {
	for _, rate := range []int{500, 5000} {
		var b Budget
		now := time.Unix(-59, 0)
		for range 60 * rate { // a minute without a failure
			now = now.Add(time.Second / time.Duration(rate))
			b.Deposit(15, now)
		}
		if got := storm(&b, rate, 60); got > 1.2 || got < 1.1 {
			t.Errorf("at %d calls/s: %.3f attempts a call", rate, got)
		}
	}
}

// A service with few calls has its reserve: a hundred tries after a rest, and five a second.
func TestReserve(t *testing.T) {
	var b Budget
	now := time.Unix(1, 0)
	take := func() (n int) {
		for b.Take(now) {
			n++
		}
		return n
	}
	for _, step := range []struct {
		rest time.Duration
		want int
	}{{0, 100}, {0, 0}, {3 * time.Second, 15}, {time.Hour, 100}} {
		now = now.Add(step.rest)
		if got := take(); got != step.want {
			t.Errorf("after %v there are %d tries, want %d", step.rest, got, step.want)
		}
	}
	if b.Refused() != 4 {
		t.Errorf("%d were refused", b.Refused())
	}
}

// What calls have put in fades: to a third in ten seconds, and to the reserve.
func TestBudgetFades(t *testing.T) {
	var b Budget
	now := time.Unix(1, 0)
	for range 10_000 {
		b.Deposit(10, now)
	}
	b.Deposit(0, now.Add(budgetLife))
	if want := (1000 + reserve) / math.E; math.Abs(b.tries-want) > 1 {
		t.Errorf("%.0f tries after ten seconds, want %.0f", b.tries, want)
	}
	if b.Deposit(0, now.Add(time.Hour)); b.tries != reserve {
		t.Errorf("%.0f tries after an hour", b.tries)
	}
}
