package rpc

import (
	"strconv"
	"time"

	"github.com/thriftloom/thriftloom/transport"
)

// TimeoutHeader is the header of a THeader request that says how long its caller waits for the answer: milliseconds in decimal digits, from when
// the request was written. Source: fbthrift, THeader.h, CLIENT_TIMEOUT_HEADER.
const TimeoutHeader = "client_timeout"

// WithTimeout returns headers with left as the time that the caller waits, at the end, in the place of what they said of it; with one millisecond
// where less is left. headers is not changed.
func WithTimeout(headers []transport.KV, left time.Duration) []transport.KV {
	all := make([]transport.KV, 0, len(headers)+1)
	for _, h := range headers {
		if h.Key != TimeoutHeader {
			all = append(all, h)
		}
	}
	return append(all, transport.KV{Key: TimeoutHeader, Value: strconv.FormatInt(max(1, left.Milliseconds()), 10)})
}

// Timeout returns how long the caller waits, as its headers say: the shortest of those that are a number of milliseconds from 1 to 2³²-1. Of what is
// none nothing is known, and there are callers to which 0 is no bound; ok is false where nothing is left.
func Timeout(headers []transport.KV) (d time.Duration, ok bool) {
	for _, h := range headers {
		if h.Key != TimeoutHeader {
			continue
		}
		n, err := strconv.ParseUint(h.Value, 10, 32)
		if at := time.Duration(n) * time.Millisecond; err == nil && n > 0 && (!ok || at < d) {
			d, ok = at, true
		}
	}
	return d, ok
}
