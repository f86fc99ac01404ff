package transport

import (
	"errors"
	"fmt"

	"github.com/thriftloom/thriftloom/wire"
)

// NewSplitter returns a splitter for one direction of a connection that speaks w, or an error if w is not built yet. Each message may have
// a strict or a non-strict head (Head.NonStrict). A zero limit means its default.
func NewSplitter(w Wire, limits wire.Limits) (Splitter, error) {
	limits = limits.WithDefaults()
	switch w {
	case Wire{Buffered, wire.Binary}:
		return &buffered{limits: limits}, nil
	case Wire{Framed, wire.Binary}:
		return &framed{limits: limits}, nil
	}
	return nil, fmt.Errorf("transport %s with protocol %s is not built yet", w.Kind, w.Protocol)
}

// malformed makes err, whose offset counts from from, an error of the message.
func malformed(err error, from int, h wire.Head, headOK bool, skip int) *Malformed {
	cause, ok := errors.AsType[*wire.Error](err)
	if !ok {
		panic(fmt.Sprintf("transport: a protocol's error is not a *wire.Error: %v", err))
	}
	at := *cause
	at.Offset += from
	m := &Malformed{Err: &at, HeadOK: headOK, Skip: skip}
	if headOK {
		m.Head = h
	}
	return m
}
