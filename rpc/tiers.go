package rpc

import (
	"strconv"
	"time"

	"github.com/thriftloom/thriftloom/transport"
)

// What a THeader request says of its call besides its arguments, so that the next tier of gateways knows it as well. Source: fbthrift, THeader.h,
// CLIENT_TIMEOUT_HEADER, IDENTITY_HEADER and ID_VERSION_HEADER.
const (
	// TimeoutHeader is how long the caller waits for the answer: milliseconds in decimal digits, from when the request was written.
	TimeoutHeader = "client_timeout"
	// IdentityHeader is what the caller calls itself. It holds where IdentityVersionHeader beside it is IdentityVersion, or is not there.
	IdentityHeader        = "identity"
	IdentityVersionHeader = "id_version"
	IdentityVersion       = "1"
)

// UnservedHeader, with Unserved as its value, stands beside the exception of a gateway that had no server do the call: another gateway may have one.
const (
	UnservedHeader = "thriftloom_unserved"
	Unserved       = "1"
)

// HeaderOf returns the value of a header, of several the first; "" where there is none.
func HeaderOf(headers []transport.KV, key string) string {
	for _, h := range headers {
		if h.Key == key {
			return h.Value
		}
	}
	return ""
}

// TierHeaders returns what goes along with the call over THeader: headers, and behind them its caller's name, and how long it is still waited for
// as of now, in the place of what headers said of the two. Where nothing is left of the time it is one millisecond. Of a caller that has no name here
// goes along what it said, unless it was verified. headers are not changed; where nothing is to be told they are returned as they are.
func (c *Call) TierHeaders(headers []transport.KV, now time.Time) []transport.KV {
	left, timed := c.Remaining(now)
	named := c.Caller.Name != ""
	if !timed && !named && !c.Caller.Verified {
		return headers
	}
	all := make([]transport.KV, 0, len(headers)+3)
	for _, h := range headers {
		switch h.Key {
		case TimeoutHeader:
			if timed {
				continue
			}
		case IdentityHeader, IdentityVersionHeader:
			if named || c.Caller.Verified {
				continue
			}
		}
		all = append(all, h)
	}
	if named {
		all = append(all, transport.KV{Key: IdentityHeader, Value: c.Caller.Name}, transport.KV{Key: IdentityVersionHeader, Value: IdentityVersion})
	}
	if timed {
		all = append(all, transport.KV{Key: TimeoutHeader, Value: strconv.FormatInt(max(1, left.Milliseconds()), 10)})
	}
	return all
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

// Identity returns what the caller calls itself, as its headers say; "" where they do not, or not in a version that is known.
func Identity(headers []transport.KV) string {
	if v := HeaderOf(headers, IdentityVersionHeader); v != "" && v != IdentityVersion {
		return ""
	}
	return HeaderOf(headers, IdentityHeader)
}
