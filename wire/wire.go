// Package wire holds what every Thrift protocol shares: type codes, message heads, limits and errors.
//
// Each protocol has a folder of its own below (binary, …). Nothing here knows of calls, schemas or connections.
package wire

import "fmt"

// Type is a type code as Thrift's binary protocol writes it.
type Type uint8

// The type codes. Void has a code but no bytes and never stands in a message.
const (
	Stop   Type = 0
	Void   Type = 1
	Bool   Type = 2
	I8     Type = 3
	Double Type = 4
	I16    Type = 6
	I32    Type = 8
	I64    Type = 10
	String Type = 11 // string and binary: the wire does not tell them apart
	Struct Type = 12
	Map    Type = 13
	Set    Type = 14
	List   Type = 15
	UUID   Type = 16
)

var typeNames = [...]string{
	Stop: "stop", Void: "void", Bool: "bool", I8: "i8", Double: "double", I16: "i16", I32: "i32", I64: "i64",
	String: "string", Struct: "struct", Map: "map", Set: "set", List: "list", UUID: "uuid",
}

// String returns the IDL's word for t, or "type N" for a code that Thrift does not know.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// MessageType says what a message is.
type MessageType uint8

// The message types.
const (
	Call      MessageType = 1
	Reply     MessageType = 2 // a result, or an exception that the IDL declares
	Exception MessageType = 3 // a TApplicationException
	Oneway    MessageType = 4
)

// String returns the word that Thrift's documents use.
func (t MessageType) String() string {
	switch t {
	case Call:
		return "call"
	case Reply:
		return "reply"
	case Exception:
		return "exception"
	case Oneway:
		return "oneway"
	}
	return fmt.Sprintf("message type %d", uint8(t))
}

// Protocol names an encoding of values.
type Protocol uint8

// The protocols. A body in strict and in non-strict binary is the same bytes; only the head differs (Head.NonStrict).
const (
	Binary     Protocol = iota + 1
	Compact             // Apache's compact protocol
	JSON                // ThriftPy's own TJSON: four bytes of length, fields by name
	ApacheJSON          // Apache's JSON: fields by id
)

// String returns the word that config and flags use.
func (p Protocol) String() string {
	switch p {
	case Binary:
		return "binary"
	case Compact:
		return "compact"
	case JSON:
		return "json"
	case ApacheJSON:
		return "apachejson"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// Head is the part of a message before its struct.
type Head struct {
	Name      string // the method, with the multiplexed prefix where there is one
	Seq       int32
	Type      MessageType
	NonStrict bool // binary only: written without the version word
}

// Limits bound what a decoder accepts. A field left zero means its default.
type Limits struct {
	// MessageBytes bounds one message or frame, head included, in bytes. Default 16,384,000 (Apache's frame size).
	MessageBytes int
	// Depth bounds how deep structs and containers nest, in levels. Default 64 (Apache's).
	Depth int
	// NameBytes bounds a method's name, in bytes. Default 1024.
	NameBytes int
}

// The default limits.
const (
	DefaultMessageBytes = 16_384_000
	DefaultDepth        = 64
	DefaultNameBytes    = 1024
)

// WithDefaults returns l with each zero field set to its default.
func (l Limits) WithDefaults() Limits {
	if l.MessageBytes == 0 {
		l.MessageBytes = DefaultMessageBytes
	}
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	if l.NameBytes == 0 {
		l.NameBytes = DefaultNameBytes
	}
	return l
}

// Reason says in one word why bytes are not a message. It is a metric label.
type Reason string

// The reasons.
const (
	Truncated    Reason = "truncated"     // the bytes end inside a value that should be whole
	BadVersion   Reason = "bad_version"   // not the protocol that it should be
	BadType      Reason = "bad_type"      // a type code or message type that Thrift does not know
	NegativeSize Reason = "negative_size" // a length below zero
	SizeLimit    Reason = "size_limit"    // a length or count beyond Limits or beyond the bytes left
	DepthLimit   Reason = "depth_limit"   // nested deeper than Limits.Depth
	BadValue     Reason = "bad_value"     // a value that its type cannot have
	Trailing     Reason = "trailing"      // bytes after the end of a message inside its frame
	TLSHello     Reason = "tls"           // a TLS handshake where none is spoken
	Stalled      Reason = "stalled"       // a message that began and did not come whole in time
	Unsupported  Reason = "unsupported"   // a protocol or transport that is known and not spoken here
)

// Error says what is wrong with bytes, and where.
type Error struct {
	Reason Reason
	Offset int    // of the offending byte, from where the decoder began
	Text   string // for people: lower case, no bytes of the message
}

// Error returns the text with its place.
func (e *Error) Error() string { return fmt.Sprintf("%s (byte %d)", e.Text, e.Offset) }

// Errorf makes an *Error.
func Errorf(r Reason, offset int, format string, args ...any) *Error {
	return &Error{Reason: r, Offset: offset, Text: fmt.Sprintf(format, args...)}
}
