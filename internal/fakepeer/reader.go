package fakepeer

import (
	"io"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// Reader finds the messages in what comes over a connection. It is not safe for concurrent use.
type Reader struct {
	from  io.Reader
	split transport.Splitter
	buf   []byte // appended to, and never written again: who is handed a message may keep it
	more  []byte
}

// NewReader returns a reader of messages that come in that wire, which is a valid one.
func NewReader(from io.Reader, w transport.Wire) *Reader {
	split, err := transport.NewSplitter(w, wire.Limits{})
	if err != nil {
		panic(err)
	}
	return &Reader{from: from, split: split}
}

// Next waits for a whole message. The error is from's, or that of bytes that are no message.
func (r *Reader) Next() (m transport.Message, err error) {
	for {
		m, used, _, err := r.split.Split(r.buf[:len(r.buf):len(r.buf)])
		if err != nil || used > 0 {
			r.buf = r.buf[used:]
			return m, err
		}
		if r.more == nil {
			r.more = make([]byte, 16<<10)
		}
		n, err := r.from.Read(r.more)
		r.buf = append(r.buf, r.more[:n]...)
		if n == 0 && err != nil {
			return m, err
		}
	}
}

// Rest is what has come of a message that is not whole yet.
func (r *Reader) Rest() []byte { return r.buf }
