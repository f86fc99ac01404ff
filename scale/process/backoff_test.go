package process

import (
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// lived is a life of the given length, of which it was ready at the end.
func lived(total, ready time.Duration) life {
	return life{started: epoch, ended: epoch.Add(total), ready: ready}
}

// The wait after an end doubles from 100 ms to 10 s; three quick ends in a row wait until 30 s after the start; ten seconds as an endpoint
// make it all forgotten.
func TestBackoffDoublesAndSettles(t *testing.T) {
	const quick, slow = time.Second, 20 * time.Second
	steps := []struct {
		what string
		life life
		wait time.Duration // from its end
	}{
		{"first quick end", lived(quick, 0), 100 * time.Millisecond},
		{"second", lived(quick, 0), 200 * time.Millisecond},
		{"third: a crash loop", lived(quick, 0), 29 * time.Second},
		{"still", lived(quick, quick), 29 * time.Second},
		{"a longer life ends the loop, not the doubling", lived(slow, 5*time.Second), 1600 * time.Millisecond},
		{"never ready, each start slow", lived(slow, 0), 3200 * time.Millisecond},
		{"further", lived(slow, 0), 6400 * time.Millisecond},
		{"the most", lived(slow, 0), 10 * time.Second},
		{"stays", lived(slow, 0), 10 * time.Second},
		{"it was ready for ten seconds", lived(slow, settled), 100 * time.Millisecond},
		{"second after that", lived(quick, 0), 200 * time.Millisecond},
	}
	var b backoff
	for _, s := range steps {
		if got := b.next(s.life).Sub(s.life.ended); got != s.wait {
			t.Errorf("%s: next start after %s, want %s", s.what, got, s.wait)
		}
	}
}

// A replica that dies at once is started three times, and then at most once in 30 s, for however long that goes on.
func TestBackoffBoundsACrashLoop(t *testing.T) {
	var b backoff
	starts := []time.Time{epoch}
	for len(starts) < 200 {
		last := starts[len(starts)-1]
		starts = append(starts, b.next(life{started: last, ended: last.Add(3 * time.Millisecond)}))
	}
	for i := 3; i < len(starts); i++ {
		if gap := starts[i].Sub(starts[i-1]); gap < 30*time.Second {
			t.Fatalf("start %d came %s after the one before", i+1, gap)
		}
	}
	if early := starts[2].Sub(epoch); early > time.Second {
		t.Errorf("the third start came after %s", early)
	}
}

// Attempts are 50 ms apart for the first second, and never more than a second apart.
func TestProbeDelay(t *testing.T) {
	var first time.Duration
	for failed := range 20 {
		first += probeDelay(failed)
	}
	if first != time.Second {
		t.Errorf("twenty attempts take %s, want 1s", first)
	}
	if d := probeDelay(1 << 20); d != time.Second {
		t.Errorf("the longest wait is %s, want 1s", d)
	}
}
