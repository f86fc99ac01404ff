package cluster

import (
	"testing"
	"time"
)

// step is one thing that an endpoint does, so long after the start.
type step struct {
	at        time.Duration
	idle, age time.Duration
	lived     bool // the connection was used once more; otherwise the endpoint closed it
}

const ms = time.Millisecond

func closes(at, idle, age time.Duration) step { return step{at: at, idle: idle, age: age} }
func lives(at, idle, age time.Duration) step  { return step{at: at, idle: idle, age: age, lived: true} }

// What closes teach, and what they do not.
func TestLessons(t *testing.T) {
	tests := []struct {
		name  string
		steps []step
		want  Learned
	}{
		{"nothing", nil, Learned{}},
		{"one flaky close", []step{closes(5*time.Second, 1000*ms, 4000*ms)}, Learned{}},
		{"an idle limit of 1s", []step{
			closes(5*time.Second, 1000*ms, 4000*ms), closes(20*time.Second, 1010*ms, 9000*ms),
		}, Learned{IdleExpiry: 800 * ms}},
		{"connections that are used once are as idle as they are old", []step{
			closes(5*time.Second, 1000*ms, 1001*ms), closes(20*time.Second, 1000*ms, 1001*ms),
		}, Learned{IdleExpiry: 800 * ms}},
		{"a maximum age of 3s", []step{
			closes(5*time.Second, 200*ms, 3000*ms), closes(20*time.Second, 1700*ms, 3005*ms),
		}, Learned{MaxAge: time.Second}},
		{"a maximum age, met by calls that come evenly", []step{ // every 700 ms, so that each close finds the connection idle for 200 ms
			closes(3*time.Second, 200*ms, 3000*ms), lives(5*time.Second, 700*ms, 2000*ms), closes(6*time.Second, 200*ms, 3000*ms),
		}, Learned{MaxAge: time.Second}},
		{"an idle limit, met by bursts of one length", []step{ // another connection has lived longer than that meanwhile
			closes(3*time.Second, 1000*ms, 1500*ms), lives(8*time.Second, 300*ms, 7000*ms), closes(9*time.Second, 1000*ms, 1500*ms),
		}, Learned{IdleExpiry: 800 * ms}},
		{"both limits", []step{
			closes(2*time.Second, 1000*ms, 1800*ms), closes(8*time.Second, 1000*ms, 4500*ms),
			closes(12*time.Second, 100*ms, 3000*ms), closes(18*time.Second, 500*ms, 3000*ms),
		}, Learned{IdleExpiry: 800 * ms, MaxAge: time.Second}},
		{"a jittery server", []step{
			closes(5*time.Second, 1180*ms, 4000*ms), closes(20*time.Second, 1000*ms, 9000*ms), closes(30*time.Second, 1100*ms, 5000*ms),
			closes(40*time.Second, 1220*ms, 7000*ms),
		}, Learned{IdleExpiry: 800 * ms}},
		{"a server without a rule", []step{
			closes(5*time.Second, 1400*ms, 4000*ms), closes(20*time.Second, 400*ms, 9000*ms), closes(30*time.Second, 900*ms, 2000*ms),
		}, Learned{}},
		{"a limit that came down", []step{
			closes(5*time.Second, 2000*ms, 4000*ms), closes(20*time.Second, 2000*ms, 9000*ms),
			closes(30*time.Second, 1000*ms, 5000*ms), closes(40*time.Second, 1000*ms, 7000*ms),
		}, Learned{IdleExpiry: 800 * ms}},
		{"a restart closes all at once", []step{
			closes(5*time.Second, 1000*ms, 4000*ms), closes(5001*ms, 1000*ms, 4000*ms), closes(5002*ms, 1000*ms, 4000*ms),
		}, Learned{}},
		{"two restarts", []step{
			closes(5*time.Second, 1000*ms, 4000*ms), closes(5001*ms, 200*ms, 2000*ms), closes(5002*ms, 700*ms, 3000*ms),
			closes(60*time.Second, 1000*ms, 4000*ms), closes(60001*ms, 100*ms, 2000*ms), closes(60002*ms, 800*ms, 9000*ms),
		}, Learned{}},
		{"two restarts, by chance at nearly the same age", []step{
			closes(5*time.Second, 1000*ms, 4000*ms), closes(60*time.Second, 300*ms, 4400*ms),
		}, Learned{}},
		{"a restart between closes of an idle limit", []step{
			closes(5*time.Second, 1000*ms, 4000*ms),
			closes(9*time.Second, 100*ms, 2000*ms), closes(9001*ms, 800*ms, 9000*ms),
			closes(20*time.Second, 1000*ms, 7000*ms), closes(30*time.Second, 1000*ms, 5000*ms),
		}, Learned{IdleExpiry: 800 * ms}},
		{"several connections at each end of an idle limit", []step{
			closes(5*time.Second, 1000*ms, 4000*ms), closes(5050*ms, 1020*ms, 2500*ms),
			closes(20*time.Second, 1005*ms, 9000*ms), closes(20050*ms, 1001*ms, 1100*ms),
		}, Learned{IdleExpiry: 800 * ms}},
		{"the server ends each connection behind its call", []step{
			closes(5*time.Second, 1*ms, 3*ms), closes(6*time.Second, 1*ms, 3*ms), closes(7*time.Second, 1*ms, 3*ms),
		}, Learned{}},
		{"the server ends connections after so many calls", []step{ // which come evenly
			closes(5*time.Second, 1*ms, 6000*ms), closes(11*time.Second, 1*ms, 6200*ms),
		}, Learned{MaxAge: 2 * time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l lessons
			start := time.Unix(0, 0)
			for _, s := range tt.steps {
				if s.lived {
					l.lived(times{s.idle, s.age})
				} else {
					l.closed(start.Add(s.at), times{s.idle, s.age})
				}
			}
			end := start.Add(2 * time.Minute)
			l.judge(end)
			if got := l.at(end); got != tt.want {
				t.Errorf("learned %+v, want %+v", got, tt.want)
			}
		})
	}
}

// What is learned is told once, is tried anew after a while, and is then told again if it still holds.
func TestLessonsAreForgotten(t *testing.T) {
	var l lessons
	now, told := time.Unix(0, 0), 0
	learn := func() {
		for range 3 { // the third confirms
			now = now.Add(5 * time.Second)
			l.closed(now, times{idle: time.Second, age: 4 * time.Second})
			now = now.Add(together)
			if l.judge(now) {
				told++
			}
		}
	}
	learn()
	if told != 1 || l.at(now) != (Learned{IdleExpiry: 800 * ms}) {
		t.Errorf("told %d times, learned %+v", told, l.at(now))
	}
	now = now.Add(forgets)
	if l.at(now) != (Learned{}) {
		t.Errorf("still %+v", l.at(now))
	}
	learn()
	if told != 2 || l.at(now) != (Learned{IdleExpiry: 800 * ms}) {
		t.Errorf("told %d times, learned %+v", told, l.at(now))
	}
}
