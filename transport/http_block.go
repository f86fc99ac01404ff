package transport

import (
	"bufio"
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/thriftloom/thriftloom/wire"
)

// block is what the lines before a body say.
type block struct {
	length   int // of the lines
	status   int // of a response; 0: a request
	size     int // of the body; -1: it is chunked, or a response's that ends with its message
	chunked  bool
	envelope Envelope
	headers  []KV
}

// notPassed are the header lines that are about the hop, or about the body's form, and not the call's.
var notPassed = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Host": true, "Content-Length": true, "Content-Type": true, "Content-Encoding": true, "Accept": true, "Accept-Encoding": true, "User-Agent": true,
	"Expect": true, "Date": true, "Server": true, "Proxy-Authorization": true, "Proxy-Authenticate": true,
}

// parseBlock reads the lines of buf, the empty one at their end included.
func parseBlock(buf []byte) (*block, error) {
	if err := plain(buf); err != nil {
		return nil, err
	}
	b := &block{length: len(buf), size: -1}
	r := bufio.NewReaderSize(bytes.NewReader(buf), len(buf))
	var header http.Header
	var major, minor int
	if bytes.HasPrefix(buf, []byte("HTTP/")) {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, &httpError{http.StatusBadGateway, "what came back is no HTTP response"}
		}
		header, major, minor, b.status = resp.Header, resp.ProtoMajor, resp.ProtoMinor, resp.StatusCode
		b.chunked = len(resp.TransferEncoding) > 0
		b.envelope.Close = resp.Close
		_ = resp.Body.Close()
	} else {
		req, err := http.ReadRequest(r)
		if err != nil {
			return nil, &httpError{http.StatusBadRequest, "the request is no HTTP"}
		}
		if req.Method != http.MethodPost {
			return nil, &httpError{http.StatusMethodNotAllowed, "Thrift over HTTP is called with POST"}
		}
		header, major, minor = req.Header, req.ProtoMajor, req.ProtoMinor
		b.chunked = len(req.TransferEncoding) > 0
		b.envelope.Close = req.Close
		_ = req.Body.Close()
	}
	if major != 1 || minor > 1 {
		return nil, &httpError{http.StatusHTTPVersionNotSupported, "HTTP/1.0 and HTTP/1.1 are spoken here"}
	}
	if err := b.bodyOf(buf, header); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(header)) {
		if !notPassed[key] {
			for _, v := range header[key] {
				b.headers = append(b.headers, KV{strings.ToLower(key), v})
			}
		}
	}
	return b, nil
}

// bodyOf finds out how long the body is. Two lengths, or a length and chunks, are refused: what is behind the body is a request to one who
// reads the one, and a part of the body to one who reads the other.
func (b *block) bodyOf(buf []byte, header http.Header) error {
	lengths, codings := count(buf, "content-length"), count(buf, "transfer-encoding")
	switch {
	case lengths > 1 || codings > 1 || lengths+codings > 1:
		return &httpError{http.StatusBadRequest, "the request says twice how long its body is"}
	case codings == 1 && !b.chunked:
		return &httpError{http.StatusNotImplemented, "a transfer coding that is not spoken here"}
	case lengths == 1:
		text := header.Get("Content-Length")
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || strings.ContainsAny(text, "+-") {
			return &httpError{http.StatusBadRequest, "a content length that is no number"}
		}
		b.size = int(n)
	case b.chunked:
	case b.status == 0:
		return &httpError{http.StatusLengthRequired, "the request does not say how long its body is"}
	default: // a response that ends with its connection, or with its message
		b.envelope.Close = true
	}
	return nil
}

// count counts the lines with a name, which is in lower case, as the bytes have them: a parser may have joined some.
func count(buf []byte, name string) (n int) {
	for _, line := range bytes.Split(buf, []byte("\r\n"))[1:] {
		if i := bytes.IndexByte(line, ':'); i >= 0 && strings.EqualFold(string(bytes.TrimSpace(line[:i])), name) {
			n++
		}
	}
	return n
}

