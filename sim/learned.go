package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
)

// Learned is the product's picker where the slots of a replica are learned.
var Learned = Contender{Name: "slots: auto", Late: true, Strict: true, Auto: true, Slots: 512, Policy: policy(func() balance.Policy { return balance.Slots{} })}

// Fixed is the same with so many slots for each replica.
func Fixed(slots int) Contender {
	return Contender{Name: fmt.Sprint("slots: ", slots), Late: true, Strict: true, Slots: slots, Policy: Learned.Policy}
}

// handler draws what a call is to a replica: how long it waits, for whatever the replica calls itself, and how much work it is then.
type handler func(random *rand.Rand, now time.Duration) (method int, work, sleep time.Duration)

// works is so much work, on average.
func works(method int, mean time.Duration) handler {
	return func(random *rand.Rand, _ time.Duration) (int, time.Duration, time.Duration) {
		return method, time.Duration(random.ExpFloat64() * float64(mean)), 0
	}
}

// waits is so long a wait, more or less by a tenth, and no work.
func waits(method int, mean time.Duration) handler {
	return func(random *rand.Rand, _ time.Duration) (int, time.Duration, time.Duration) {
		return method, 0, mean - mean/10 + time.Duration(random.Int64N(int64(mean/5)))
	}
}

// either is a for a part of the calls, and b for the others.
func either(part float64, a, b handler) handler {
	return func(random *rand.Rand, now time.Duration) (int, time.Duration, time.Duration) {
		if random.Float64() < part {
			return a(random, now)
		}
		return b(random, now)
	}
}

// turns is a at first, then b, and a again.
func turns(a, b handler, every time.Duration) handler {
	return func(random *rand.Rand, now time.Duration) (int, time.Duration, time.Duration) {
		if now/every%2 == 1 {
			return b(random, now)
		}
		return a(random, now)
	}
}

const (
	settled  = 10 // seconds, until a limit has to be learned
	followed = 15 // … anew, after a step
	stepped  = 20 // from one step to the next
)

var (
	tenOfWork = works(0, 10*time.Millisecond)
	tenOfWait = waits(0, 10*time.Millisecond)
	// methods are many short calls and few long ones, of work alone: 7.8 ms on average.
	methods = either(0.9, works(0, 2*time.Millisecond), works(1, 60*time.Millisecond))
	// mixed are calls that work and calls that wait: 5 ms of work on average, so that 200 calls/s and about 12 slots are the most of a replica.
	mixed = either(0.5, works(0, 10*time.Millisecond), waits(1, 100*time.Millisecond))
)

// threads is a fleet of threads of Python, which share the speed of their replica, with callers who call again and again.
func threads(name string, replicas, callers, seconds int, h handler) Scenario {
	return Scenario{Name: name, Replicas: replicas, Shared: true, Callers: callers, Lasts: time.Duration(seconds) * time.Second, Handler: h}
}

// runs plays a scenario with each contender, once a seed.
func runs(s Scenario, contenders []Contender, seeds int) [][]Outcome {
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	all := make([][]Outcome, len(contenders))
	var group sync.WaitGroup
	for i, c := range contenders {
		all[i] = make([]Outcome, seeds)
		for k := range seeds {
			room <- struct{}{}
			group.Go(func() {
				s := s
				all[i][k] = Run(&s, c, uint64(k+1))
				<-room
			})
		}
	}
	group.Wait()
	return all
}

// good returns how many calls a second were answered, of those that came from one second on, before another.
func (o *Outcome) good(from, to int) float64 {
	_, _, calls, failed := o.In(from, to)
	return float64(calls-failed) / float64(to-from)
}

// LearnedGoals plays the scenarios in which slots are learned. Beside numbers they are played four times as often: of one run p99 is that of the
// one replica that has had luck, and five runs have shown anything from 1.02 to 1.44 times that of the best number.
func LearnedGoals(seeds int) []Goal {
	return append(append(workGoals(seeds), waitGoals(seeds)...), append(stepGoals(seeds), staticGoals(4*seeds, 0)...)...)
}

