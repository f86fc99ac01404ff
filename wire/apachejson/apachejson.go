// Package apachejson is Apache's JSON protocol: an array of version, name, type and sequence id, and the struct, whose fields go by id and
// say their type.
//
//	struct:  {"1":{"i32":5},"2":{"str":"hi"},"3":{"lst":["i32",2,1,2]},"4":{"map":["str","i32",1,{"a":1}]},"5":{"rec":{…}},"6":{"tf":1}}
//
// Source: Apache Thrift, lib/cpp/src/thrift/protocol/TJSONProtocol.h.
package apachejson

import (
	"strconv"
	"strings"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/jsontext"
)

const (
	version = 1
	// Tail is what stands behind a body.
	Tail = "]"
	// Empty is a struct without fields.
	Empty = "{}"
	// MaxApplicationText bounds the text of an exception that ParseApplication returns, in bytes.
	MaxApplicationText = 16 << 10
)

// tags are the words for types.
var tags = map[wire.Type]string{
	wire.Bool: "tf", wire.I8: "i8", wire.I16: "i16", wire.I32: "i32", wire.I64: "i64", wire.Double: "dbl", wire.String: "str",
	wire.Struct: "rec", wire.Map: "map", wire.Set: "set", wire.List: "lst", wire.UUID: "uid",
}

var types = func() map[string]wire.Type {
	m := map[string]wire.Type{}
	for t, tag := range tags {
		m[tag] = t
	}
	return m
}()

// Tag returns the word for a type, "" for a code that no value has.
func Tag(t wire.Type) string { return tags[t] }

// TypeOf returns the type for a word, Stop for an unknown one.
func TypeOf(tag string) wire.Type { return types[tag] }

// AppendHead appends what stands before a body.
//
//	message:  [1,name,type,seqid,body]
func AppendHead(dst []byte, h wire.Head) []byte {
	dst = jsontext.AppendString(append(dst, "[1,"...), []byte(h.Name), false)
	dst = strconv.AppendInt(append(dst, ','), int64(h.Type), 10)
	dst = strconv.AppendInt(append(dst, ','), int64(h.Seq), 10)
	return append(dst, ',')
}

// Parse takes a whole message apart and checks all of it. headOK says, on an error, that the head was read. The error is a *wire.Error.
func Parse(msg []byte, limits wire.Limits, last string) (h wire.Head, headOK bool, body []byte, err error) {
	limits = limits.WithDefaults()
	r := jsontext.Reader{Buf: msg}
	h, err = readHead(&r, limits, last)
	if err != nil {
		return h, false, nil, err
	}
	if h.Type < wire.Call || h.Type > wire.Oneway {
		err = wire.Errorf(wire.BadType, 0, "unknown message type %d", uint8(h.Type))
		return h, true, nil, err
	}
	if r.Next() != '{' {
		return h, true, nil, wire.Errorf(wire.BadValue, r.Pos, "the message's struct is no object")
	}
	from := r.Pos
	if err = r.Skip(2 * limits.Depth); err != nil { // a field is an object in an object
		return h, true, nil, err
	}
	body = msg[from:r.Pos:r.Pos]
	if err = r.Take(']'); err == nil {
		err = r.End()
	}
	if err != nil {
		return h, true, nil, err
	}
	return h, true, body, nil
}

// Peek returns the head of a message of which buf is the beginning; ok is false where it is not there in full, or is none.
func Peek(buf []byte, limits wire.Limits, last string) (h wire.Head, ok bool) {
	r := jsontext.Reader{Buf: buf}
	h, err := readHead(&r, limits.WithDefaults(), last)
	return h, err == nil && h.Type >= wire.Call && h.Type <= wire.Oneway
}

