package sim

import (
	"testing"
	"time"
)

// performance are fleets whose replicas answer, and are slow in one way or another. Named by the plan of fault cases (test/faults).
var performance = []struct {
	name     string
	scenario Scenario
	most     time.Duration // p99.9
}{
	{"two speeds", Scenario{Replicas: 10, Load: 0.7, Speeds: twoSpeeds, Script: speeds(twoSpeeds)}, 250 * time.Millisecond},
	{"antagonist", Scenario{Replicas: 10, Load: 0.7, Script: antagonist(equal)}, 250 * time.Millisecond},
	{"cold start", Scenario{Replicas: 10, Load: 0.6, Script: coldStarts}, 250 * time.Millisecond},
	{"periodic pause", Scenario{Replicas: 10, Load: 0.6, Script: pauses}, 450 * time.Millisecond},
	{"CPU quota throttle", Scenario{Replicas: 10, Load: 0.4, Script: quota}, 250 * time.Millisecond},
	{"slow 1 %", Scenario{Replicas: 10, Load: 0.4, Script: speeds(equal), Heavy: true}, 2 * time.Second},
}

// coldStarts restarts a replica every ten seconds, each time the next one: it works five times slower for its first five seconds.
func coldStarts(w *world) {
	next := 0
	w.every(10*time.Second, func() {
		r := w.replicas[next%len(w.replicas)]
		next++
		r.turnTo(w, 0.2)
		w.after(5*time.Second, func() { r.turnTo(w, 1) })
	})
}

// pauses stops each replica for 300 ms every five seconds, one after the other, as the collection of a large heap does.
func pauses(w *world) {
	for i, r := range w.replicas {
		w.after(time.Duration(i)*500*time.Millisecond, func() {
			w.every(5*time.Second, func() {
				r.turnTo(w, 0)
				w.after(300*time.Millisecond, func() { r.turnTo(w, 1) })
			})
		})
	}
}

// quota lets three replicas in ten work for 50 of each 100 ms, as a CPU quota of half a core does.
func quota(w *world) {
	for i, r := range w.replicas {
		if i%10 >= 3 {
			continue
		}
		w.after(time.Duration(i)*17*time.Millisecond, func() {
			w.every(100*time.Millisecond, func() {
				r.turnTo(w, 0)
				w.after(50*time.Millisecond, func() { r.turnTo(w, 1) })
			})
		})
	}
}

// Where replicas are slow no call fails, and the slowest calls are faster than with least request of two, which knows of no speed.
func TestPerformance(t *testing.T) {
	skipUnderRace(t)
	for _, tt := range performance {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.scenario
			s.Name, s.Calls = tt.name, 60_000
			var ours, theirs []Outcome
			for seed := range uint64(3) {
				ours = append(ours, Run(&s, Slots, seed+1))
				theirs = append(theirs, Run(&s, TwoChoices, seed+1))
			}
			for _, o := range ours {
				if o.Failed > 0 {
					t.Errorf("%d of %d calls failed", o.Failed, o.Calls)
				}
			}
			a, b := Mean(ours, 0.99), Mean(theirs, 0.99)
			if ratio := float64(a) / float64(b); ratio > 0.85 {
				t.Errorf("p99 is %v, with least request of two %v: %.2f, want 0.85 at most", a, b, ratio)
			}
			if p := Mean(ours, 0.999); p > tt.most {
				t.Errorf("p99.9 is %v, want %v at most", p, tt.most)
			}
			t.Logf("p99 %v, p99.9 %v; with least request of two %v, %v", a, Mean(ours, 0.999), b, Mean(theirs, 0.999))
		})
	}
}