// workGoals: replicas that work and nothing else settle at a few slots.
func workGoals(seeds int) (goals []Goal) {
	for _, s := range []Scenario{
		threads("10 ms of work, N1", 1, 64, 60, tenOfWork), threads("10 ms of work, N4", 4, 64, 60, tenOfWork), threads("2 and 60 ms of work, N4", 4, 64, 60, methods),
	} {
		least, most := 1<<30, 0
		for _, o := range runs(s, []Contender{Learned}, seeds)[0] {
			for _, second := range o.Learned[settled:] {
				least, most = min(least, slices.Min(second)), max(most, slices.Max(second))
			}
		}
		goals = append(goals, Goal{"LB-12", "slots: auto, " + s.Name + ": 1 to 4 slots from the 10th second on", fmt.Sprintf("%d to %d", least, most), least >= 1 && most <= 4})
	}
	return goals
}

// waitGoals: replicas that wait get as many slots as there are calls for.
func waitGoals(seeds int) (goals []Goal) {
	for _, s := range []Scenario{threads("10 ms of waiting, N1", 1, 64, 30, tenOfWait), threads("10 ms of waiting, N4", 4, 256, 30, tenOfWait)} {
		all := runs(s, []Contender{Learned, Fixed(64), Fixed(128)}, seeds)
		worst := 1.0
		for k := range seeds {
			worst = min(worst, all[0][k].good(settled, 30)/max(all[1][k].good(settled, 30), all[2][k].good(settled, 30)))
		}
		goals = append(goals, Goal{"LB-12", "slots: auto, " + s.Name + ": ≥ 0.90 of the best throughput from the 10th second on", fmt.Sprintf("%.2f", worst), worst >= 0.90})
	}
	return goals
}

// stepGoals: a handler that turns from work to waiting, and back, is followed.
func stepGoals(seeds int) []Goal {
	s := threads("work, then waiting", 1, 64, 5*stepped, turns(tenOfWork, tenOfWait, stepped*time.Second))
	up, down := 0, 0 // seconds, the slowest
	for _, o := range runs(s, []Contender{Learned}, seeds)[0] {
		for step := 1; step < 5; step++ {
			begins := step * stepped
			behind := 0 // the last second in which it was not there yet
			for i := range stepped {
				now := begins + i
				slow := step%2 == 1 && o.good(now, now+1) < 0.9*6400
				wide := step%2 == 0 && o.Learned[now][0] > 4
				if slow || wide {
					behind = i + 1
				}
			}
			if step%2 == 1 {
				up = max(up, behind)
			} else {
				down = max(down, behind)
			}
		}
	}
	return []Goal{{"LB-12", "slots: auto, a step from 10 ms of work to 10 ms of waiting, or back, is followed ≤ 15 s", fmt.Sprintf("%d s, back %d s", up, down), max(up, down) <= followed}}
}

// staticGoals: learned slots are as good as the best number of slots that one could have written.
func staticGoals(seeds int, slack slack) (goals []Goal) {
	const from, to = 40, 80
	closed := threads("calls that work and calls that wait, antagonist", 10, 320, to, mixed)
	open := threads("the same, load 0.8 after 30 s", 10, 0, to, mixed)
	open.Load, open.Mean, open.Ramp = 0.8, 0.005, 30*time.Second
	busy := threads("10 ms of work, antagonist", 10, 320, to, tenOfWork)
	long := threads("2 and 60 ms of work, antagonist", 10, 320, to, methods)
	for _, s := range []Scenario{closed, open, busy, long} {
		s.Script = antagonist(equal)
		contenders := []Contender{Learned}
		for _, n := range []int{1, 2, 4, 8, 12, 16, 24, 32, 64} {
			contenders = append(contenders, Fixed(n))
		}
		all := runs(s, contenders, seeds)
		good, p99 := make([]float64, len(all)), make([]time.Duration, len(all))
		for i := range all {
			for k := range all[i] {
				good[i] += all[i][k].good(from, to) / float64(seeds)
				p99[i] += all[i][k].QuantileIn(from, to, 0.99) / time.Duration(seeds)
			}
		}
		most := slices.Max(good[1:])
		best := 0 // of those that get as much done, 1 % less at most, the one with the least p99
		for i := 1; i < len(all); i++ {
			if good[i] >= 0.99*most && (best == 0 || p99[i] < p99[best]) {
				best = i
			}
		}
		part, times := good[0]/most, float64(p99[0])/float64(p99[best])
		goals = append(goals, Goal{"HL-14", "slots: auto, " + s.Name + ": ≥ 0.95 of the goodput of the best number, p99 ≤ 1.2 × its own",
			fmt.Sprintf("%.3f, p99 × %.2f (%s)", part, times, contenders[best].Name), part >= 0.95 && times <= slack.most(1.2)})
	}
	return goals
}
