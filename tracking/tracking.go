// Package tracking knows the structs of ThriftPy's contrib.tracking: how a peer says that it tracks calls, and the headers that then stand
// before each message.
//
//	struct UpgradeArgs    {1: string app_id, 2: i32 version}                               body of the handshake, a CALL of Method
//	struct UpgradeReply   {1: i32 version}                                                 body of its REPLY, not a result struct
//	struct RequestHeader  {1: string request_id, 2: string seq, 3: map<string,string> meta}  bare, before each call
//	struct ResponseHeader {1: map<string,string> meta}                                     bare, before each reply at level 2
//
// A level is what two peers agreed on: 0 none, 1 headers before calls (ThriftPy up to 0.3.9), 2 before replies too.
package tracking

import (
	"maps"
	"slices"

	"github.com/thriftloom/thriftloom/wire"
)

// Method is what the handshake calls, whatever the version.
const Method = "__thriftpy_tracing_method_name__v2"

// Version is the highest level that is spoken here.
const Version = 2

// MaxHeaderBytes bounds one header, in bytes.
const MaxHeaderBytes = 64 << 10

// Header is what stands before a call. It is not changed once it is made.
type Header struct {
	RequestID string // of the whole chain of calls
	Seq       string // of the call in it: "1", "1.2"
	Meta      map[string]string
}

// Handshake is what the client says first.
type Handshake struct {
	AppID   string
	Version int32 // zero: not said, which means 1
}

// Level returns the level that holds with a peer that speaks up to h.Version.
func (h Handshake) Level() int { return level(h.Version) }

func level(version int32) int { return int(min(max(version, 1), Version)) }

// Known reports whether headers in p can be read and written.
func Known(p wire.Protocol) bool { return p == wire.Binary || p == wire.Compact }

// AppendHandshake appends an UpgradeArgs. What is empty is left out.
func AppendHandshake(dst []byte, p wire.Protocol, h Handshake) []byte {
	w := writer{dst: dst, protocol: p}
	if h.AppID != "" {
		w.text(1, h.AppID)
	}
	if h.Version != 0 {
		w.number(2, h.Version)
	}
	return w.stop()
}

// ParseHandshake reads an UpgradeArgs, which is all of body. Every error of this package is a *wire.Error.
func ParseHandshake(p wire.Protocol, body []byte) (h Handshake, err error) {
	err = parse(p, body, func(r *reader, id int16, t wire.Type) (bool, error) {
		switch {
		case id == 1 && t == wire.String:
			return true, r.text(&h.AppID)
		case id == 2 && t == wire.I32:
			return true, r.number(&h.Version)
		}
		return false, nil
	})
	return h, err
}

// AppendGrant appends the UpgradeReply to h: a peer that does not say its version is not told ours.
func AppendGrant(dst []byte, p wire.Protocol, h Handshake) []byte {
	w := writer{dst: dst, protocol: p}
	if h.Version != 0 {
		w.number(1, Version)
	}
	return w.stop()
}

// ParseGrant reads an UpgradeReply, which is all of body, and returns the level that was agreed on.
func ParseGrant(p wire.Protocol, body []byte) (int, error) {
	var version int32
	err := parse(p, body, func(r *reader, id int16, t wire.Type) (bool, error) {
		if id == 1 && t == wire.I32 {
			return true, r.number(&version)
		}
		return false, nil
	})
	return level(version), err
}

// AppendRequest appends a RequestHeader with all three fields, the meta's keys in order.
func AppendRequest(dst []byte, p wire.Protocol, h *Header) []byte {
	w := writer{dst: dst, protocol: p}
	w.text(1, h.RequestID)
	w.text(2, h.Seq)
	w.texts(3, h.Meta)
	return w.stop()
}

// ParseRequest reads a RequestHeader, which is all of b.
func ParseRequest(p wire.Protocol, b []byte) (*Header, error) {
	h := new(Header)
	err := parse(p, b, func(r *reader, id int16, t wire.Type) (bool, error) {
		switch {
		case id == 1 && t == wire.String:
			return true, r.text(&h.RequestID)
		case id == 2 && t == wire.String:
			return true, r.text(&h.Seq)
		case id == 3 && t == wire.Map:
			return r.texts(&h.Meta)
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// AppendResponse appends a ResponseHeader. Where meta is nil it is one byte, which cannot be told from the beginning of a non-strict message.
func AppendResponse(dst []byte, p wire.Protocol, meta map[string]string) []byte {
	w := writer{dst: dst, protocol: p}
	if meta != nil {
		w.texts(1, meta)
	}
	return w.stop()
}

// ParseResponse reads a ResponseHeader, which is all of b. Without meta it is nil.
func ParseResponse(p wire.Protocol, b []byte) (meta map[string]string, err error) {
	err = parse(p, b, func(r *reader, id int16, t wire.Type) (bool, error) {
		if id == 1 && t == wire.Map {
			return r.texts(&meta)
		}
		return false, nil
	})
	return meta, err
}

// Child returns the header of the nth call, counted from 1, that is made on behalf of h, with more meta. A nil h begins a chain with the
// request id. Source: ThriftPy's TrackerBase.gen_header.
func (h *Header) Child(n int, requestID string, meta map[string]string) *Header {
	c := &Header{RequestID: requestID, Seq: decimal(n), Meta: maps.Clone(meta)}
	if h == nil {
		return c
	}
	c.RequestID, c.Seq = h.RequestID, h.Seq+"."+c.Seq
	if len(h.Meta) > 0 {
		c.Meta = maps.Clone(h.Meta)
		maps.Copy(c.Meta, meta)
	}
	return c
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
