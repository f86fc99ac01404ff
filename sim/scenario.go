package sim

import (
	"math/rand/v2"
	"time"
)

// Scenario is a fleet, what is asked of it, and what happens to it.
type Scenario struct {
	Name       string
	Replicas   int
	Workers    int           // of a replica; default 1
	Shared     bool          // its calls share its speed, however many
	Gateways   int           // default 1
	Load       float64       // of what all replicas can do, at the speeds that they have from the start
	Heavy      bool          // 2 % of the calls are 25 times as much work
	Idempotent bool          // a call that failed is tried again, twice at most
	Calls      int           // default 200,000
	Callers    int           // who call again at once when they have their answer, besides Load
	Lasts      time.Duration // instead of Calls
	Ramp       time.Duration // in which Load comes to what it is
	Handler    handler       // what a call is; nil: as much work as meanWork
	Mean       float64       // of Handler's work, in seconds; 0: meanWork
	Speeds     func(replica int) float64
	Weights    func(replica int) int // nil: 1 each
	Script     func(w *world)
}

const meanWork = 0.010 // seconds

func (s *Scenario) calls() int {
	if s.Calls == 0 {
		return 200_000
	}
	return s.Calls
}

func (s *Scenario) timeout() time.Duration { return 5 * time.Second }
func (s *Scenario) warm() time.Duration    { return 2 * time.Second }

// rate is calls a second.
func (s *Scenario) rate() float64 {
	capacity := 0.0
	for i := range s.Replicas {
		speed := 1.0
		if s.Speeds != nil {
			speed = s.Speeds(i)
		}
		if !s.Shared {
			speed *= float64(max(1, s.Workers))
		}
		capacity += speed
	}
	mean := meanWork
	if s.Mean > 0 {
		mean = s.Mean
	}
	if s.Heavy {
		mean = 0.98*meanWork + 0.02*25*meanWork
	}
	return s.Load * capacity / mean
}

func (s *Scenario) work(random *rand.Rand) time.Duration {
	mean := meanWork
	if s.Heavy && random.Float64() < 0.02 {
		mean *= 25
	}
	return time.Duration(random.ExpFloat64() * mean * float64(time.Second))
}

// antagonist takes three replicas in ten, and slows each down to 0.3 to 0.7 of its speed half of the time, and changes its mind after about a second.
func antagonist(base func(int) float64) func(w *world) {
	return func(w *world) {
		for i, r := range w.replicas {
			speed := base(i)
			r.speed = speed
			if i%10 >= 3 {
				continue
			}
			var change func()
			change = func() {
				factor := 1.0
				if w.random.IntN(2) == 0 {
					factor = 0.3 + 0.4*w.random.Float64()
				}
				r.turnTo(w, speed*factor)
				w.after(w.exponential(1), change)
			}
			w.after(w.exponential(1), change)
		}
	}
}

func equal(int) float64 { return 1 }

// twoSpeeds makes every other replica half as fast.
func twoSpeeds(i int) float64 {
	if i%2 == 1 {
		return 0.5
	}
	return 1
}

// speeds gives the replicas their speeds, and nothing else happens.
func speeds(base func(int) float64) func(w *world) {
	return func(w *world) {
		for i, r := range w.replicas {
			r.speed = base(i)
		}
	}
}

// Suite are the scenarios that every contender plays.
var Suite = []Scenario{
	{Name: "equal, N20 G1", Replicas: 20, Load: 0.7},
	{Name: "two speeds, N20 G1", Replicas: 20, Load: 0.7, Speeds: twoSpeeds, Script: speeds(twoSpeeds)},
	{Name: "two speeds, load 0.9", Replicas: 20, Load: 0.9, Speeds: twoSpeeds, Script: speeds(twoSpeeds)},
	{Name: "antagonist, G1", Replicas: 20, Load: 0.7, Script: antagonist(equal)},
	{Name: "antagonist, G4", Replicas: 20, Load: 0.7, Gateways: 4, Script: antagonist(equal)},
	{Name: "antagonist, G16", Replicas: 20, Load: 0.7, Gateways: 16, Script: antagonist(equal)},
	{Name: "antagonist, N100 G20", Replicas: 100, Load: 0.7, Gateways: 20, Script: antagonist(equal)},
	{Name: "antagonist, two speeds, N100 G20", Replicas: 100, Load: 0.7, Gateways: 20, Speeds: twoSpeeds, Script: antagonist(twoSpeeds)},
	{Name: "antagonist, W4, load 0.8, G4", Replicas: 20, Workers: 4, Load: 0.8, Gateways: 4, Script: antagonist(equal)},
	{Name: "antagonist, threads, G4", Replicas: 20, Shared: true, Load: 0.7, Gateways: 4, Script: antagonist(equal)},
	{Name: "two speeds, W4, load 0.8, G4", Replicas: 20, Workers: 4, Load: 0.8, Gateways: 4, Speeds: twoSpeeds, Script: antagonist(twoSpeeds)},
	{Name: "two speeds, threads, G4", Replicas: 20, Shared: true, Load: 0.7, Gateways: 4, Speeds: twoSpeeds, Script: antagonist(twoSpeeds)},
	{Name: "heavy tail, load 0.6, G4", Replicas: 20, Load: 0.6, Gateways: 4, Heavy: true},
}
