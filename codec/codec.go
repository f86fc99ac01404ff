// Package codec turns values into bytes and back under a schema: dynamic values, typed plans for Go types, and JSON.
//
// A dynamic value (schema.Value) needs nothing but the schema. A Plan is compiled once from a schema type and a Go type and then reads and
// writes that Go type directly. Binary and compact have loops of their own. Both forms write the same bytes and read alike:
//
//   - an unset field is not written; fields are written in declaration order
//   - an unknown field, and a field whose type on the wire is not the schema's, is skipped
//   - a container whose elements are of another type than the schema's is read as an empty one, as ThriftPy does
//   - a set keeps its order and its duplicates; an enum keeps numbers that have no name; a string keeps its bytes, UTF-8 or not
//   - a field that comes twice has its last value
//   - a missing required field is no error: ThriftPy never checks it
//
// Memory is bounded: decoding a body of n bytes makes room for at most 64 n bytes + 1 MiB of Go values, beyond which it is refused
// (SizeLimit), however sparse the message is.
package codec

import (
	"errors"
	"strconv"
	"strings"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

const (
	// unpackFactor and unpackFloorBytes bound the memory of decoded values against the bytes that came. The factor is far above what
	// real messages need (a struct of 100 unset fields in 30 bytes takes 53), and far below what an attacker would like.
	unpackFactor     = 64
	unpackFloorBytes = 1 << 20
	// maxStringBytes is the longest string that the wire can carry.
	maxStringBytes = 1<<31 - 1
)

// Error says what is wrong with a value, and where in it.
type Error struct {
	Path string // "User.address.zip"; in JSON "$.user.address.zip"
	Text string // lower case: `expected i32, found string "x"`
}

// Error returns path: text.
func (e *Error) Error() string { return e.Path + ": " + e.Text }

// Errors is every mistake that was found, in the order of the input. Each is an *Error.
type Errors []*Error

// Error returns every mistake, a line each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// TypeOf returns s as a Type: what takes a Type then also takes a method's Args or Result.
func TypeOf(s *schema.StructType) *schema.Type { return &schema.Type{Kind: schema.Struct, Struct: s} }

// under puts step before the path of err, on its way up to where the value begins.
func under(step string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Path = step + e.Path
	}
	return err
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// mapKey and mapValue stand in a path for the two sides of a map.
const (
	mapKey   = "{key}"
	mapValue = "{value}"
)

func unsupported(p wire.Protocol) error {
	return wire.Errorf(wire.Unsupported, 0, "values in protocol %s cannot be read or written", p)
}

// decoder is the state of one decoding, dynamic or typed.
type decoder struct {
	reader
	depth  int // levels that may still be entered
	budget int // bytes that may still be allocated
	arena  arena
	slab   sliceHeader // where the structs of a list of pointers are made

	text      int  // the length of a body that was text; 0: it was not
	inDefault bool // decoding a default, whose structs get none of their own
}

// newDecoder returns what decodes a value of type t. The JSON protocols are read by way of binary: of those, body is a whole struct.
func newDecoder(p wire.Protocol, t *schema.Type, body []byte, limits wire.Limits) (*decoder, error) {
	if p != wire.Binary && p != wire.Compact {
		if t.Kind != schema.Struct {
			return nil, unsupported(p)
		}
		limits.MessageBytes = max(limits.WithDefaults().MessageBytes, len(body))
		inBinary, err := Translate(nil, p, wire.Binary, t.Struct, body, limits)
		if err != nil {
			return nil, err
		}
		d, err := newDecoder(wire.Binary, t, inBinary, limits)
		if err == nil {
			d.text = len(body)
		}
		return d, err
	}
	return &decoder{
		reader: reader{r: binary.Reader{Buf: body}, compact: p == wire.Compact},
		depth:  limits.WithDefaults().Depth,
		budget: unpackFactor*len(body) + unpackFloorBytes,
	}, nil
}

// used is how many bytes of the body the value took.
func (d *decoder) used() int {
	if d.text > 0 {
		return d.text
	}
	return d.r.Pos
}

// enter begins a struct or container; leave ends it.
func (d *decoder) enter() error {
	if d.depth <= 0 {
		return wire.Errorf(wire.DepthLimit, d.r.Pos, "the value is nested too deep")
	}
	d.depth--
	return nil
}

func (d *decoder) leave() { d.depth++ }

// charge accounts for size bytes that are about to be allocated.
func (d *decoder) charge(size int) error {
	if d.budget -= size; d.budget < 0 {
		return wire.Errorf(wire.SizeLimit, d.r.Pos, "the message would unpack to more than %d times its size", unpackFactor)
	}
	return nil
}
