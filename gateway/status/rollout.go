package status

// Mirror is what became of the copies of a method's calls. Replies that were compared are same or differ.
type Mirror struct {
	To           string  `json:"to"` // the name of the cluster
	Percent      float64 `json:"percent"`
	Same         int64   `json:"same"`
	Differ       int64   `json:"differ"`
	Answered     int64   `json:"answered"`      // and not compared
	MirrorFailed int64   `json:"mirror_failed"` // the copy had no reply
	MainFailed   int64   `json:"main_failed"`   // the caller's own call had none
	Dropped      int64   `json:"dropped"`       // not sent: too many copies were under way
	// Paths are the fields that differed, those that did most often first. They never hold values.
	Paths     []MirrorPath `json:"paths"`
	MorePaths int64        `json:"more_paths"` // replies that differed in fields beyond those
}

// MirrorPath is a field in which replies differed.
type MirrorPath struct {
	Path  string `json:"path"`  // "success.address.city"
	Calls int64  `json:"calls"` // that differed there
}

// Canary is where a method's calls went.
type Canary struct {
	To        string  `json:"to"` // the name of the cluster
	Percent   float64 `json:"percent"`
	Calls     int64   `json:"calls"`      // that went there
	MainCalls int64   `json:"main_calls"` // that did not
	Ended     bool    `json:"ended"`      // it failed too much, and gets no calls any more
}

// Faults is the calls that waited and failed on purpose.
type Faults struct {
	Delayed  int64 `json:"delayed"`
	Aborted  int64 `json:"aborted"`
	Excepted int64 `json:"excepted"` // ended with a declared exception
}
