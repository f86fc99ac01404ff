package cache

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/wire"
)

// Entry is a reply that is kept. It is not changed, but for what is atomic.
type Entry struct {
	Reply    *rpc.Reply // Protocol, Body and Exception alone; all who are answered with it share it
	Groups   []ID       // that it belongs to
	Versions []uint64   // which they had in the store when its load began; nil where there is no store
	Loaded   time.Time  // when its load ended
	Took     time.Duration
	Fresh    time.Duration // it is fresh for so long from Loaded
	Stale    time.Duration // … and for so long after that still an answer while another is loaded
	OnError  time.Duration // … or where none can be loaded

	mark   uint64        // of the journal when it was begun to find it out
	early  time.Duration // from Loaded on, when it is loaded anew though it is fresh; zero: never
	came   time.Time     // into this process
	kept   time.Duration // here for no longer than that from then on; zero: as long as it may be
	far    bool          // not kept in this process at all
	store  *guard        // where it is kept too; nil: nowhere
	counts *methodCounts // where it is counted; nil: nowhere
	pause  pause
}

// Until returns when the entry is of no use any more in this process.
func (e *Entry) Until() time.Time {
	until := e.Loaded.Add(e.storedFor())
	if here := e.came.Add(e.kept); e.kept > 0 && here.Before(until) {
		return here
	}
	return until
}

// storedFor is how long the entry is of use in a store.
func (e *Entry) storedFor() time.Duration { return e.Fresh + max(e.Stale, e.OnError) }

// Left is called once for each entry that was put into a Near when it has gone from there: evicted says that it had to go before its time.
func (e *Entry) Left(evicted bool) {
	if e.counts == nil {
		return
	}
	e.counts.entries.Add(-1)
	e.counts.bytes.Add(-int64(e.Bytes()))
	if evicted {
		e.counts.evictions.Add(1)
	}
}

// Bytes is what an entry costs in memory: its body, and what belongs to it.
func (e *Entry) Bytes() int {
	return entryBytes + cap(e.Reply.Body) + len(e.Groups)*len(ID{}) + len(e.Versions)*8
}

// entryBytes is the memory of an entry without a body: the entry, its reply and what a Near keeps of it. With store/near it is measured, by
// TestCA11, on 64-bit machines.
const entryBytes = 432

// The form of an entry in a store.
//
//	magic:3 "TLC"  form:1  protocol:1  exception:2  loaded:8 (unix ms)  took:4  fresh:4  stale:4  on error:4 (all ms)  n:1  versions:8 × n  body  crc:4
//
// crc is Castagnoli's, of all before it.
const (
	magic       = "TLC\x01"
	headerBytes = len(magic) + 1 + 2 + 8 + 4*4 + 1
	crcBytes    = 4
	// MaxGroups bounds the groups of an entry.
	MaxGroups = 16
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errForm    = errors.New("not a reply that was kept, or a part of one")
)

// encode returns the entry as a store keeps it.
func (e *Entry) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 0, headerBytes+8*len(e.Versions)+len(e.Reply.Body)+crcBytes)
	b = append(append(b, magic...), byte(e.Reply.Protocol))
	b = be.AppendUint16(b, uint16(e.Reply.Exception))
	b = be.AppendUint64(b, uint64(e.Loaded.UnixMilli()))
	for _, d := range []time.Duration{e.Took, e.Fresh, e.Stale, e.OnError} {
		b = be.AppendUint32(b, uint32(min(d.Milliseconds(), 1<<32-1)))
	}
	b = append(b, byte(len(e.Versions)))
	for _, v := range e.Versions {
		b = be.AppendUint64(b, v)
	}
	b = append(b, e.Reply.Body...)
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decode is the inverse of encode. The body of the entry is a part of b. An entry of a gateway whose clock goes before ours is as new as
// can be: it lives no longer than it was to.
func decode(b []byte, now time.Time) (*Entry, error) {
	be := binary.BigEndian
	if len(b) < headerBytes+crcBytes || string(b[:len(magic)]) != magic {
		return nil, errForm
	}
	end := len(b) - crcBytes
	if crc32.Checksum(b[:end], castagnoli) != be.Uint32(b[end:]) {
		return nil, errForm
	}
	at := len(magic)
	e := &Entry{Reply: &rpc.Reply{Protocol: wire.Protocol(b[at]), Exception: int16(be.Uint16(b[at+1:]))}}
	at += 3
	if e.Loaded = time.UnixMilli(int64(be.Uint64(b[at:]))); e.Loaded.After(now) {
		e.Loaded = now
	}
	at += 8
	for _, d := range []*time.Duration{&e.Took, &e.Fresh, &e.Stale, &e.OnError} {
		*d = time.Duration(be.Uint32(b[at:])) * time.Millisecond
		at += 4
	}
	n := int(b[at])
	at++
	if n > MaxGroups || at+8*n > end {
		return nil, errForm
	}
	e.Versions = make([]uint64, n)
	for i := range e.Versions {
		e.Versions[i] = be.Uint64(b[at:])
		at += 8
	}
	e.Reply.Body = b[at:end:end]
	return e, nil
}
