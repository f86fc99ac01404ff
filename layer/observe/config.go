package observe

// Config is the observe layer's part of the block `logs`.
type Config struct {
	// Access is the access log: a line for each call that is sampled, when it is done.
	Access AccessConfig `yaml:"access"`
}

// AccessConfig says which calls the access log tells of.
type AccessConfig struct {
	// Sample is the share of calls that get a line. 0 means none, 1 all. Default 0; 0 to 1.
	Sample float64 `yaml:"sample" min:"0" max:"1"`
}

// Default returns the block of a file that says nothing of logs: no call gets a line.
func Default() Config { return Config{} }
