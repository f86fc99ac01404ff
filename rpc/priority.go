package rpc

// Priority is a call's class where there is not room for all: who is answered first, and who is refused last. The zero value is Normal.
type Priority int8

// The classes.
const (
	Background Priority = iota - 2 // nobody waits for it: prefetching, statistics
	Batch                          // somebody waits, but not now: reports, jobs
	Normal
	Critical // what the product cannot be without: logging in, paying
	Probe    // health checks of our own: never refused because others want more
)

// Priorities are the classes that a config may name, the one that is refused last first.
var Priorities = [...]Priority{Critical, Normal, Batch, Background}

// String returns the name that configs and metrics use.
func (p Priority) String() string {
	switch p {
	case Background:
		return "background"
	case Batch:
		return "batch"
	case Critical:
		return "critical"
	case Probe:
		return "probe"
	}
	return "normal"
}

// ParsePriority returns the class of a name; ok is false where there is none.
func ParsePriority(name string) (p Priority, ok bool) {
	for _, p := range Priorities {
		if p.String() == name {
			return p, true
		}
	}
	return Normal, false
}
