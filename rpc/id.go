package rpc

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync/atomic"
)

// ID names one call in logs, errors and traces: unique in one process, and very likely among all.
type ID uint64

// idBase is drawn once; ids count up from it, so that making one costs an addition.
var idNext = func() *atomic.Uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	n := new(atomic.Uint64)
	n.Store(binary.BigEndian.Uint64(b[:]))
	return n
}()

// NewID returns an id that was not returned before. Safe for concurrent use.
func NewID() ID { return ID(idNext.Add(0x9e3779b97f4a7c15)) } // odd step: visits every value, neighbours look different

// String returns 16 hex digits.
func (id ID) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(id))
	return hex.EncodeToString(b[:])
}
