package balance

import "fmt"

// Config says how an endpoint is chosen. The zero value is slots.
type Config struct {
	// Policy is the name of the policy. Of the endpoints that have a free slot slots takes the one that is expected to answer first,
	// least_request the one with the fewest calls, two_choices the one with fewer calls of two at random, peak_ewma the one of two whose
	// latency, the last peak remembered, times its calls is less; round_robin takes them in turn, and random at random; ring_hash and maglev
	// take calls with the same key to the same one, ring_hash moving fewer keys when endpoints come and go. Default slots.
	Policy string `yaml:"policy" oneof:"slots,round_robin,random,two_choices,least_request,peak_ewma,ring_hash,maglev"`
	// Header is the transport header whose value is the key of ring_hash and maglev.
	Header string `yaml:"header"`
	// Argument is the argument whose value is the key of ring_hash and maglev, or a field in one: id, user.id. A call without it goes to the
	// endpoint with the fewest calls.
	Argument string `yaml:"argument"`
	// Bound is how many times its part of the calls in flight an endpoint may have with ring_hash and maglev; calls beyond go to another one.
	// 0 means that there is no bound. Default 1.25; 0 to 100.
	Bound float64 `yaml:"bound" min:"0" max:"100"`
}

// Default returns the config of who says nothing of balancing.
func Default() Config { return Config{Policy: "slots", Bound: 1.25} }

// Hashes reports whether the policy asks for the key of a call.
func (c Config) Hashes() bool { return c.Policy == "ring_hash" || c.Policy == "maglev" }

// New returns the policy.
func (c Config) New() Policy {
	switch c.Policy {
	case "", "slots":
		return Slots{}
	case "round_robin":
		return &RoundRobin{}
	case "random":
		return Random{}
	case "two_choices":
		return TwoChoices{}
	case "least_request":
		return LeastRequest{}
	case "peak_ewma":
		return &PeakEWMA{Penalty: peakPenalty}
	case "ring_hash":
		return NewRing(c.Bound)
	case "maglev":
		return NewMaglev(c.Bound)
	}
	panic(fmt.Sprintf("balance: no policy %q", c.Policy)) // the config is checked
}
