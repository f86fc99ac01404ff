package hedge

import "time"

// Config is the hedge layer's block, `hedge`.
type Config struct {
	// Delay is how long an attempt may take before a second one is started beside it. Default the time within which all but `percent` of the method's
	// first attempts were answered lately, of a hundred at least; 1ms to 1h.
	Delay time.Duration `yaml:"delay" min:"1ms" max:"1h"`
	// Percent bounds the second attempts, in percent of the method's calls. They are taken from the upstream's tries besides (retry.budget_percent).
	// Default 5; 1 to 15.
	Percent int `yaml:"percent" min:"1" max:"15"`
}

// Default returns the keys of a block that says nothing.
func Default() Config { return Config{Percent: 5} }