func readHead(r *jsontext.Reader, limits wire.Limits, last string) (h wire.Head, err error) {
	if err = r.Take('['); err != nil {
		return h, err
	}
	if v, err := integer(r, 32); err != nil {
		return h, err
	} else if v != version {
		return h, wire.Errorf(wire.BadVersion, 0, "a message of version %d", v)
	}
	if err = r.Take(','); err != nil {
		return h, err
	}
	at := r.Pos
	name, err := r.String()
	if err != nil {
		return h, err
	}
	if len(name) > limits.NameBytes {
		return h, wire.Errorf(wire.SizeLimit, at, "the method's name has %d bytes, the limit is %d", len(name), limits.NameBytes)
	}
	var numbers [2]int64
	for i := range numbers {
		if err = r.Take(','); err != nil {
			return h, err
		}
		if numbers[i], err = integer(r, 32); err != nil {
			return h, err
		}
	}
	if err = r.Take(','); err != nil {
		return h, err
	}
	if h.Name = last; string(name) != last {
		h.Name = string(name)
	}
	h.Seq = int32(numbers[1])
	if h.Type = wire.MessageType(numbers[0]); int64(h.Type) != numbers[0] {
		h.Type = 0
	}
	return h, nil
}

func integer(r *jsontext.Reader, bits int) (int64, error) {
	at := r.Pos
	text, err := r.Number()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return 0, wire.Errorf(wire.BadValue, at, "a number that is out of range, or no integer")
	}
	return v, nil
}

// AppendApplication appends the struct of a TApplicationException. An empty message is left out.
func AppendApplication(dst []byte, typ int32, message string) []byte {
	dst = append(dst, '{')
	if message != "" {
		dst = jsontext.AppendString(append(dst, `"1":{"str":`...), []byte(message), false)
		dst = append(dst, "},"...)
	}
	return append(strconv.AppendInt(append(dst, `"2":{"i32":`...), int64(typ), 10), "}}"...)
}

// ParseApplication reads the struct of a TApplicationException, which is all of body. Unknown fields are walked over; one that is missing is
// zero. The message is valid UTF-8 of at most MaxApplicationText bytes: the rest is cut off.
func ParseApplication(body []byte, limits wire.Limits) (typ int32, message string, err error) {
	r := jsontext.Reader{Buf: body}
	depth := 2 * limits.WithDefaults().Depth
	if err = r.Take('{'); err != nil {
		return 0, "", err
	}
	for n := 0; ; n++ {
		more, err := r.More('}', n)
		if err != nil {
			return 0, "", err
		}
		if !more {
			return typ, message, r.End()
		}
		id, t, err := Field(&r)
		switch {
		case err != nil:
		case id == 1 && t == wire.String:
			var text []byte
			text, err = r.String()
			message = strings.ToValidUTF8(string(text[:min(len(text), MaxApplicationText)]), "")
		case id == 2 && t == wire.I32:
			var v int64
			v, err = integer(&r, 32)
			typ = int32(v)
		default:
			err = r.Skip(depth)
		}
		if err == nil {
			err = r.Take('}')
		}
		if err != nil {
			return 0, "", err
		}
	}
}

// Field reads what stands before a field's value: its id, and the word for its type in the object around the value, which the caller closes.
func Field(r *jsontext.Reader) (id int16, t wire.Type, err error) {
	at := r.Pos
	key, err := r.Key()
	if err != nil {
		return 0, 0, err
	}
	v, err := strconv.ParseInt(string(key), 10, 16)
	if err != nil {
		return 0, 0, wire.Errorf(wire.BadValue, at, "a field's id is no number of 16 bits")
	}
	if err = r.Take('{'); err != nil {
		return 0, 0, err
	}
	at = r.Pos
	tag, err := r.Key()
	if err != nil {
		return 0, 0, err
	}
	if t = TypeOf(string(tag)); t == wire.Stop {
		return 0, 0, wire.Errorf(wire.BadType, at, "a field has an unknown type")
	}
	return int16(v), t, nil
}

// ResultField returns the first field of a result struct: id 0 is the method's value, any other a declared exception. ok is false for a
// struct without fields.
func ResultField(body []byte) (id int16, ok bool) {
	r := jsontext.Reader{Buf: body}
	if r.Take('{') != nil || r.Next() == '}' {
		return 0, false
	}
	id, _, err := Field(&r)
	return id, err == nil
}
