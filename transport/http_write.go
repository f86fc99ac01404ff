package transport

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// encodeHTTP is Encode for HTTP.
func encodeHTTP(dst []byte, m Message) (head, body []byte) {
	before := message.AppendHead(nil, m.Wire.Protocol, m.Head, len(m.Body))
	tail := message.Tail(m.Wire.Protocol)
	dst = append(appendHTTP(dst, &m, len(before)+len(m.Body)+len(tail)), before...)
	if tail == nil {
		return dst, m.Body
	}
	return append(append(dst, m.Body...), tail...), nil
}

// appendHTTP appends the lines before a body of so many bytes: of a request, or of a response where the message answers one.
func appendHTTP(dst []byte, m *Message, body int) []byte {
	if m.Head.Type == wire.Call || m.Head.Type == wire.Oneway {
		path := m.Envelope.Path
		if path == "" {
			path = "/"
		}
		dst = append(append(append(dst, "POST "...), path...), " HTTP/1.1\r\nHost: "...)
		dst = append(append(dst, m.Envelope.Host...), "\r\nAccept: application/x-thrift\r\nUser-Agent: thriftloom\r\n"...)
	} else {
		dst = append(dst, "HTTP/1.1 200 OK\r\n"...)
	}
	dst = append(dst, "Content-Type: application/x-thrift\r\n"...)
	for _, h := range m.Headers {
		if isToken(h.Key) && isLine(h.Value) && !notPassed[http.CanonicalHeaderKey(h.Key)] {
			dst = append(append(append(append(dst, h.Key...), ": "...), h.Value...), "\r\n"...)
		}
	}
	return appendEnd(dst, m.Envelope.Close, body)
}

// appendEnd appends the last lines.
func appendEnd(dst []byte, last bool, body int) []byte {
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = strconv.AppendInt(append(dst, "Content-Length: "...), int64(body), 10)
	return append(dst, "\r\n\r\n"...)
}

// appendStatus appends a whole response that is no message, the last of its connection.
func appendStatus(dst []byte, status int, text string) []byte {
	dst = strconv.AppendInt(append(dst, "HTTP/1.1 "...), int64(status), 10)
	dst = append(append(append(dst, ' '), http.StatusText(status)...), "\r\nContent-Type: text/plain; charset=utf-8\r\n"...)
	if status == http.StatusMethodNotAllowed {
		dst = append(dst, "Allow: POST\r\n"...)
	}
	text = strings.ToValidUTF8(text, "?") + "\n"
	return append(appendEnd(dst, true, len(text)), text...)
}

// Acknowledge appends what answers a oneway where the transport wants an answer to everything: nothing, but for HTTP. ok is false for a
// oneway that has failed.
func Acknowledge(dst []byte, m Message, ok bool) []byte {
	if m.Wire.Kind != HTTP {
		return dst
	}
	status := http.StatusOK
	if !ok {
		status = http.StatusInternalServerError
	}
	dst = strconv.AppendInt(append(dst, "HTTP/1.1 "...), int64(status), 10)
	dst = append(append(append(dst, ' '), http.StatusText(status)...), "\r\n"...)
	return appendEnd(dst, m.Envelope.Close, 0)
}

// isToken reports whether s may be a header line's name (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !isPrintable(c) || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isLine reports whether s may be a header line's value.
func isLine(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
