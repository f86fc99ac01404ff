package memcached

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
)

// The bounds of what is written and read.
const (
	maxLineBytes  = 2048    // of a reply without its value
	maxValueBytes = 8 << 20 // memcached's own bound is 1 MiB by default
	chunkBytes    = 64 << 10
	maxLife       = 30 * 24 * time.Hour // memcached takes more for a date
)

// The kinds of items, in their keys.
const (
	kindValue   = 'v' // a value, or the empty place of one that is loaded
	kindLease   = 'l' // is there while somebody loads a value in place of one
	kindVersion = 'g' // of a group
)

// command is one of the meta protocol, for one item.
//
//	mg key flags            → EN flags, HD flags or VA n flags + value
//	ms key n flags + value  → HD, NS (not stored), EX (another cas), NF (nothing to compare with)
//	md key flags            → HD, EX, NF
//
// Each carries an opaque number (O), which comes back with its reply. Source: memcached 1.6.18, doc/protocol.txt, "Meta Commands".
type command struct {
	verb  string
	kind  byte
	id    cache.ID
	flags string        // each with a space before
	span  string        // the flag of life: " T" sets it, " N" makes an empty item of that life where there is none
	life  time.Duration // for span
	lease bool          // compare (C) with the cas in token
	token uint64
	value []byte // of ms
}

// overValue marks the token of a lease over a value, whose term is that of an item of its own.
const overValue = 1 << 63

// token is the cas of an item, mixed with the epoch that the item's key belongs to: in another epoch it is that of no item.
func token(cas, epoch uint64) uint64 { return (cas ^ epoch) &^ overValue }

// append writes a command with its key in an epoch.
func (c *command) append(b []byte, namespace string, epoch, opaque uint64) []byte {
	b = appendKey(append(append(b, c.verb...), ' '), namespace, c.kind, epoch, c.id)
	if c.verb == "ms" {
		b = strconv.AppendInt(append(b, ' '), int64(len(c.value)), 10)
	}
	b = append(b, c.flags...)
	if c.span != "" {
		b = strconv.AppendInt(append(b, c.span...), seconds(c.life), 10)
	}
	if c.lease {
		b = strconv.AppendUint(append(b, " C"...), token(c.token, epoch), 10)
	}
	b = append(strconv.AppendUint(append(b, " O"...), opaque, 10), "\r\n"...)
	if c.verb == "ms" {
		b = append(append(b, c.value...), "\r\n"...)
	}
	return b
}

// appendKey writes namespace:kind and 32 letters of base64, of the epoch and the id.
func appendKey(b []byte, namespace string, kind byte, epoch uint64, id cache.ID) []byte {
	var raw [24]byte
	binary.BigEndian.PutUint64(raw[:], epoch)
	copy(raw[8:], id[:])
	return base64.RawURLEncoding.AppendEncode(append(append(b, namespace...), ':', kind), raw[:])
}

// seconds rounds up, and adds two: memcached's clock stands still for a second and a little more, and then may leave one out.
func seconds(d time.Duration) int64 {
	return int64((min(max(d, 0), maxLife-3*time.Second)+time.Second-1)/time.Second) + 2
}

// code is what a reply begins with.
type code string

const (
	done      code = "HD"
	hasValue  code = "VA"
	miss      code = "EN"
	notFound  code = "NF"
	notStored code = "NS"
	exists    code = "EX"
	noop      code = "MN"
	refused   code = "SERVER_ERROR"
)

var codes = []code{done, hasValue, miss, notFound, notStored, exists, noop}

// reply is that of one command.
type reply struct {
	code  code
	value []byte // of VA; not nil then
	size  int    // of the item's value, where s was asked for
	cas   uint64 // where c was asked for
	won   bool   // the item was made by this command
	text  string // of SERVER_ERROR
	epoch uint64 // of the item's key
}

var (
	errStream  = errors.New("what it answers is not the meta protocol, or not to what was asked")
	errForeign = errors.New("it does not know the meta protocol: memcached 1.6.18 or later is wanted")
	errLine    = fmt.Errorf("a reply has a line of more than %d bytes", maxLineBytes)
	errLength  = fmt.Errorf("a value has more than %d bytes", maxValueBytes)
)

// tooLarge is the text of SERVER_ERROR for a value that is more than a server takes.
const tooLarge = "object too large for cache"

// readReply reads the reply to the command with an opaque number. After an error nothing more can be read. It allocates little more than what
// has really come. r's buffer is maxLineBytes at least.
func readReply(r *bufio.Reader, opaque uint64) (reply, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLineBytes:
		return reply{}, errLine
	case err != nil:
		return reply{}, err
	}
	out, length, err := parseLine(line, opaque)
	if err != nil || out.code != hasValue {
		return out, err
	}
	out.value, err = readValue(r, length)
	return out, err
}

// parseLine reads the line of a reply, with its end. length is that of the value which follows VA.
func parseLine(line []byte, opaque uint64) (out reply, length int, err error) {
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return reply{}, 0, errStream
	}
	word, rest, _ := bytes.Cut(line, []byte(" "))
	if i := slices.Index(codes, code(word)); i >= 0 {
		out.code = codes[i]
	} else if string(word) == string(refused) {
		return reply{code: refused, text: string(rest[:min(len(rest), len(tooLarge))])}, 0, nil
	} else if string(word) == "ERROR" {
		return reply{}, 0, errForeign
	} else {
		return reply{}, 0, errStream
	}
	if out.code == hasValue {
		word, rest, _ = bytes.Cut(rest, []byte(" "))
		n, err := strconv.ParseUint(string(word), 10, 63)
		if err != nil {
			return reply{}, 0, errStream
		}
		if n > maxValueBytes {
			return reply{}, 0, errLength
		}
		length = int(n)
	}
	return out, length, out.parseFlags(rest, opaque)
}

// parseFlags reads the flags of a reply, which has to carry the opaque number of what was asked; only MN carries nothing.
func (out *reply) parseFlags(flags []byte, opaque uint64) error {
	mine := out.code == noop
	for flag := range bytes.SplitSeq(flags, []byte(" ")) {
		if len(flag) == 0 {
			continue
		}
		n, err := strconv.ParseUint(string(flag[1:]), 10, 64)
		switch flag[0] {
		case 'O':
			mine = err == nil && n == opaque
		case 'c':
			out.cas = n
		case 's':
			out.size = int(min(n, 1<<31))
		case 'W':
			out.won, err = true, nil
		default:
			err = nil
		}
		if err != nil {
			return errStream
		}
	}
	if !mine {
		return errStream
	}
	return nil
}

// readValue reads n bytes and the end of a line.
func readValue(r *bufio.Reader, n int) ([]byte, error) {
	out := make([]byte, 0, min(n, chunkBytes)+2)
	for want := n + 2; len(out) < want; {
		part := min(want-len(out), chunkBytes)
		out = slices.Grow(out, part)
		read, err := io.ReadFull(r, out[len(out):len(out)+part])
		out = out[:len(out)+read]
		if err != nil {
			return nil, err
		}
	}
	if string(out[n:]) != "\r\n" {
		return nil, errStream
	}
	return out[:n:n], nil
}
