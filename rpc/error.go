package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code says what failed. Its text is what callers, logs and metrics see.
type Code uint8

// The codes that Thriftloom makes, then those that a peer's TApplicationException carries.
const (
	_                  Code = iota
	DeadlineExceeded        // the call's time is over
	Unavailable             // no endpoint could be reached, or the connection broke
	ResourceExhausted       // a queue, limit or buffer is full
	Cancelled               // the caller has gone
	PermissionDenied        // the caller may not
	HandlerFailed           // the handler ended without an answer
	UnknownMethod           // TApplicationException 1
	InvalidMessageType      // 2
	WrongMethodName         // 3
	BadSequenceID           // 4
	MissingResult           // 5
	Internal                // 6, and 0 (unknown): the peer's own failure
	Malformed               // 7 (protocol error): bytes that are not a message
	OtherException          // a TApplicationException code that Thrift's documents do not have
)

var codeNames = [...]string{
	DeadlineExceeded: "DEADLINE_EXCEEDED", Unavailable: "UNAVAILABLE", ResourceExhausted: "RESOURCE_EXHAUSTED", Cancelled: "CANCELLED",
	PermissionDenied: "PERMISSION_DENIED", HandlerFailed: "HANDLER_FAILED", UnknownMethod: "UNKNOWN_METHOD",
	InvalidMessageType: "INVALID_MESSAGE_TYPE", WrongMethodName: "WRONG_METHOD_NAME", BadSequenceID: "BAD_SEQUENCE_ID",
	MissingResult: "MISSING_RESULT", Internal: "INTERNAL_ERROR", Malformed: "PROTOCOL_ERROR", OtherException: "OTHER_EXCEPTION",
}

// String returns the code's name: DEADLINE_EXCEEDED.
func (c Code) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	return fmt.Sprintf("CODE_%d", uint8(c))
}

// ExceptionType returns the TApplicationException type that carries the code.
func (c Code) ExceptionType() int32 {
	switch c {
	case UnknownMethod:
		return 1
	case InvalidMessageType:
		return 2
	case WrongMethodName:
		return 3
	case BadSequenceID:
		return 4
	case MissingResult:
		return 5
	case Malformed:
		return 7
	}
	return 6
}

// CodeOfException returns the code for a TApplicationException type that a peer sent.
func CodeOfException(typ int32) Code {
	switch typ {
	case 0, 6:
		return Internal
	case 1:
		return UnknownMethod
	case 2:
		return InvalidMessageType
	case 3:
		return WrongMethodName
	case 4:
		return BadSequenceID
	case 5:
		return MissingResult
	case 7:
		return Malformed
	}
	return OtherException
}

// Reach says how far a request got. It decides what may be retried.
type Reach uint8

// The values, from "always safe to send again" on.
const (
	NotSent  Reach = iota // no byte of it can have been processed
	Unknown               // it may have been processed
	Answered              // the peer answered
)

// String returns the words that errors show.
func (r Reach) String() string { return [...]string{"not sent", "unknown", "answered"}[r] }

// Application is a TApplicationException as a peer sent it.
type Application struct {
	Type    int32
	Message string
}

// Error says why a call has no reply. Each hop makes its own or judges anew what it passes on.
type Error struct {
	Code  Code   // what failed; never zero
	Reach Reach  // how far the request got
	Op    string // who noticed, by its configured name: "cluster Users"
	Text  string // what failed, for the caller: configured names only, no address; "" for the code's own words
	Err   error  // the cause, for logs; may name addresses
	// Outcome is the class of the failed attempt; zero where no attempt was made (a refusal, a full queue).
	Outcome Outcome
	// Endpoint is the name of the endpoint that failed the attempt, "" if there was none.
	Endpoint string
	// Peer is the TApplicationException that the peer sent, which is passed to the caller as it is; nil where there was none.
	Peer *Application
}

// Error returns everything, for logs: "cluster Users: dial 10.0.0.7:9090: connection refused [UNAVAILABLE, not sent]".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	for _, part := range []string{e.Text, causeText(e)} {
		if part != "" {
			b.WriteString(": ")
			b.WriteString(part)
		}
	}
	fmt.Fprintf(&b, " [%s, %s]", e.Code, e.Reach)
	return b.String()
}

func causeText(e *Error) string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Peer != nil:
		return e.Peer.Message
	}
	return ""
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Public returns the TApplicationException that the caller is sent: the peer's own where there was one, else
// "CODE: what failed, by its configured name; call id". It never has an address or a stack.
func (e *Error) Public(id ID) Application {
	if e.Peer != nil {
		return *e.Peer
	}
	text := e.Op
	if e.Text != "" {
		text += ": " + e.Text
	}
	return Application{Type: e.Code.ExceptionType(), Message: fmt.Sprintf("%s: %s; call %s", e.Code, text, id)}
}

// AsError returns err as an *Error: itself, or wrapped with what can be told from it (a cancelled or expired context, else Internal).
// A nil err gives nil.
func AsError(err error, op string) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return &Error{Code: Cancelled, Reach: Unknown, Op: op, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: DeadlineExceeded, Reach: Unknown, Op: op, Err: err}
	}
	return &Error{Code: Internal, Reach: Unknown, Op: op, Err: err}
}
