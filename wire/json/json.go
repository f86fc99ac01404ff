// Package json is ThriftPy's own JSON protocol, TJSON: four bytes of length, then one object with metadata and payload. Fields go by name,
// so that values cannot be understood without the schema.
//
// Source: ThriftPy2, thriftpy2/protocol/json.py.
package json

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/jsontext"
)

const (
	lengthBytes = 4
	// MaxApplicationText bounds the text of an exception that ParseApplication returns, in bytes.
	MaxApplicationText = 16 << 10
)

// Tail is what stands behind a body: the end of the document.
const Tail = "}"

// Empty is a struct without fields.
const Empty = "{}"

// AppendHead appends what stands before a body of that many bytes, as ThriftPy writes it.
//
//	message:  n:4  {"metadata": {"version": 1, "name": name, "ttype": type, "seqid": seqid}, "payload": body}:n
func AppendHead(dst []byte, h wire.Head, body int) []byte {
	at := len(dst)
	dst = append(dst, "\x00\x00\x00\x00"+`{"metadata": {"version": 1, "name": `...)
	dst = jsontext.AppendString(dst, []byte(h.Name), true)
	dst = strconv.AppendInt(append(dst, `, "ttype": `...), int64(h.Type), 10)
	dst = strconv.AppendInt(append(dst, `, "seqid": `...), int64(h.Seq), 10)
	dst = append(dst, `}, "payload": `...)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-lengthBytes+body+len(Tail)))
	return dst
}

// Parse takes a whole message apart, its length included, and checks all of it. Metadata and payload may stand in either order, and so may
// what is in them; a key that comes twice is refused, since readers would not agree which one counts. headOK says, on an error, that the
// head was read. The error is a *wire.Error.
func Parse(msg []byte, limits wire.Limits, last string) (h wire.Head, headOK bool, body []byte, err error) {
	if len(msg) < lengthBytes {
		return h, false, nil, wire.Errorf(wire.Truncated, len(msg), "the message ends inside its length")
	}
	n := int64(binary.BigEndian.Uint32(msg))
	switch left := int64(len(msg) - lengthBytes); {
	case n > left:
		return h, false, nil, wire.Errorf(wire.SizeLimit, 0, "the document has %d bytes, %d can follow", n, left)
	case n < left:
		return h, false, nil, wire.Errorf(wire.Trailing, lengthBytes+int(n), "%d bytes follow the document", left-n)
	}
	d := document{r: jsontext.Reader{Buf: msg, Pos: lengthBytes}, limits: limits.WithDefaults(), last: last}
	err = d.object(map[string]func() error{"metadata": d.metadata, "payload": d.payload})
	if err == nil {
		err = d.r.End()
	}
	if err == nil && (!d.headOK || d.body == nil) {
		err = wire.Errorf(wire.BadValue, lengthBytes, "not a message: metadata or payload is missing")
	}
	if err != nil {
		return d.head, d.headOK, nil, err
	}
	if t := d.head.Type; t < wire.Call || t > wire.Oneway {
		return d.head, true, nil, wire.Errorf(wire.BadType, lengthBytes, "unknown message type %d", uint8(t))
	}
	return d.head, true, d.body, nil
}

// Peek returns the head of a message of which buf is the beginning, where it is there in full: where the metadata stand first.
func Peek(buf []byte, limits wire.Limits, last string) (h wire.Head, ok bool) {
	if len(buf) < lengthBytes {
		return h, false
	}
	d := document{r: jsontext.Reader{Buf: buf, Pos: lengthBytes}, limits: limits.WithDefaults(), last: last}
	_ = d.object(map[string]func() error{"metadata": d.metadata, "payload": d.payload}) // it is cut off
	return d.head, d.headOK && d.head.Type >= wire.Call && d.head.Type <= wire.Oneway
}

// document is a message that is being taken apart.
type document struct {
	r      jsontext.Reader
	limits wire.Limits
	last   string
	head   wire.Head
	headOK bool
	body   []byte
}

