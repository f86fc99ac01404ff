package observe

// Config is the observe layer's part of `logs`.
type Config struct {
	// Access says which calls get a line in the access log.
	Access Access `yaml:"access"`
}

// Access is the access log.
type Access struct {
	// Sample is the part of the calls that succeed which get a line; a call that fails always does. Default 0.01; 0 to 1.
	Sample float64 `yaml:"sample" min:"0" max:"1"`
}

// Default returns the block of a file that says nothing of it.
func Default() Config { return Config{Access: Access{Sample: 0.01}} }
