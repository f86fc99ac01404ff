package hostile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"testing"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// headerFrame is a frame of THeader: a block of so many words, as it says, and what follows.
func headerFrame(words uint16, block string, payload []byte) []byte {
	b := []byte{0x0f, 0xff, 0, 0, 0, 0, 0, 77} // magic, flags, sequence id
	b = append(append(binary.BigEndian.AppendUint16(b, words), block...), payload...)
	return frame(len(b), b)
}

// bomb is a packed payload that unpacks to n zeros.
func bomb(t *testing.T, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := io.CopyN(w, zeros{}, int64(n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// A frame of THeader that is hostile before its message can be read ends its connection, behind the answers to the good calls before it: it
// is counted by what it is, and reaches no server. Others are answered meanwhile.
func TestHeader(t *testing.T) {
	d := openDoor(t, "max_message_bytes: 1MiB", "")
	call := form{transport.Buffered, false}.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, keyed("x"))
	for _, c := range []struct {
		name   string
		frame  []byte
		reason wire.Reason
	}{
		{"zlib bomb", headerFrame(1, "\x00\x01\x01\x00", bomb(t, 50<<20)), wire.SizeLimit},
		{"header block longer than the frame", headerFrame(100, "\x00\x00\x00\x00", call), wire.SizeLimit},
		{"unknown transform", headerFrame(1, "\x00\x01\x03\x00", call), wire.Unsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			friend, caller := d.caller(t, forms[0]), d.caller(t, form{transport.Header, false})
			friend.good(t)
			caller.good(t)
			d.got()
			before, counted := d.bytes.Load(), d.malformed(t)
			if _, err := caller.Write(c.frame); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(caller); len(rest) != 0 || timedOut(err) {
				t.Errorf("read %q, %v; want the end", rest, err)
			}
			if n := d.bytes.Load() - before; n != 0 || len(d.got()) != 0 {
				t.Errorf("%d bytes have reached the peer", n)
			}
			if n := d.malformed(t)[c.reason] - counted[c.reason]; n != 1 {
				t.Errorf("counted %d times as %s", n, c.reason)
			}
			friend.good(t)
			d.caller(t, form{transport.Header, false}).good(t)
		})
	}
}
