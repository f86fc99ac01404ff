package rpc

// CacheResult is how a cache answered a call. The zero value: it was not asked.
type CacheResult uint8

// The values.
const (
	_              CacheResult = iota
	CacheHit                   // with a reply that this process has kept
	CacheStored                // with one that a store has kept which gateways share
	CacheStale                 // with one whose time is over, while another is loaded
	CacheOnError               // with one whose time is over, since the call failed
	CacheCoalesced             // with the reply to an equal call that was under way
	CacheMiss                  // not at all: the call was made
	CacheBypass                // not at all: it is one that has to be made
)

// CacheResults are the names that logs and metrics have, by CacheResult.
var CacheResults = [...]string{
	CacheHit: "hit", CacheStored: "stored", CacheStale: "stale", CacheOnError: "stale_if_error", CacheCoalesced: "coalesced", CacheMiss: "miss",
	CacheBypass: "bypass",
}

// String returns the name; "" where no cache was asked.
func (r CacheResult) String() string { return CacheResults[r] }
