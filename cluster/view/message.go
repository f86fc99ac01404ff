package view

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// ID is an endpoint as messages carry it: 48 bits of the SHA-256 of its upstream's name and its address.
type ID uint64

// IDOf returns the ID of an address of an upstream.
func IDOf(upstream, address string) ID {
	sum := sha256.Sum256([]byte(upstream + "\x00" + address))
	return ID(binary.BigEndian.Uint64(sum[:8]) >> 16)
}

// Message is what a gateway tells the others: of some of its endpoints how many calls it has in flight there.
type Message struct {
	From   uint64 // the sender's run
	Number uint64 // rises from message to message: nanoseconds since the sender began
	Words  []Word
}

// Word is what is said of one endpoint.
type Word struct {
	ID    ID
	Calls int // 0 to MaxCalls
}

// The bounds of a message. With its seal it is 1,196 bytes at most: it fits into one packet of any network.
const (
	MaxWords = 143
	MaxBytes = headBytes + MaxWords*wordBytes
	MaxCalls = 1<<16 - 1
)

const (
	headBytes = len(magic) + 8 + 8
	wordBytes = 6 + 2
)

// magic is the first bytes of a message: what it is, and the version of its form.
const magic = "TLV\x01"

// Is reports whether b is to be a message of this package.
func Is(b []byte) bool { return bytes.HasPrefix(b, []byte(magic)) }

// Append appends the message to b.
//
//	magic:4  from:8  number:8  words × (id:6  calls:2)
func (m *Message) Append(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(be.AppendUint64(append(b, magic...), m.From), m.Number)
	for _, w := range m.Words {
		b = be.AppendUint64(b, uint64(w.ID)<<16|uint64(w.Calls))
	}
	return b
}

// ErrForm is the error of Parse.
var ErrForm = errors.New("not a message of a gateway's calls")

// Parse is the inverse of Append. It allocates no more than a small multiple of b.
func Parse(b []byte) (*Message, error) {
	if !Is(b) || len(b) < headBytes || len(b) > MaxBytes || (len(b)-headBytes)%wordBytes != 0 {
		return nil, ErrForm
	}
	be := binary.BigEndian
	m := &Message{From: be.Uint64(b[len(magic):]), Number: be.Uint64(b[len(magic)+8:])}
	if m.From == 0 || m.Number > 1<<62 {
		return nil, ErrForm
	}
	b = b[headBytes:]
	if len(b) > 0 {
		m.Words = make([]Word, len(b)/wordBytes)
	}
	for i := range m.Words {
		w := be.Uint64(b[i*wordBytes:])
		m.Words[i] = Word{ID(w >> 16), int(w & MaxCalls)}
	}
	return m, nil
}
