package status

import (
	"encoding/json"
	"errors"
)

// What may be wrong with what is asked of the cache.
var (
	// ErrUnknownMethod is the error for a method that the service does not have.
	ErrUnknownMethod = errors.New("unknown method")
	// ErrNotCached is the error for a method whose replies are not kept.
	ErrNotCached = errors.New("its replies are not kept")
	// ErrArguments is the error for arguments that are not the method's. The text around it may have values of them in it.
	ErrArguments = errors.New("the arguments do not fit")
	// ErrStore is the error for a store that does not answer in time.
	ErrStore = errors.New("the store does not answer")
)

// Cache is the replies that are kept, and where.
type Cache struct {
	Entries   int     `json:"entries"`   // in this process
	Bytes     int64   `json:"bytes"`     // of them, with all that belongs to them
	MaxBytes  int64   `json:"max_bytes"` // they may be
	Evictions int64   `json:"evictions"` // replies that had to go before their time, for room
	Stores    []Store `json:"stores"`    // that gateways share
}

// Store is one that gateways share.
type Store struct {
	Name   string `json:"name"`   // redis or memcached
	Up     bool   `json:"up"`     // it is asked; else it did not answer in time
	Owed   int    `json:"owed"`   // invalidations that it has still to be told
	Tracks bool   `json:"tracks"` // it tells what others change
}

// Cached is what the cache did for a method.
type Cached struct {
	TTLSeconds     float64          `json:"ttl_seconds"` // 0: equal calls under way are made once, and nothing is kept
	Tags           []string         `json:"tags,omitempty"`
	Invalidates    []string         `json:"invalidates,omitempty"`
	HitRatio       float64          `json:"hit_ratio"` // of the calls that needed none at the upstream
	Calls          map[string]int64 `json:"calls"`     // by how they were answered: hit, stored, stale, stale_if_error, coalesced, miss, bypass
	Bypassed       map[string]int64 `json:"bypassed"`  // by reason: header, caller, arguments, size
	MeanAgeSeconds float64          `json:"mean_age_seconds"`
	Loads          int64            `json:"loads"`
	Refreshes      int64            `json:"refreshes"` // that no caller waited for
	Failures       int64            `json:"failures"`  // loads without a reply
	Invalidations  int64            `json:"invalidations"`
	Evictions      int64            `json:"evictions"`
	Entries        int64            `json:"entries"` // in this process
	Bytes          int64            `json:"bytes"`
}

// CacheReport is the cache by itself: what the snapshot has of it.
type CacheReport struct {
	Cache
	Methods []CachedMethod `json:"methods"` // that have one, in the order of the config and of the IDL
}

// CachedMethod is a method with a cache.
type CachedMethod struct {
	Service string `json:"service"` // label
	Method  string `json:"method"`
	Cached
}

// Purge says what replies are made void. The zero value is all.
type Purge struct {
	Service   string          // label; of it all
	Method    string          // … or those of a method
	Arguments json.RawMessage // … or, of them, those to calls with these arguments, whoever makes them
	Tag       string          // … or, of the service, those with a tag
}

// Purged is what was made void: at once at this gateway, elsewhere as soon as it is told.
type Purged struct {
	Purged  string   `json:"purged"` // the replies of what: all, a service, a method, a call or a tag
	Service string   `json:"service,omitempty"`
	Method  string   `json:"method,omitempty"`
	Untold  []string `json:"untold"` // stores that do not answer now; each is told as soon as it does, and not asked before
}

// CachedCall is a call whose reply may be kept.
type CachedCall struct {
	Service   string          `json:"service"` // label
	Method    string          `json:"method"`
	Arguments json.RawMessage `json:"arguments,omitempty"` // none: {}
	// Caller is who makes it, where replies are each caller's own: all of its verified identities in their order, or the name that it gives
	// itself.
	Caller  []string          `json:"caller,omitempty"`
	Headers map[string]string `json:"headers,omitempty"` // that tell calls apart (vary)
}

// CachedReply is a reply that is kept.
type CachedReply struct {
	Where        string          `json:"where"` // near, redis or memcached
	AgeSeconds   float64         `json:"age_seconds"`
	FreshSeconds float64         `json:"fresh_seconds"` // that it still is; less than 0: for so long it is not
	Bytes        int             `json:"bytes"`
	Exception    string          `json:"exception,omitempty"` // the name of the declared exception that it carries
	Value        json.RawMessage `json:"value,omitempty"`     // absent for void, and where it is not what the IDL says
}
