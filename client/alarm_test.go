package client

import (
	"testing"
	"testing/synctest"
	"time"
)

// rang reports whether the alarm rings, once all that is due has happened.
func rang(a *alarm) bool {
	synctest.Wait()
	select {
	case <-a.rings:
		return true
	default:
		return false
	}
}

// The alarm rings at the deadline of the call that waits, whatever its timer was set for: an earlier call's deadline, or a later one's.
func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarm()
		now := time.Now()
		at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }

		a.set(at(10)) // over in time
		a.clear()
		a.set(at(20)) // the timer stays where it is
		time.Sleep(10 * time.Second)
		if rang(&a) {
			t.Error("it rang for a call that is over")
		}
		time.Sleep(10*time.Second - 1)
		if rang(&a) {
			t.Error("it rang before the deadline")
		}
		time.Sleep(1 * time.Nanosecond)
		if !rang(&a) {
			t.Error("it did not ring at the deadline")
		}

		a.set(at(60))
		a.clear()
		a.set(at(30)) // earlier than what the timer is set for
		time.Sleep(10 * time.Second)
		if !rang(&a) {
			t.Error("it did not ring at an earlier deadline")
		}

		a.set(at(40))
		time.Sleep(10 * time.Second) // it rings, and the call ends at the same moment
		synctest.Wait()
		a.clear()
		a.set(time.Time{})
		if rang(&a) {
			t.Error("it rang for the call after, which has no deadline")
		}
		a.set(at(50))
		a.stop()
		time.Sleep(time.Minute)
		if rang(&a) {
			t.Error("it rang after stop")
		}
	})
}

// A call whose deadline is no earlier than those before does not touch the timer.
func TestAlarmAllocates(t *testing.T) {
	a := newAlarm()
	defer a.stop()
	a.set(time.Now().Add(time.Hour))
	later := time.Now().Add(2 * time.Hour)
	if n := testing.AllocsPerRun(100, func() { a.set(later); a.clear() }); n != 0 {
		t.Errorf("%v allocations a call, want none", n)
	}
}
