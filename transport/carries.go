package transport

import (
	"fmt"
	"strings"
)

// Headers that a frame of THeader cannot carry, though they are short enough: their keys have one of these.
const headerNever = "\x00\r\n"

// headerRoom is what the key-values of one header block may have together: the block's own numbers take up to 6 bytes.
const headerRoom = headerBlockBytes - 6

// Carries returns an error that names the first of the headers that a message of this kind cannot carry, and the limit: for THeader a key
// that no reader takes, or what is beyond the bounds of a header block. Whoever makes headers, or passes them on, asks before Encode, which
// cannot fail and leaves such ones out. For the other kinds it is nil: they carry no headers at all, or, as HTTP does, only those of which a
// line can be made.
func Carries(k Kind, headers []KV) error {
	if k != Header {
		return nil
	}
	left := headerRoom
	for i, kv := range headers {
		size := kv.size()
		switch {
		case strings.ContainsAny(kv.Key, headerNever):
			return fmt.Errorf("THeader cannot carry the header %s: NUL, CR or LF in its key", kv.shown())
		case i == headerCount:
			return fmt.Errorf("THeader cannot carry the header %s: %d headers, the limit is %d", kv.shown(), len(headers), headerCount)
		case size > left:
			return fmt.Errorf("THeader cannot carry the header %s of %d bytes: the limit is %d for all headers of a frame, the %d before it have %d",
				kv.shown(), size, headerRoom, i, headerRoom-left)
		}
		left -= size
	}
	return nil
}

// size is what a header takes in a block, in bytes.
func (kv KV) size() int {
	return varintLen(len(kv.Key)) + len(kv.Key) + varintLen(len(kv.Value)) + len(kv.Value)
}

// shown is the key as an error shows it. The value may be a secret.
func (kv KV) shown() string {
	const most = 64
	if len(kv.Key) > most {
		return fmt.Sprintf("%q…", kv.Key[:most])
	}
	return fmt.Sprintf("%q", kv.Key)
}

// varintLen is how many bytes n takes as a varint.
func varintLen(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}