// object reads an object whose keys are those of fields; others are walked over.
func (d *document) object(fields map[string]func() error) error {
	if err := d.r.Take('{'); err != nil {
		return err
	}
	var seen [8]string
	for n := 0; ; n++ {
		more, err := d.r.More('}', n)
		if err != nil || !more {
			return err
		}
		at := d.r.Pos
		key, err := d.r.Key()
		if err != nil {
			return err
		}
		read := fields[string(key)]
		if read == nil {
			read = func() error { return d.r.Skip(2 * d.limits.Depth) }
		} else {
			for i, name := range seen {
				if name == string(key) {
					return wire.Errorf(wire.BadValue, at, "a key of the message stands there twice")
				}
				if name == "" {
					seen[i] = string(key)
					break
				}
			}
		}
		if err := read(); err != nil {
			return err
		}
	}
}

func (d *document) metadata() error {
	at := d.r.Pos
	version, typ, seq := int64(0), int64(0), int64(0)
	err := d.object(map[string]func() error{
		"version": d.int(&version), "ttype": d.int(&typ), "seqid": d.int(&seq), "name": d.name,
	})
	switch {
	case err != nil:
		return err
	case version != 1:
		return wire.Errorf(wire.BadVersion, at, "a message of version %d", version)
	case typ < 0 || typ > 255:
		return wire.Errorf(wire.BadType, at, "unknown message type %d", typ)
	case seq != int64(int32(seq)):
		return wire.Errorf(wire.BadValue, at, "the sequence id has more than 32 bits")
	}
	d.head.Type, d.head.Seq, d.headOK = wire.MessageType(typ), int32(seq), true
	return nil
}

// int returns what reads an integer into v.
func (d *document) int(v *int64) func() error {
	return func() error {
		text, err := d.r.Number()
		if err != nil {
			return err
		}
		if *v, err = strconv.ParseInt(text, 10, 64); err != nil {
			return wire.Errorf(wire.BadValue, d.r.Pos, "a number of the message's head is no integer")
		}
		return nil
	}
}

func (d *document) name() error {
	at := d.r.Pos
	name, err := d.r.String()
	if err != nil {
		return err
	}
	if len(name) > d.limits.NameBytes {
		return wire.Errorf(wire.SizeLimit, at, "the method's name has %d bytes, the limit is %d", len(name), d.limits.NameBytes)
	}
	if d.head.Name = d.last; string(name) != d.last {
		d.head.Name = string(name)
	}
	return nil
}

func (d *document) payload() error {
	if d.r.Next() != '{' {
		return wire.Errorf(wire.BadValue, d.r.Pos, "the payload is no object")
	}
	from := d.r.Pos
	if err := d.r.Skip(2 * d.limits.Depth); err != nil { // a map is an array of objects
		return err
	}
	d.body = d.r.Buf[from:d.r.Pos:d.r.Pos]
	return nil
}

// AppendApplication appends the struct of a TApplicationException. An empty message is left out, as ThriftPy does.
func AppendApplication(dst []byte, typ int32, message string) []byte {
	dst = append(dst, '{')
	if message != "" {
		dst = jsontext.AppendString(append(dst, `"message": `...), []byte(message), true)
		dst = append(dst, ", "...)
	}
	return append(strconv.AppendInt(append(dst, `"type": `...), int64(typ), 10), '}')
}

// ParseApplication reads the struct of a TApplicationException, which is all of body. Unknown fields are walked over; one that is missing is
// zero. The message is valid UTF-8 of at most MaxApplicationText bytes: the rest is cut off.
func ParseApplication(body []byte, limits wire.Limits) (typ int32, message string, err error) {
	d := document{r: jsontext.Reader{Buf: body}, limits: limits.WithDefaults()}
	code := int64(0)
	err = d.object(map[string]func() error{
		"type": d.int(&code),
		"message": func() error {
			text, err := d.r.String()
			message = strings.ToValidUTF8(string(text[:min(len(text), MaxApplicationText)]), "")
			return err
		},
	})
	if err == nil {
		err = d.r.End()
	}
	if err != nil {
		return 0, "", err
	}
	return int32(code), message, nil
}

// ResultField returns the name of a result struct's first field: "success" is the method's value, any other a declared exception. ok is
// false for a struct without fields.
func ResultField(body []byte) (name string, ok bool) {
	r := jsontext.Reader{Buf: body}
	if r.Take('{') != nil || r.Next() == '}' {
		return "", false
	}
	key, err := r.Key()
	return string(key), err == nil
}
