package rpc

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/errors.md")

// outcomes calls f with every class.
func outcomes(f func(o Outcome, c Class)) {
	for o := Success; int(o) < len(Classes); o++ {
		f(o, Classes[o])
	}
}

// Every class has a name of its own, says what happened, and its failures have a code; a class that nobody may blame on the endpoint
// does not take it out.
func TestClassesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	outcomes(func(o Outcome, c Class) {
		if c.Name == "" || seen[c.Name] || c.When == "" || len(c.Reaches) == 0 {
			t.Errorf("class %d: %+v", o, c)
		}
		seen[c.Name] = true
		if c.Failure && c.Code == 0 || c.Health == Unreachable && !c.Failure {
			t.Errorf("%s: %+v", o, c)
		}
	})
	if len(seen) != 17 {
		t.Errorf("%d classes", len(seen))
	}
}

// Only what was not sent is tried again for a method that is not idempotent; what was answered, cancelled or too late
// never is, but for a method that the server does not have.
func TestWhatMayBeTriedAgain(t *testing.T) {
	tests := []struct {
		o                  Outcome
		reach              Reach
		always, idempotent bool
	}{
		{AppException, Answered, false, false},
		{Refused, NotSent, true, true},
		{ConnectTimeout, NotSent, true, true},
		{HungUp, NotSent, true, true},
		{WriteCut, NotSent, true, true},
		{WriteCut, Unknown, false, true},
		{ClosedNoReply, Unknown, false, true},
		{ClosedReused, Unknown, false, true},
		{ClosedShared, Unknown, false, true},
		{ReplyTimeout, Unknown, false, false},
		{BadReply, Unknown, false, true},
		{Abandoned, Unknown, false, false},
		{LocalLimit, NotSent, true, true},
		{TLSFailed, NotSent, true, true},
		{LoginFailed, NotSent, true, true},
		{NotServed, NotSent, true, true},
	}
	for _, tt := range tests {
		e := &Error{Code: Classes[tt.o].Code, Outcome: tt.o, Reach: tt.reach}
		if got, idem := e.Retryable(false), e.Retryable(true); got != tt.always || idem != tt.idempotent {
			t.Errorf("%s, %s: %v, idempotent %v", tt.o, tt.reach, got, idem)
		}
	}
	if e := (&Error{Code: UnknownMethod, Outcome: AppException, Reach: Answered}); e.Retryable(false) || !e.Retryable(true) {
		t.Error("a method that one server does not have is looked for at another one if it is idempotent, and only then")
	}
	if (&Error{Code: UnknownMethod, Reach: Answered}).Retryable(true) {
		t.Error("a method that the gateway itself does not know is looked for again")
	}
	if (&Error{Code: ResourceExhausted, Reach: NotSent}).Retryable(true) {
		t.Error("a call that was refused before any attempt is tried again")
	}
}

// docs/errors.md says what callers see in each class.
func TestErrorsDoc(t *testing.T) {
	var b strings.Builder
	b.WriteString(errorsHead)
	outcomes(func(o Outcome, c Class) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.Name, c.When, again(o, c), c.Health, sees(o, c))
	})
	b.WriteString(codesHead)
	for code := DeadlineExceeded; code <= OtherException; code++ {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", code, code.ExceptionType(), codeWhen[code])
	}
	const file = "../docs/errors.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != b.String() {
		t.Errorf("docs/errors.md is out of date: go test ./rpc -run Doc -update (%v)", err)
	}
}

// again says when a call of the class is tried again.
func again(o Outcome, c Class) string {
	if o == AppException {
		return "if it is `UNKNOWN_METHOD` and the method idempotent"
	}
	var parts []string
	for _, reach := range c.Reaches {
		e := &Error{Code: c.Code, Outcome: o, Reach: reach}
		switch {
		case e.Retryable(false):
			parts = append(parts, "always")
		case e.Retryable(true):
			parts = append(parts, "if idempotent")
		default:
			parts = append(parts, "never")
		}
		if len(c.Reaches) > 1 {
			parts[len(parts)-1] += " (" + reach.String() + ")"
		}
	}
	if len(parts) == 2 && strings.HasPrefix(parts[0], "never") && strings.HasPrefix(parts[1], "never") {
		return "never"
	}
	return strings.Join(parts, ", ")
}

// sees says what the caller gets where the call is not tried again, or in vain.
func sees(o Outcome, c Class) string {
	switch {
	case o == Success, o == DeclaredException:
		return "the reply as it came"
	case o == AppException:
		return "the server's exception as it came"
	case o == NotServed:
		return "that gateway's exception as it came"
	case o == Abandoned:
		return "nothing: nobody is there"
	case c.Code == HandlerFailed:
		return fmt.Sprintf("type %d, `%s: …`; with `on_crash: close` a closed connection", c.Code.ExceptionType(), c.Code)
	}
	return fmt.Sprintf("type %d, `%s: …`", c.Code.ExceptionType(), c.Code)
}

const errorsHead = `# What callers see when a call fails

Printed by a test from the table in ` + "`rpc/outcome.go`" + `, which the gateway itself goes by. A oneway call is never answered. Every text ends
with the call's id, and names no address.

## What becomes of an attempt

"Tried again" is within ` + "`retry.attempts`" + ` and the call's deadline; "always" is safe because no handler can have seen the call.

| class | what happened | tried again | the endpoint | the caller gets |
|---|---|---|---|---|
`

const codesHead = `
## The codes

The type is that of the ` + "`TApplicationException`" + `; the text begins with the code, but for what a server sent itself, which is passed on as it is.

| code | type | when |
|---|---|---|
`

var codeWhen = [...]string{
	DeadlineExceeded:   "the call's time is over: in the queue, while connecting, or while the handler worked",
	Unavailable:        "no endpoint is up, or the connection to one broke, or the caller's calls of the method end without a reply wherever they are made (`breaker`)",
	ResourceExhausted:  "the queue is full, or no slot came free within its longest wait, or more calls come than are answered, or a limit was reached, or the machine can make no further connection",
	Cancelled:          "the caller has gone, so that nobody sees it",
	PermissionDenied:   "the caller may not (`allow`)",
	HandlerFailed:      "the handler ended without a reply: it raised what the IDL does not declare, or its process died",
	UnknownMethod:      "no service has the method, or no listener the service",
	InvalidMessageType: "a server was sent a reply",
	WrongMethodName:    "a server said so",
	BadSequenceID:      "a server said so",
	MissingResult:      "a server said so",
	Internal:           "a server said so (types 0 and 6)",
	Malformed:          "the bytes are no message, or beyond a limit",
	OtherException:     "a server sent a type that Thrift does not have; it is passed on as it is",
}
