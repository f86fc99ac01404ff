package transport

import (
	"errors"
	"fmt"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// NewSplitter returns a splitter for one direction of a connection that speaks w, or an error if w is not built yet. Each message may have
// a strict or a non-strict head (Head.NonStrict). A zero limit means its default.
func NewSplitter(w Wire, limits wire.Limits) (Splitter, error) {
	limits = limits.WithDefaults()
	switch w.Kind {
	case Buffered:
		if s := newBuffered(w, limits); s != nil {
			return s, nil
		}
	case Framed:
		if message.Known(w.Protocol) {
			return newFramed(w, limits), nil
		}
	case Header:
		if (w.Protocol == wire.Binary || w.Protocol == wire.Compact) && message.Known(w.Protocol) {
			return newHeader(w, limits), nil
		}
	case HTTP:
		if message.Known(w.Protocol) {
			return newHTTP(w, limits), nil
		}
	}
	return nil, fmt.Errorf("transport %s with protocol %s is not built yet", w.Kind, w.Protocol)
}

// malformed makes err, whose offset counts from from, an error of the message m, of which the head is known if headOK.
func malformed(err error, from int, m Message, headOK bool, skip int) *Malformed {
	cause, ok := errors.AsType[*wire.Error](err)
	if !ok {
		panic(fmt.Sprintf("transport: a protocol's error is not a *wire.Error: %v", err))
	}
	at := *cause
	at.Offset += from
	if !headOK {
		m.Head = wire.Head{}
	}
	m.Body = nil
	return &Malformed{Err: &at, Message: m, HeadOK: headOK, Skip: skip}
}
