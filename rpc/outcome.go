package rpc

// Outcome is the class of what became of one attempt. Retry safety, health, metrics and what the caller sees follow from it: Classes is
// the one table of that, and docs/errors.md is printed from it.
type Outcome uint8

// The classes.
const (
	_                 Outcome = iota
	Success                   // a result
	DeclaredException         // a reply with an exception of the IDL: a business result
	AppException              // a TApplicationException
	Refused                   // the connection was refused
	ConnectTimeout            // the connection did not come about in time
	HungUp                    // a connection of this call's own was closed before any of the request was read
	WriteCut                  // the connection broke before the whole request was written, or read
	ClosedNoReply             // a connection of this call's own was closed after the whole request, with no byte back
	ClosedReused              // the same on a connection that had served calls before: the server may have ended it for idleness
	ClosedShared              // the same on a connection with several calls in flight: one of them, or something else, ended it
	ReplyTimeout              // no reply by the deadline
	BadReply                  // bytes that are no reply to this call
	Abandoned                 // the caller has gone
	LocalLimit                // this machine has no descriptor, port or memory for a connection, a request or a reply
	TLSFailed                 // the connection came about, and the TLS handshake on it failed
	LoginFailed               // the same of the SASL login
	NotServed                 // a gateway that was called had no server do it
)

// Health is what an outcome says of the endpoint.
type Health uint8

// The values.
const (
	Silent      Health = iota // nothing
	Alive                     // it is there, whatever it answers or fails to answer
	Unreachable               // it is not: it takes no call for a while
)

// String returns the word that docs/errors.md shows.
func (h Health) String() string { return [...]string{"says nothing", "alive", "unreachable"}[h] }

// Class is what follows from an outcome.
type Class struct {
	Name    string // as metrics label it: closed_no_reply
	When    string // what happened, for people
	Reaches []Reach
	Code    Code // what the caller is told; zero: what the peer answered
	Health  Health
	Failure bool // counted as a failure of the endpoint
}

// Classes is what follows from each outcome, by outcome.
var Classes = [...]Class{
	Success:           {"success", "a result", []Reach{Answered}, 0, Alive, false},
	DeclaredException: {"declared_exception", "an exception that the IDL declares", []Reach{Answered}, 0, Alive, false},
	AppException:      {"application_exception", "a TApplicationException of the server", []Reach{Answered}, 0, Alive, false},
	Refused:           {"refused", "the connection was refused", []Reach{NotSent}, Unavailable, Unreachable, true},
	ConnectTimeout:    {"connect_timeout", "no connection in time", []Reach{NotSent}, Unavailable, Unreachable, true},
	HungUp: {"hung_up", "a fresh connection was closed before the request was read: the server takes connections and cannot serve them",
		[]Reach{NotSent}, Unavailable, Unreachable, true},
	WriteCut: {"write_cut", "the connection broke before the whole request was written or read", []Reach{NotSent, Unknown},
		Unavailable, Alive, true},
	ClosedNoReply: {"closed_no_reply", "a fresh connection was closed after the request, with no byte back: the handler failed",
		[]Reach{Unknown}, HandlerFailed, Alive, true},
	ClosedReused: {"closed_reused", "a reused connection was closed after the request, with no byte back: the handler failed, or the server had ended the connection",
		[]Reach{Unknown}, HandlerFailed, Alive, true},
	ClosedShared: {"closed_shared", "a connection with several calls in flight was closed after the request: another call may have ended it, or the server has",
		[]Reach{Unknown}, Unavailable, Alive, true},
	ReplyTimeout: {"reply_timeout", "no reply by the deadline; the slot stays taken while the server may be at work",
		[]Reach{Unknown}, DeadlineExceeded, Alive, true},
	BadReply:  {"bad_reply", "what came back is no reply to the call, or the reply was cut", []Reach{Unknown}, Unavailable, Alive, true},
	Abandoned: {"abandoned", "the caller has gone", []Reach{NotSent, Unknown}, Cancelled, Silent, false},
	LocalLimit: {"local_limit", "the gateway has no descriptor or port for a connection, or no room for the request or the reply",
		[]Reach{NotSent, Answered}, ResourceExhausted, Silent, false},
	TLSFailed: {"tls_failed", "the TLS handshake failed: a certificate that is not trusted, over or for another name, or no TLS there",
		[]Reach{NotSent}, Unavailable, Unreachable, true},
	LoginFailed: {"login_failed", "the SASL login failed: the user or the password is wrong, or no SASL there",
		[]Reach{NotSent}, Unavailable, Unreachable, true},
	NotServed: {"not_served", "a gateway of the next tier had no server do the call, and says so over THeader", []Reach{NotSent}, Unavailable, Alive, true},
}

// String returns the class as metrics label it: closed_no_reply.
func (o Outcome) String() string { return Classes[o].Name }

// OutcomeOf returns the class of what an attempt returned.
func OutcomeOf(reply *Reply, err *Error) Outcome {
	switch {
	case err != nil && err.Outcome != 0:
		return err.Outcome
	case err != nil && err.Reach == Answered:
		return AppException
	case err != nil:
		return ClosedNoReply
	case reply != nil && reply.Exception != 0:
		return DeclaredException
	}
	return Success
}

// Retryable reports whether a call that failed so may be tried again: one of which nothing was sent always, one that may have been
// processed if its method is idempotent, one that was answered never; and none whose time is over or whose caller has gone.
//
// UNKNOWN_METHOD says that the server's IDL is an older one, and another server may have a newer: that is tried if the method is idempotent.
// It does not prove that nothing was processed: Apache's servers pass on what a handler was told by a server behind.
func (e *Error) Retryable(idempotent bool) bool {
	if e.Outcome == 0 || e.Code == Cancelled || e.Code == DeadlineExceeded {
		return false // no attempt was made (the queue is full, no endpoint is up), or there is nobody to answer
	}
	return e.Reach == NotSent || idempotent && (e.Reach == Unknown || e.Code == UnknownMethod)
}
