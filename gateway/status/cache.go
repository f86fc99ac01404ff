package status

import (
	"encoding/json"
	"errors"
)

// ErrUnknownMethod is the error for a method that the service does not have.
var ErrUnknownMethod = errors.New("unknown method")

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

// Purge says what replies are made void. The zero value is all.
type Purge struct {
	Service   string `json:"service,omitempty"`   // label; of it all
	Method    string `json:"method,omitempty"`    // … or those of a method
	Arguments string `json:"arguments,omitempty"` // … or, of them, those to calls with these arguments, as JSON
	Tag       string `json:"tag,omitempty"`       // … or those with a tag
}

// CachedReply is a reply that is kept.
type CachedReply struct {
	Where        string          `json:"where"` // near, redis or memcached
	AgeSeconds   float64         `json:"age_seconds"`
	FreshSeconds float64         `json:"fresh_seconds"` // that it still is; less than 0: for so long it is not
	Bytes        int             `json:"bytes"`
	Exception    string          `json:"exception,omitempty"` // the name of the declared exception that it carries
	Value        json.RawMessage `json:"value,omitempty"`     // absent for void
}
