package cache

import (
	"context"
	"time"
)

// ID names a reply that is kept, or a group of them: half of a SHA-256.
type ID [16]byte

// Lease is the right to load a reply, and what was known when it was given. The zero value is none.
type Lease struct {
	Token uint64
	// Versions are those of the groups that Acquire was asked for, in their order; none is 0. A reply that is loaded under the lease is kept with
	// them, and holds as long as they do.
	Versions []uint64
}

// Stored is what a store has of a reply.
type Stored struct {
	Value []byte // nil: nothing. The caller's own
	// Versions are those of the groups that Get was asked for, in their order; 0: the group has none, and what was kept with one is void.
	Versions []uint64
}

// A Store keeps replies that gateways share.
//
// A value is written under a lease only, which one gateway has at a time, and which Delete ends: so a reply whose load had begun before is
// not written behind it. A group, a method or a tag, has a version, which Invalidate changes: a reply holds while the groups that it belongs
// to have the versions that they had when its load began. What the store loses by itself (a value, a lease, a version) makes replies
// void, and never one that was void hold again: versions are drawn at random.
//
// Each method returns when ctx ends, with an error. Safe for concurrent use.
type Store interface {
	// Get returns what there is under key, and the versions of groups.
	Get(ctx context.Context, key ID, groups []ID) (Stored, error)
	// Acquire takes the lease of key for a term, whether there is a value or not, and gives groups that have no version one. The Token is 0
	// where another has the lease.
	Acquire(ctx context.Context, key ID, groups []ID, term time.Duration) (Lease, error)
	// Extend lets a lease that still holds last for another term from now.
	Extend(ctx context.Context, key ID, l Lease, term time.Duration) error
	// Put keeps a value for life and ends the lease. kept is false where the lease did not hold any more.
	Put(ctx context.Context, key ID, l Lease, value []byte, life time.Duration) (kept bool, err error)
	// Release ends a lease without a value.
	Release(ctx context.Context, key ID, l Lease) error
	// Delete drops the values and the leases of keys.
	Delete(ctx context.Context, keys ...ID) error
	// Invalidate gives groups new versions.
	Invalidate(ctx context.Context, groups ...ID) error
	// Tracks reports whether the store tells, by way of Events, what changes of all that it was asked for.
	Tracks() bool
}

// Events are what a store that tracks tells. The functions are quick, and called from any goroutine.
type Events struct {
	// Changed is told of keys and groups that were asked for before and that somebody has changed since, in the order of the changes; of one that
	// this gateway has changed itself it may be told or not.
	Changed func(ids []ID)
	// Lost is told that changes may have been missed: nothing that was asked for before holds. What is asked for after that is tracked again.
	Lost func()
}

// Near is the memory of this process for replies, bounded in bytes. Safe for concurrent use.
type Near interface {
	// Get returns the entry that was put last under key, or nil.
	Get(key ID) *Entry
	// Put keeps e until e.Until, or less long where others are asked for more. It may be kept out at once. An entry is not changed any more.
	Put(key ID, e *Entry)
	// Delete drops the entry of a key.
	Delete(key ID)
	// Clear drops all.
	Clear()
	// Usage returns what is kept.
	Usage() Usage
}

// Usage is what a Near has in use.
type Usage struct {
	Entries   int
	Bytes     int64 // of entries with all that belongs to them
	MaxBytes  int64
	Evictions int64 // entries that had to go before their time
}