// plain refuses what parsers read in different ways: line ends of other kinds, lines that go on in the next one, names with blanks behind
// them, and control characters. It refuses more lines than headerCount too.
func plain(buf []byte) error {
	if bytes.Count(buf, []byte("\r\n")) > headerCount+2 { // the first line and the empty one are no headers
		return &httpError{http.StatusRequestHeaderFieldsTooLarge, "too many header lines"}
	}
	for i, line := range bytes.Split(buf, []byte("\r\n")) {
		for _, c := range line {
			if c < ' ' && c != '\t' || c == 0x7f {
				return &httpError{http.StatusBadRequest, "a control character in the header lines"}
			}
		}
		if i == 0 || len(line) == 0 {
			continue
		}
		colon := bytes.IndexByte(line, ':')
		if line[0] == ' ' || line[0] == '\t' || colon <= 0 || line[colon-1] == ' ' || line[colon-1] == '\t' {
			return &httpError{http.StatusBadRequest, "a header line that is none"}
		}
	}
	return nil
}

// bodyBounds finds the end of a body: by its length, by its chunks, or, of a response that says neither, by its message's own end.
type bodyBounds struct {
	block  *block
	limits wire.Limits
	wire   Wire
	left   int // of a body that is given up

	at     int    // chunked: how far it was read
	joined []byte // the chunks' bytes
	ended  bool   // the last chunk was read: its trailer is on its way
	inner  Splitter
}

// find returns where the body ends, -1 while that has not come; need is the least length worth another call.
func (b *bodyBounds) find(buf []byte) (end, need int, err error) {
	switch {
	case b.block.size >= 0 && len(buf) < b.block.size:
		return -1, b.block.size, nil
	case b.block.size >= 0:
		return b.block.size, 0, nil
	case b.block.chunked:
		return b.chunks(buf)
	}
	if b.inner == nil {
		b.inner = NewDetector(b.limits, bodyOnly)
	}
	_, used, need, err := b.inner.Split(buf)
	if bad, isBad := err.(*Malformed); isBad { //nolint:errorlint // a splitter's errors are of this type
		return 0, 0, bad.Err
	}
	if used == 0 {
		return -1, max(need, len(buf)+1), nil
	}
	return used, 0, nil
}

// bodyOnly allows what a body may be: a message that ends by itself. Another transport in a body could hold a third one, without end.
func bodyOnly(w Wire) error {
	if w.Kind != Buffered {
		return errors.New("the body is no Thrift message")
	}
	return nil
}

// body returns the bytes of the body that find has bounded.
func (b *bodyBounds) body(buf []byte) []byte {
	if b.block.chunked {
		return b.joined[:len(b.joined):len(b.joined)]
	}
	return buf
}

// maxChunkLine bounds the line before a chunk, and all lines behind the last one, in bytes.
const maxChunkLine = 4 << 10

// chunks reads on over a body in chunks.
//
//	chunk:    size in hex  [;extension]  CRLF  bytes  CRLF
//	the last: 0            [;extension]  CRLF  {line CRLF}  CRLF
func (b *bodyBounds) chunks(buf []byte) (end, need int, err error) {
	for {
		i := bytes.Index(buf[b.at:], []byte("\r\n"))
		if i < 0 {
			if len(buf)-b.at > maxChunkLine {
				return 0, 0, &httpError{http.StatusBadRequest, "a chunk's line is too long"}
			}
			return -1, len(buf) + 1, nil
		}
		line := string(buf[b.at : b.at+i])
		if b.ended {
			b.at += i + 2
			if line == "" {
				return b.at, 0, nil
			}
			if b.left += len(line); b.left > maxChunkLine {
				return 0, 0, &httpError{http.StatusBadRequest, "the trailer is too long"}
			}
			continue
		}
		text, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(text, 16, 31)
		if err != nil || len(line) > maxChunkLine || strings.ContainsAny(line, "+\n\r") {
			return 0, 0, &httpError{http.StatusBadRequest, "a chunk whose size is no number"}
		}
		size := int(n)
		if len(b.joined)+size > b.limits.MessageBytes {
			return 0, 0, wire.Errorf(wire.SizeLimit, 0, "a body of more than %d bytes", b.limits.MessageBytes)
		}
		if b.at+i-len(b.joined) > maxBlockBytes+len(b.joined) {
			return 0, 0, wire.Errorf(wire.SizeLimit, b.at, "the lines of a body's chunks are longer than what they hold")
		}
		from := b.at + i + 2
		if size == 0 {
			b.ended, b.at = true, from
			continue
		}
		if len(buf) < from+size+2 {
			return -1, from + size + 2, nil
		}
		if string(buf[from+size:from+size+2]) != "\r\n" {
			return 0, 0, &httpError{http.StatusBadRequest, "a chunk is longer than its size"}
		}
		b.joined = append(b.joined, buf[from:from+size]...)
		b.at = from + size + 2
	}
}
