package lease

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Message is what one gateway tells another. Each is whole in itself: a lost one is made good by the next.
type Message struct {
	Name       string // of the sender
	From       uint64 // the sender's incarnation
	Number     uint64 // rises from message to message: nanoseconds since the sender began
	EchoFrom   uint64 // the receiver's incarnation, as the sender knows it; 0: it has heard nothing yet
	EchoNumber uint64 // the receiver's last message that has come
	Boss       uint64 // the incarnation that the sender takes orders from; its own, if it gives them
	Term       uint64 // counts the sender's changes of Boss
	HoldMillis uint32 // how long the sender's calls may take
	Bye        bool   // the sender ends: it has no connection any more
	Lease      bool   // orders of this sender may be relied on
	Wanted     bool   // somebody waits for a slot: what becomes free is to be told at once

	Ack    uint64        // the last order that the sender has carried out, in its Term
	Report []GroupReport // for the boss: the sender's use of all that it shares

	OrderTerm uint64 // of the receiver, for which the order holds
	Order     uint64 // its number; 0: none
	Limits    []GroupLimits
}

// GroupReport is a member's use of one upstream.
type GroupReport struct {
	ID        uint64
	Waiting   uint32
	Endpoints []EndpointReport
}

// EndpointReport is a member's use of one address.
type EndpointReport struct {
	ID                       uint64
	Slots, Limit, Open, Busy uint32
	Down                     bool
}

// GroupLimits is an order for one upstream.
type GroupLimits struct {
	ID        uint64
	Endpoints []EndpointLimit
}

// EndpointLimit is an order for one address.
type EndpointLimit struct {
	ID    uint64
	Limit uint32
}

// The bounds of a message. A datagram carries MaxEndpoints and no more than MaxBytes.
const (
	MaxBytes     = 60000
	MaxEndpoints = 1500
	MaxNameBytes = 64
)

// magic is the first bytes of a message: what it is, and the version of its form.
const magic = "TLG\x01"

const (
	flagBye = 1 << iota
	flagLease
	flagWanted
)

// Append appends the message to b.
//
//	magic:4  flags:1  name:1+n  from:8  number:8  echo:8+8  boss:8  term:8  hold:4  ack:8
//	groups:2 × (id:8  waiting:4  endpoints:2 × (id:8  slots:4  limit:4  open:4  busy:4  down:1))
//	order term:8  order:8  groups:2 × (id:8  endpoints:2 × (id:8  limit:4))
func (m *Message) Append(b []byte) []byte {
	be := binary.BigEndian
	var flags byte
	for bit, set := range map[byte]bool{flagBye: m.Bye, flagLease: m.Lease, flagWanted: m.Wanted} {
		if set {
			flags |= bit
		}
	}
	b = append(append(b, magic...), flags, byte(len(m.Name)))
	b = append(b, m.Name...)
	for _, v := range []uint64{m.From, m.Number, m.EchoFrom, m.EchoNumber, m.Boss, m.Term} {
		b = be.AppendUint64(b, v)
	}
	b = be.AppendUint64(be.AppendUint32(b, m.HoldMillis), m.Ack)
	b = be.AppendUint16(b, uint16(len(m.Report)))
	for _, g := range m.Report {
		b = be.AppendUint16(be.AppendUint32(be.AppendUint64(b, g.ID), g.Waiting), uint16(len(g.Endpoints)))
		for _, e := range g.Endpoints {
			b = be.AppendUint64(b, e.ID)
			for _, v := range []uint32{e.Slots, e.Limit, e.Open, e.Busy} {
				b = be.AppendUint32(b, v)
			}
			down := byte(0)
			if e.Down {
				down = 1
			}
			b = append(b, down)
		}
	}
	b = be.AppendUint64(be.AppendUint64(b, m.OrderTerm), m.Order)
	b = be.AppendUint16(b, uint16(len(m.Limits)))
	for _, g := range m.Limits {
		b = be.AppendUint16(be.AppendUint64(b, g.ID), uint16(len(g.Endpoints)))
		for _, e := range g.Endpoints {
			b = be.AppendUint32(be.AppendUint64(b, e.ID), e.Limit)
		}
	}
	return b
}

// Errors of Parse and Open.
var (
	ErrForm = errors.New("not a message of a gateway")
	ErrSeal = errors.New("not sealed with this key")
)

// Parse is the inverse of Append. It allocates no more than a small multiple of b.
func Parse(b []byte) (*Message, error) {
	r := reader{b: b}
	if len(b) > MaxBytes || string(r.bytes(len(magic))) != magic {
		return nil, ErrForm
	}
	flags := r.byte()
	n := int(r.byte())
	if n > MaxNameBytes {
		return nil, ErrForm
	}
	m := &Message{Name: string(r.bytes(n)), Bye: flags&flagBye != 0, Lease: flags&flagLease != 0, Wanted: flags&flagWanted != 0}
	for _, v := range []*uint64{&m.From, &m.Number, &m.EchoFrom, &m.EchoNumber, &m.Boss, &m.Term} {
		*v = r.uint64()
	}
	m.HoldMillis, m.Ack = r.uint32(), r.uint64()
	for range r.count(14) {
		g := GroupReport{ID: r.uint64(), Waiting: r.uint32()}
		for range r.count(25) {
			g.Endpoints = append(g.Endpoints, EndpointReport{
				ID: r.uint64(), Slots: r.uint32(), Limit: r.uint32(), Open: r.uint32(), Busy: r.uint32(), Down: r.byte() == 1,
			})
		}
		m.Report = append(m.Report, g)
	}
	m.OrderTerm, m.Order = r.uint64(), r.uint64()
	for range r.count(10) {
		g := GroupLimits{ID: r.uint64()}
		for range r.count(12) {
			g.Endpoints = append(g.Endpoints, EndpointLimit{ID: r.uint64(), Limit: r.uint32()})
		}
		m.Limits = append(m.Limits, g)
	}
	if r.short || len(r.b) > 0 || m.From == 0 || !m.sane() {
		return nil, ErrForm
	}
	return m, nil
}

// maxCount is more than an endpoint can have of slots or a queue of calls.
const maxCount = 1 << 20

// sane reports whether the numbers can be true: what is decided from them takes time that grows with them.
func (m *Message) sane() bool {
	for _, g := range m.Report {
		if g.Waiting > maxCount {
			return false
		}
		for _, e := range g.Endpoints {
			if max(e.Slots, e.Limit, e.Open, e.Busy) > maxCount {
				return false
			}
		}
	}
	return true
}

// reader takes a message apart; once it is short, everything is zero.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// count reads the length of a list whose entries have size bytes at least, and checks it against what is left.
func (r *reader) count(size int) int {
	n := int(r.uint16())
	if n*size > len(r.b) {
		r.short, r.b = true, nil
		return 0
	}
	return n
}

// Seal appends the HMAC-SHA256 of b under key to it.
func Seal(key, b []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	return mac.Sum(b)
}

// Unseal returns what was sealed with key.
func Unseal(key, b []byte) ([]byte, error) {
	n := len(b) - sha256.Size
	if n < 0 {
		return nil, ErrSeal
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(b[:n])
	if !hmac.Equal(mac.Sum(nil), b[n:]) {
		return nil, ErrSeal
	}
	return b[:n], nil
}

// idOf is a name as messages carry it.
func idOf(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:8])
}
