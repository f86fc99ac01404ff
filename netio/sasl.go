package netio

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Credentials are what SASL's mechanism PLAIN says of a caller. It says them in plain text: without TLS everybody on the way reads them.
type Credentials struct{ User, Password string }

// What is said in a login, before the first frame of Thrift:
//
//	word:    status:1  n:4  body:n
//	caller:  START "PLAIN"  OK NUL user NUL password         server:  COMPLETE ""  or  BAD text
//
// What follows are the bytes of the transport inside, cut into pieces anywhere: n:4 piece:n. Sources: Apache Thrift, TSaslTransport.java; RFC 4616.
const (
	saslStart    = 1
	saslOK       = 2
	saslBad      = 3
	saslError    = 4
	saslComplete = 5

	saslPlain     = "PLAIN"
	maxSASLWord   = 4 << 10 // bytes of one body
	maxSASLPart   = 255     // bytes of a user or a password
	saslWordFixed = 5
)

// A LoginError is why a login failed.
type LoginError struct {
	Failure HandshakeFailure
	Text    string
	Err     error // may be nil
}

// Error says that it was the login. It names no user, and no password.
func (e *LoginError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("SASL login: %s: %v", e.Text, e.Err)
	}
	return "SASL login: " + e.Text
}

// Unwrap returns the cause.
func (e *LoginError) Unwrap() error { return e.Err }

// LogIn says to the server at the other end of c who calls, within ctx, by SASL PLAIN as Apache Thrift frames it, and returns the
// connection that goes on. On an error, which is a *LoginError, c is closed. A user or password with a NUL, an empty user, and more than 255
// bytes of either are errors.
func LogIn(ctx context.Context, c net.Conn, who Credentials) (net.Conn, error) {
	err := within(ctx, c, func() error {
		if !who.fit() {
			return &LoginError{Failure: BadCredentials, Text: "a user and a password of at most 255 bytes, without NUL, are wanted"}
		}
		out := appendSASL(nil, saslStart, saslPlain)
		if _, err := c.Write(appendSASL(out, saslOK, "\x00"+who.User+"\x00"+who.Password)); err != nil {
			return err
		}
		status, text, err := readSASL(c, maxSASLWord)
		switch {
		case err != nil:
			return err
		case status == saslComplete:
			return nil
		case status == saslBad, status == saslError:
			return &LoginError{Failure: BadCredentials, Text: fmt.Sprintf("the server refuses it: %.200q", text)}
		}
		return &LoginError{Failure: OtherHandshakeFail, Text: fmt.Sprintf("the server asks for more than %s has", saslPlain)}
	})
	if err != nil {
		_ = c.Close()
		return nil, loginError(err)
	}
	return &pieces{Conn: c, user: who.User}, nil
}

// fit reports whether PLAIN can say it.
func (c Credentials) fit() bool {
	return c.User != "" && len(c.User) <= maxSASLPart && len(c.Password) <= maxSASLPart && !strings.Contains(c.User+c.Password, "\x00")
}

// greetSASL asks the caller at the other end of c who it is. accepts says whether that is right.
func greetSASL(ctx context.Context, c net.Conn, accepts func(Credentials) bool) (user string, err error) {
	err = within(ctx, c, func() error {
		mechanism, err := expectSASL(c, saslStart)
		if err != nil {
			return err
		}
		if mechanism != saslPlain {
			return refuseSASL(c, &LoginError{Failure: BadMechanism, Text: fmt.Sprintf("the mechanism %.20q is not known, %s is", mechanism, saslPlain)})
		}
		response, err := expectSASL(c, saslOK)
		if err == nil && response == "" { // a caller that has to be asked
			if _, err = c.Write(appendSASL(nil, saslOK, "")); err == nil {
				response, err = expectSASL(c, saslOK)
			}
		}
		if err != nil {
			return err
		}
		parts := strings.Split(response, "\x00") // for whom it acts, user, password
		if len(parts) != 3 {
			return refuseSASL(c, &LoginError{Failure: BadCredentials, Text: "no user and password"})
		}
		who := Credentials{parts[1], parts[2]}
		if !who.fit() || parts[0] != "" && parts[0] != who.User || !accepts(who) {
			return refuseSASL(c, &LoginError{Failure: BadCredentials, Text: "the user or the password is wrong"})
		}
		user = who.User
		_, err = c.Write(appendSASL(nil, saslComplete, ""))
		return err
	})
	if err != nil {
		return "", loginError(err)
	}
	return user, nil
}

// refuseSASL tells the caller, and returns why.
func refuseSASL(c net.Conn, why *LoginError) error {
	_, _ = c.Write(appendSASL(nil, saslBad, why.Text)) // it is closed in each case
	return why
}

// expectSASL reads a word with a status.
func expectSASL(c net.Conn, want byte) (body string, err error) {
	status, body, err := readSASL(c, maxSASLWord)
	if err == nil && status != want {
		err = &LoginError{Failure: NotSASL, Text: fmt.Sprintf("the caller says %d, and %d is expected", status, want)}
	}
	return body, err
}

// readSASL reads one word, and not a byte more.
func readSASL(c net.Conn, limit int) (status byte, body string, err error) {
	var head [saslWordFixed]byte
	if _, err := io.ReadFull(c, head[:1]); err != nil {
		return 0, "", err
	}
	if head[0] < saslStart || head[0] > saslComplete { // before more is waited for
		return 0, "", &LoginError{Failure: NotSASL, Text: fmt.Sprintf("the peer does not speak SASL: it begins with %02x", head[0])}
	}
	if _, err := io.ReadFull(c, head[1:]); err != nil {
		return 0, "", err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if int64(n) > int64(limit) {
		return 0, "", &LoginError{Failure: NotSASL, Text: fmt.Sprintf("a word of %d bytes, the limit is %d", n, limit)}
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(c, buf); err != nil {
		return 0, "", err
	}
	return head[0], string(buf), nil
}

func appendSASL(dst []byte, status byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32(append(dst, status), uint32(len(body))), body...)
}

// within runs f, which reads from and writes to c, until ctx ends at most. c has no deadline behind it.
func within(ctx context.Context, c net.Conn, f func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

func loginError(err error) error {
	if e, ok := err.(*LoginError); ok { //nolint:errorlint // not of what is below
		return e
	}
	return &LoginError{Failure: FailureOf(err), Text: "it did not come to an end", Err: err}
}
