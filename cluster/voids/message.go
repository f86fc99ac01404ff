package voids

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ID names what is void: a reply that may be kept, or a group of them.
type ID = [16]byte

// Message is what one gateway tells another: what it has made void, how much of that there is, and what it has heard.
type Message struct {
	From       uint64 // the sender's run
	Number     uint64 // rises from message to message: nanoseconds since the sender began
	EchoFrom   uint64 // the receiver's run, as the sender knows it
	EchoNumber uint64 // the receiver's last message that has come; 0: none has
	Ack        uint64 // the receiver's IDs up to this number have come
	Head       uint64 // the number of the sender's last ID; its first one has 1
	Base       uint64 // the lowest number that is repeated to this receiver
	First      uint64 // the number of the first of IDs; 0 where there are none
	IDs        []ID
	Asks       bool // the sender waits for an answer
	Followed   bool // another run has begun to serve in the sender's place, which does not speak for it
	Bye        bool // the sender ends: Head is its last
}

// The bounds of a message. With its seal it is 1,189 bytes at most: it fits into one packet of any network.
const (
	MaxIDs   = 68
	MaxBytes = headBytes + MaxIDs*len(ID{})
)

const headBytes = len(magic) + 1 + 8*8

// magic is the first bytes of a message: what it is, and the version of its form.
const magic = "TLX\x01"

const (
	flagAsks = 1 << iota
	flagFollowed
	flagBye
	flags
)

// Is reports whether b is to be a message of this package.
func Is(b []byte) bool { return bytes.HasPrefix(b, []byte(magic)) }

// Append appends the message to b.
//
//	magic:4  flags:1  from:8  number:8  echo:8+8  ack:8  head:8  base:8  first:8  ids × 16
func (m *Message) Append(b []byte) []byte {
	var set byte
	for _, f := range []struct {
		on  bool
		bit byte
	}{{m.Asks, flagAsks}, {m.Followed, flagFollowed}, {m.Bye, flagBye}} {
		if f.on {
			set |= f.bit
		}
	}
	b = append(append(b, magic...), set)
	for _, v := range []uint64{m.From, m.Number, m.EchoFrom, m.EchoNumber, m.Ack, m.Head, m.Base, m.First} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	for _, id := range m.IDs {
		b = append(b, id[:]...)
	}
	return b
}

// ErrForm is the error of Parse.
var ErrForm = errors.New("not a message of what is void")

// Parse is the inverse of Append. It allocates no more than a small multiple of b.
func Parse(b []byte) (*Message, error) {
	if !Is(b) || len(b) < headBytes || len(b) > MaxBytes || (len(b)-headBytes)%len(ID{}) != 0 || b[len(magic)] >= flags {
		return nil, ErrForm
	}
	set := b[len(magic)]
	m := &Message{Asks: set&flagAsks != 0, Followed: set&flagFollowed != 0, Bye: set&flagBye != 0}
	b = b[len(magic)+1:]
	for _, v := range []*uint64{&m.From, &m.Number, &m.EchoFrom, &m.EchoNumber, &m.Ack, &m.Head, &m.Base, &m.First} {
		*v = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	if n := len(b) / len(ID{}); n > 0 {
		m.IDs = make([]ID, n)
	}
	for i := range m.IDs {
		copy(m.IDs[i][:], b[i*len(ID{}):])
	}
	if !m.sane() {
		return nil, ErrForm
	}
	return m, nil
}

// sane reports whether the numbers can be true.
func (m *Message) sane() bool {
	const most = 1 << 62
	if m.From == 0 || max(m.Number, m.EchoNumber, m.Ack, m.Head) > most || m.Base == 0 || m.Base > m.Head+1 {
		return false
	}
	n := uint64(len(m.IDs))
	return n == 0 && m.First == 0 || n > 0 && m.First >= m.Base && m.First <= m.Head && n <= m.Head-m.First+1
}
