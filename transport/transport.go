// Package transport finds where a Thrift message begins and ends in a stream of bytes, and writes what stands before a message's struct.
//
// Splitters are push state machines: they are handed the bytes that have come so far and never read by themselves, so any engine can
// drive them.
package transport

import "github.com/thriftloom/thriftloom/wire"

// Kind names a way of laying messages on a stream.
type Kind uint8

// The transports.
const (
	Buffered Kind = iota + 1 // unframed: a message ends where its struct ends. ThriftPy's default
	Framed                   // four bytes of length before each message
	Header                   // THeader: a frame with key-value headers
	HTTP                     // a message is the body of a POST
)

// String returns the word that config and flags use.
func (k Kind) String() string {
	switch k {
	case Buffered:
		return "buffered"
	case Framed:
		return "framed"
	case Header:
		return "header"
	case HTTP:
		return "http"
	}
	return "unknown"
}

// Wire is a transport and a protocol: how one connection speaks.
type Wire struct {
	Kind     Kind
	Protocol wire.Protocol
}

// KV is one transport header, as THeader and HTTP carry them.
type KV struct{ Key, Value string }

// Message is one whole message. Body is the args or result struct alone (for an Exception the TApplicationException struct), a slice of
// the bytes that the splitter was handed, or of what they unpack to: immutable, and kept alive for as long as anyone holds it.
type Message struct {
	Wire     Wire // how it came, or is to be sent: an answer has its request's
	Envelope Envelope
	Head     wire.Head
	Headers  []KV // of transports that carry them
	// Tracking is ThriftPy's tracking header, a struct that stood bare before the message in its protocol; nil: there was none. One without
	// fields is its one STOP byte. A slice as Body is.
	Tracking []byte
	Body     []byte
}

// Envelope is how a transport carried a message, where it has a choice. An answer has its request's; the zero value is for who asks, and
// is what buffered and framed messages have.
type Envelope struct {
	Came       bool   // THeader: Seq and Flags are of the frame that came; else a frame is sent with its message's sequence id
	Zlib       bool   // THeader: the payload is packed
	Flags      uint16 // THeader: sent back as they came
	Seq        int32  // THeader: the frame's own
	Close      bool   // HTTP: no further message follows on the connection
	Host, Path string // HTTP: of a request that is sent
}

// A Splitter finds messages in a stream. It belongs to one direction of one connection and is not safe for concurrent use.
type Splitter interface {
	// Split looks for one message at the start of buf, which holds every byte that came and was not used yet. Called again after more
	// bytes came it is handed the same bytes and the new ones behind them; it remembers how far it has looked.
	//
	// used > 0 means that m is a whole message of that many bytes. used == 0 and err == nil means that more bytes are wanted: need is
	// the least length of buf that is worth another call (a hint for how much to read; never a reason to allocate that much at once).
	// An error is a *Malformed. No message is longer than the limit that the splitter was made with.
	Split(buf []byte) (m Message, used, need int, err error)
}

// A Shedder is a Splitter that can give up a message before it is whole and go on behind it.
type Shedder interface {
	Splitter
	// Peek returns what is known of the message at the start of buf, all but its body, once Split was handed buf and wants more; ok is
	// false where its head is not there in full.
	Peek(buf []byte) (m Message, ok bool)
	// Shed gives up the message at the start of buf, of which Split wants more, and is then called instead of Split: it uses its bytes
	// up as they come, keeping nothing, until done. Once done the next message begins. An error is a *Malformed.
	Shed(buf []byte) (used int, done bool, err error)
}

// Malformed says that the bytes are not a message.
type Malformed struct {
	Err *wire.Error
	// Message is what could be read of the message; its head only where HeadOK: the caller can be answered by name and sequence id.
	Message Message
	HeadOK  bool
	// Answer is what tells the peer, in the transport's own words, where it has any: to be sent behind the answers before it. Not with HeadOK.
	Answer []byte
	// Skip is how many bytes to use up to stand at the start of the next message, where that is known (a frame's length tells).
	// Zero means that the stream cannot be trusted any more: answer, if HeadOK, then close.
	Skip int
}

// Error returns the cause's text.
func (m *Malformed) Error() string { return m.Err.Error() }

// Unwrap returns the cause.
func (m *Malformed) Unwrap() error { return m.Err }
