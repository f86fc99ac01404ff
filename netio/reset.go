package netio

// Fate is what became of bytes that were written to a peer that has sent its last byte.
type Fate uint8

const (
	// Settled: they may have been read, and nothing more will be known.
	Settled Fate = iota
	// Unsettled: that they were not all read may still be seen.
	Unsettled
	// Unread: the peer has closed, and had not read them all.
	Unread
)
