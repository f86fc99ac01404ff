package priority

// Config is the priority layer's block, `priority`.
type Config struct {
	// Class is how much a call matters beside others, where there is not room for all: those of a higher class get a slot first, and those of
	// the lowest are refused first. Background is what nobody waits for, batch what somebody waits for, but not now, critical what the
	// product cannot be without. Default normal.
	Class string `yaml:"class" oneof:"critical,normal,batch,background"`
	// Header is a transport header in which a caller may name a lower class for a call; a higher one, or another word, is ignored. Default none.
	Header string `yaml:"header"`
}

// Default returns the block of a file that says nothing of priorities.
func Default() Config { return Config{Class: "normal"} }
