package breaker

// Config is the breaker layer's block, `breaker`.
type Config struct {
	// Failures is how many calls of one method by one caller have to end their handlers, at two endpoints or more and with no answer between, until
	// further ones are refused; more than half of the last 64 have to have failed too. Default 5; 2 to 64.
	Failures int `yaml:"failures" min:"2" max:"64"`
}

// Default returns the keys of a block that says nothing.
func Default() Config { return Config{Failures: 5} }
