package deadline

import "time"

// Config is the deadline layer's one key, which stands among the keys of `defaults`, of a service and of a method.
type Config struct {
	// Timeout bounds a call, its wait for a slot and all of its attempts included. Default 60s; 1ms to 1h.
	Timeout time.Duration `yaml:"timeout" min:"1ms" max:"1h"`
}

// Default returns the timeout of a file that sets none.
func Default() Config { return Config{Timeout: time.Minute} }
