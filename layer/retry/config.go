package retry

// Config is the retry layer's block, `retry`.
type Config struct {
	// Attempts bounds how often one call is tried, the first try included. 1 means that nothing is tried again. Default 3; 1 to 10.
	Attempts int `yaml:"attempts" min:"1" max:"10"`
}

// Default returns the block of a file that says nothing of retries.
func Default() Config { return Config{Attempts: 3} }
