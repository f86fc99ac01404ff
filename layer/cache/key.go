package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"sync"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/wire"
)

// Bypass is why a call is not answered from the cache. The zero value: it may be.
type Bypass uint8

// The reasons.
const (
	_              Bypass = iota
	BypassCall            // the call asks for it by a header
	BypassCaller          // replies are each caller's own, and nobody knows who calls
	BypassArgument        // the arguments have no one form: a NaN, a key that comes twice, a field that the IDL does not have
	BypassSize            // the arguments are too long
)

// Bypasses are the names of the reasons, by Bypass.
var Bypasses = [...]string{BypassCall: "header", BypassCaller: "caller", BypassArgument: "arguments", BypassSize: "size"}

// MaxArguments bounds the arguments that make a key, in bytes of their one form.
const MaxArguments = 64 << 10

// BypassHeader is the transport header with which a caller asks for a reply that is not out of the cache, and is not kept: with a value that
// has no-cache or no-store in it.
const BypassHeader = "cache-control"

// names is what a call is called by in the cache.
type names struct {
	call  ID // by its arguments
	reply ID // … and by whose reply it is; the same where it is everybody's
}

// scratch is where the one form of arguments is made. Nothing of it is kept.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// name names the call, or says why it has to be made.
func (r *rules) name(call *rpc.Call) (n names, why Bypass) {
	if bypassed(call) {
		return n, BypassCall
	}
	whose, ok := r.whose(call)
	if !ok {
		return n, BypassCaller
	}
	if n.call, why = callID(&r.prefix, r.arguments, call); why != 0 {
		return n, why
	}
	n.reply = n.call
	if whose != nil {
		n.reply = short(sha256.Sum256(append(whose, n.call[:]...)))
	}
	return n, 0
}

// callID is the name of a call by its arguments.
func callID(prefix *[sha256.Size]byte, arguments *codec.Canonical, call *rpc.Call) (ID, Bypass) {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	b, err := arguments.Append(append((*buf)[:0], prefix[:]...), call.Protocol, call.Body, wire.Limits{MessageBytes: MaxArguments})
	if cap(b) <= 4<<10 { // a long one is not kept for ever
		*buf = b[:0]
	}
	if err != nil {
		if e, ok := errors.AsType[*wire.Error](err); ok && e.Reason == wire.SizeLimit {
			return ID{}, BypassSize
		}
		return ID{}, BypassArgument
	}
	return short(sha256.Sum256(b)), 0
}

func bypassed(call *rpc.Call) bool {
	for _, h := range call.Headers {
		if strings.EqualFold(h.Key, BypassHeader) && (strings.Contains(h.Value, "no-cache") || strings.Contains(h.Value, "no-store")) {
			return true
		}
	}
	return false
}

// whose returns what tells the reply from that of an equal call besides its arguments, nil for nothing; ok is false where it is a
// caller's own, and nobody knows whose.
func (r *rules) whose(call *rpc.Call) (b []byte, ok bool) {
	own := r.Scope == "caller" || r.Scope == "" && call.Caller.Verified
	if !own && len(r.Vary) == 0 {
		return nil, true
	}
	b = append(b, form...)
	if own {
		var known bool
		if b, known = appendCaller(b, &call.Caller); !known {
			return nil, false
		}
	}
	for _, name := range r.Vary {
		b = append(b, 0)
		for _, h := range call.Headers {
			if strings.EqualFold(h.Key, name) {
				b = appendText(append(b, 1), h.Value)
			}
		}
	}
	return b, true
}

// appendCaller says who calls: all that was verified, where anything was, for one certificate may carry many users' logins; else the name
// that the caller gives itself.
func appendCaller(b []byte, c *rpc.Caller) (_ []byte, known bool) {
	if c.Verified {
		for _, id := range c.Identities {
			b = appendText(append(b, 2), id)
		}
		return b, len(c.Identities) > 0
	}
	return appendText(append(b, 3), c.Name), c.Name != ""
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// groupsOf returns the groups that the reply to a call belongs to.
func (r *rules) groupsOf(call *rpc.Call, n names) []ID {
	if len(r.tags) == 0 && n.reply == n.call {
		return r.groups
	}
	all := append(make([]ID, 0, len(r.groups)+1+len(r.tags)), r.groups...)
	if n.reply != n.call {
		all = append(all, n.call)
	}
	for i := range r.tags {
		if text, ok := r.tags[i].of(call); ok {
			all = append(all, r.place.tagID(text))
		}
	}
	return all
}

// targetsOf returns what a call makes void: the replies under keys, and those of groups.
func (r *rules) targetsOf(call *rpc.Call) (keys, groups []ID) {
	for i := range r.targets {
		switch t := &r.targets[i]; {
		case t.tag != nil:
			if text, ok := t.tag.of(call); ok {
				groups = append(groups, r.place.tagID(text))
			}
		case t.arguments == nil:
			groups = append(groups, t.method)
		default:
			id, why := callID(&t.prefix, t.arguments, call)
			if why != 0 {
				groups = append(groups, t.method)
				continue
			}
			keys = append(keys, id)
			if t.grouped {
				groups = append(groups, id)
			}
		}
	}
	return keys, groups
}
