package transport

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"strings"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// blockReader reads a header block.
type blockReader struct {
	buf []byte
	at  int
}

// varint reads a number of at most 31 bits.
func (r *blockReader) varint() (int, error) {
	v, n := binary.Uvarint(r.buf[r.at:])
	switch {
	case n == 0:
		return 0, wire.Errorf(wire.Truncated, len(r.buf), "the header block ends inside a number")
	case n < 0 || v > 1<<31-1:
		return 0, wire.Errorf(wire.BadValue, r.at, "a number in the header block has more than 31 bits")
	}
	r.at += n
	return int(v), nil
}

// text reads a length and as many bytes.
func (r *blockReader) text() (string, error) {
	at := r.at
	n, err := r.varint()
	if err != nil {
		return "", err
	}
	if n > len(r.buf)-r.at {
		return "", wire.Errorf(wire.SizeLimit, at, "a header of %d bytes in a header block with %d left", n, len(r.buf)-r.at)
	}
	r.at += n
	return string(r.buf[r.at-n : r.at]), nil
}

// keyValues appends the key-values of one info to kvs.
func (r *blockReader) keyValues(kvs []KV) ([]KV, error) {
	at := r.at
	n, err := r.varint()
	if err != nil {
		return nil, err
	}
	if n > headerCount-len(kvs) {
		return nil, wire.Errorf(wire.SizeLimit, at, "%d headers in a frame, the limit is %d", len(kvs)+n, headerCount)
	}
	for range n {
		at := r.at
		key, err := r.text()
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(key, headerNever) {
			return nil, wire.Errorf(wire.BadValue, at, "NUL, CR or LF in a header's key")
		}
		value, err := r.text()
		if err != nil {
			return nil, err
		}
		kvs = append(kvs, KV{key, value})
	}
	return kvs, nil
}

// inflater inflates payloads, one after the other.
type inflater struct {
	from bytes.Reader
	zlib io.ReadCloser // kept: it is 40 KB
}

// all returns what a payload unpacks to, which is at most limit bytes. It takes no more memory than about twice of what it returns, and
// never more than about twice the limit.
func (f *inflater) all(packed []byte, limit int) ([]byte, error) {
	f.from.Reset(packed)
	defer f.from.Reset(nil)
	var err error
	if f.zlib == nil {
		f.zlib, err = zlib.NewReader(&f.from)
	} else {
		err = f.zlib.(zlib.Resetter).Reset(&f.from, nil)
	}
	if err != nil {
		f.zlib = nil
		return nil, wire.Errorf(wire.BadValue, 0, "zlib: %v", err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(io.LimitReader(f.zlib, int64(limit)+1)); err != nil {
		return nil, wire.Errorf(wire.BadValue, len(packed)-f.from.Len(), "zlib: %v", err)
	}
	switch {
	case out.Len() > limit:
		return nil, wire.Errorf(wire.SizeLimit, 0, "a payload unpacks to more than %d bytes, the limit", limit)
	case f.from.Len() > 0:
		return nil, wire.Errorf(wire.Trailing, len(packed)-f.from.Len(), "%d bytes follow the packed payload", f.from.Len())
	}
	return out.Bytes()[:out.Len():out.Len()], nil
}

// encodeHeader lays m out as a frame of THeader behind dst.
func encodeHeader(dst []byte, m Message) (head, body []byte) {
	at, seq := len(dst), m.Head.Seq
	if m.Envelope.Came {
		seq = m.Envelope.Seq
	}
	dst = append(dst, 0, 0, 0, 0, headerMagic>>8, headerMagic&0xff)
	dst = binary.BigEndian.AppendUint16(dst, m.Envelope.Flags)
	dst = binary.BigEndian.AppendUint32(dst, uint32(seq))
	dst = append(dst, 0, 0)
	block := len(dst)
	dst = appendBlock(dst, m)
	binary.BigEndian.PutUint16(dst[block-2:], uint16((len(dst)-block)/4))
	if m.Envelope.Zlib {
		dst, body = appendZlib(dst, m), nil
	} else {
		dst, body = message.AppendHead(dst, m.Wire.Protocol, m.Head, len(m.Body)), m.Body
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-frameHead+len(body)))
	return dst, body
}

// appendBlock appends the header block of m. Headers that no reader here would take are left out: a key with NUL, CR or LF, and what is
// beyond the bounds of a block. Callers' and handlers' own never come to that: a call or reply that has one is refused by Carries before.
// What is left out is what is added behind them on the way, the trace context out of ThriftPy's tracking: nobody who could mend it asked
// for that header here, and a call that loses its trace is better than one that is refused for it.
func appendBlock(dst []byte, m Message) []byte {
	at := len(dst)
	var id byte
	if m.Wire.Protocol == wire.Compact {
		id = 2
	}
	if dst = append(dst, id, 0); m.Envelope.Zlib {
		dst[len(dst)-1] = 1
		dst = append(dst, transformZlib)
	}
	n, left := 0, headerRoom
	var sent []byte
	for _, kv := range m.Headers {
		size := kv.size()
		if n == headerCount || size > left || strings.ContainsAny(kv.Key, headerNever) {
			continue
		}
		n, left = n+1, left-size
		sent = append(binary.AppendUvarint(sent, uint64(len(kv.Key))), kv.Key...)
		sent = append(binary.AppendUvarint(sent, uint64(len(kv.Value))), kv.Value...)
	}
	if n > 0 {
		dst = append(binary.AppendUvarint(append(dst, infoKeyValue), uint64(n)), sent...)
	}
	for (len(dst)-at)%4 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// appendZlib appends the message itself, packed.
func appendZlib(dst []byte, m Message) []byte {
	out := bytes.NewBuffer(dst)
	w := zlib.NewWriter(out) // which writes into memory: no error
	_, _ = w.Write(message.AppendHead(nil, m.Wire.Protocol, m.Head, len(m.Body)))
	_, _ = w.Write(m.Body)
	_ = w.Close()
	return out.Bytes()
}
