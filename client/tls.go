package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
)

// TLSDialer returns a dialer whose connections speak TLS. config is asked for each connection, with the address, so that certificates may
// change; connections that are open go on with theirs. dial makes the socket; nil: the operating system's network.
func TLSDialer(dial Dialer, config func(address string) *tls.Config) Dialer {
	if dial == nil {
		dial = dialSystem
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		c, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return netio.Handshake(ctx, c, config(address))
	}
}

// LoginDialer returns a dialer whose connections have said who calls, by SASL PLAIN. who is asked for each connection; its error is the
// dialer's. What follows on them is in SASL's pieces, which are none of the transport inside. dial makes the connection, with TLS where the password is not to be read on the way; nil: the
// operating system's network.
func LoginDialer(dial Dialer, who func() (netio.Credentials, error)) Dialer {
	if dial == nil {
		dial = dialSystem
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		say, err := who()
		if err != nil {
			return nil, &netio.LoginError{Failure: netio.OtherHandshakeFail, Text: "the user or the password is not known", Err: err}
		}
		c, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return netio.LogIn(ctx, c, say)
	}
}

// loginTexts are what a caller is told of a login that failed.
var loginTexts = map[netio.HandshakeFailure]string{
	netio.BadCredentials:    "the server refused the user or the password",
	netio.NotSASL:           "the server does not speak SASL",
	netio.ClosedInHandshake: "the server closed the connection in the SASL login",
}

// loginError says that a login failed, as handshakeError does.
func loginError(err error) (e *rpc.Error, ok bool) {
	var failed *netio.LoginError
	if !errors.As(err, &failed) || failed.Failure == netio.HandshakeTimeout || errors.Is(err, context.Canceled) {
		return nil, false
	}
	text := loginTexts[failed.Failure]
	if text == "" {
		text = "the SASL login failed"
	}
	return &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "client", Text: text, Err: err, Outcome: rpc.LoginFailed}, true
}

// handshakeTexts are what a caller is told of a failed handshake.
var handshakeTexts = map[netio.HandshakeFailure]string{
	netio.BadCertificate:    "the server's certificate is not accepted",
	netio.NotTLS:            "the server does not speak TLS",
	netio.RefusedByPeer:     "the server refused the TLS handshake",
	netio.NoCommonVersion:   "no version of TLS is common with the server",
	netio.ClosedInHandshake: "the server closed the connection in the TLS handshake",
}

// handshakeError says that the handshake of a new connection failed. ok is false where err is about something else, or about time.
func handshakeError(err error) (e *rpc.Error, ok bool) {
	var failed *netio.HandshakeError
	if !errors.As(err, &failed) || failed.Failure == netio.HandshakeTimeout || errors.Is(err, context.Canceled) {
		return nil, false
	}
	text := handshakeTexts[failed.Failure]
	if text == "" {
		text = "the TLS handshake failed"
	}
	return &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "client", Text: text, Err: err, Outcome: rpc.TLSFailed}, true
}

// refusedLate reports whether a connection ended with the server's no to the certificate that it was shown: in TLS 1.3 that comes when
// the handshake seems done, and before a byte of a request is read.
func refusedLate(cause error) bool {
	var op *net.OpError
	return errors.As(cause, &op) && op.Op == "remote error"
}

// errSpeaksTLS closes a connection without TLS whose peer answers with a TLS alert. No reply begins so: the bytes would be a length of
// 350 MB.
var errSpeaksTLS = errors.New("the server speaks TLS")

func isAlert(buf []byte) bool { return len(buf) >= 2 && buf[0] == 0x15 && buf[1] == 3 }
