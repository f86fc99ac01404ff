package netio_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/netio/netiotest"
)

// alice is the only user of these tests' servers.
func alice() func(netio.Credentials) bool {
	return func(c netio.Credentials) bool { return c == netio.Credentials{User: "alice", Password: "pwd"} }
}

// loginRig is a listener that asks who calls, and what it was told of those whom it refused.
type loginRig struct {
	net.Listener
	dial     func() net.Conn
	failures chan error
}

func newLoginRig(t *testing.T) *loginRig {
	network := memnet.New()
	l, err := network.Listen("10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	r := &loginRig{failures: make(chan error, 1)}
	r.Listener = netio.NewTLSListener(l, netio.TLSOptions{Users: alice, OnFailure: func(_ net.Addr, why netio.HandshakeFailure, err error) {
		if netio.FailureOf(err) != why {
			t.Errorf("%s for %v", why, err)
		}
		r.failures <- err
	}})
	r.dial = func() net.Conn {
		c, err := network.Dial(t.Context(), "10.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return r
}

// Who has said the right words is let in with its name, and its bytes behind them are its own; a server is not spoken to before.
func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLoginRig(t)
		defer r.Close()
		const start, ok = "\x01\x00\x00\x00\x05PLAIN", "\x02\x00\x00\x00\x0a\x00alice\x00pwd"
		for name, words := range map[string]string{
			"at once":        start + ok,
			"for itself":     start + "\x02\x00\x00\x00\x0falice\x00alice\x00pwd",
			"asked for more": start + "\x02\x00\x00\x00\x00" + ok,
		} {
			c := r.dial()
			_, _ = io.WriteString(c, words+"\x00\x00\x00\x02be\x00\x00\x00\x00\x00\x00\x00\x04hind")
			in, err := r.Accept()
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len("behind"))
			_, err = io.ReadFull(in, got)
			if user, _ := netio.UserOf(in); err != nil || string(got) != "behind" || user != "alice" {
				t.Errorf("%s: %q, %q, %v", name, user, got, err)
			}
			if n, err := io.WriteString(in, "back"); n != 4 || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
			in.Close()
			want := "\x05\x00\x00\x00\x00\x00\x00\x00\x04back"
			if name == "asked for more" {
				want = "\x02\x00\x00\x00\x00" + want
			}
			if answer, err := io.ReadAll(c); string(answer) != want || err != nil {
				t.Errorf("%s: answered %q, %v", name, answer, err)
			}
			c.Close()
		}
		for user, want := range map[string]string{"alice": "", "bob": "the server refuses it"} {
			c := r.dial()
			_, err := netio.LogIn(t.Context(), c, netio.Credentials{User: user, Password: "pwd"})
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || netio.FailureOf(err) != netio.BadCredentials) {
				t.Errorf("%s: %v", user, err)
			}
			if err == nil {
				in, _ := r.Accept()
				in.Close()
			} else {
				<-r.failures
			}
			c.Close()
		}
	})
}

// Nobody gets in by anything else; the caller is told where it speaks SASL, and the reason is one of few.
func TestLoginRefused(t *testing.T) {
	const start = "\x01\x00\x00\x00\x05PLAIN"
	for _, c := range []struct {
		name, words string
		want        netio.HandshakeFailure
		answered    bool
	}{
		{"wrong password", start + "\x02\x00\x00\x00\x0a\x00alice\x00pwx", netio.BadCredentials, true},
		{"wrong user", start + "\x02\x00\x00\x00\x0a\x00alicf\x00pwd", netio.BadCredentials, true},
		{"for another", start + "\x02\x00\x00\x00\x0dbob\x00alice\x00pwd", netio.BadCredentials, true},
		{"no password", start + "\x02\x00\x00\x00\x06\x00alice", netio.BadCredentials, true},
		{"four parts", start + "\x02\x00\x00\x00\x0b\x00alice\x00pwd\x00", netio.BadCredentials, true},
		{"no user", start + "\x02\x00\x00\x00\x05\x00\x00pwd", netio.BadCredentials, true},
		{"another mechanism", "\x01\x00\x00\x00\x06GSSAPI", netio.BadMechanism, true},
		{"out of turn", "\x02\x00\x00\x00\x0a\x00alice\x00pwd", netio.NotSASL, false},
		{"complete by its own word", start + "\x05\x00\x00\x00\x00", netio.NotSASL, false},
		{"asked twice", start + "\x02\x00\x00\x00\x00\x02\x00\x00\x00\x00", netio.BadCredentials, true},
		{"4 GB of mechanism", "\x01\xff\xff\xff\xff", netio.NotSASL, false},
		{"a word beyond the limit", start + "\x02\x00\x00\x10\x01", netio.NotSASL, false},
		{"Thrift, framed", "\x00\x00\x00\x0e\x80\x01", netio.NotSASL, false},
		{"Thrift", "\x80\x01\x00\x01", netio.NotSASL, false},
		{"TLS", "\x16\x03\x01\x02\x00", netio.NotSASL, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLoginRig(t)
				defer r.Close()
				conn := r.dial()
				defer conn.Close()
				_, _ = io.WriteString(conn, c.words)
				if err := <-r.failures; netio.FailureOf(err) != c.want || strings.Contains(err.Error(), "pwd") || strings.Contains(err.Error(), "alice") {
					t.Errorf("%v, want %s", err, c.want)
				}
				answer, _ := io.ReadAll(conn)
				if c.name == "asked twice" {
					answer = answer[5:]
				}
				if (len(answer) > 5 && answer[0] == 3) != c.answered {
					t.Errorf("answered %q", answer)
				}
			})
		})
	}
}

// A peer that stays silent is waited for no longer than it may take, and on either side.
func TestLoginSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLoginRig(t)
		defer r.Close()
		c := r.dial()
		defer c.Close()
		began := time.Now()
		_, _ = io.WriteString(c, "\x01\x00\x00\x00\x05PLA")
		if err := <-r.failures; netio.FailureOf(err) != netio.HandshakeTimeout || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		own, peer := net.Pipe()
		defer peer.Close()
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := netio.LogIn(ctx, own, netio.Credentials{User: "alice"}); netio.FailureOf(err) != netio.HandshakeTimeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

// What a server says in a login is bounded, and is believed in no other order.
func TestLoginHostileServer(t *testing.T) {
	for words, want := range map[string]netio.HandshakeFailure{
		"\x80\x01\x00\x02":               netio.NotSASL,
		"\x05\x7f\xff\xff\xff":           netio.NotSASL,
		"\x02\x00\x00\x00\x01?":          netio.OtherHandshakeFail,
		"\x03\x00\x00\x00\x02\r\n":       netio.BadCredentials,
		"\x04\x00\x00\x00\x00":           netio.BadCredentials,
		"\x05\x00\x00":                   netio.ClosedInHandshake,
		"":                               netio.ClosedInHandshake,
		"\x01\x00\x00\x00\x05PLAIN":      netio.OtherHandshakeFail,
		"HTTP/1.1 400 Bad Request\r\n\r": netio.NotSASL,
	} {
		own, peer := net.Pipe()
		go func() {
			_, _ = peer.Read(make([]byte, 100))
			_, _ = io.WriteString(peer, words)
			_ = peer.Close()
		}()
		_, err := netio.LogIn(t.Context(), own, netio.Credentials{User: "alice", Password: "pwd"})
		if err == nil || netio.FailureOf(err) != want {
			t.Errorf("%q: %v, want %s", words, err, want)
		}
	}
	for _, who := range []netio.Credentials{{}, {Password: "pwd"}, {User: "a\x00b"}, {User: "a", Password: "\x00"}, {User: strings.Repeat("a", 256)}} {
		own, peer := net.Pipe()
		if _, err := netio.LogIn(t.Context(), own, who); err == nil {
			t.Errorf("%q was sent", who)
		}
		_ = peer.Close()
	}
}

// Pieces come together again however they are cut, one longer than the engine writes too; a length of 2^31 ends the connection.
func TestLoginPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLoginRig(t)
		defer r.Close()
		c, err := netio.LogIn(t.Context(), r.dial(), netio.Credentials{User: "alice", Password: "pwd"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		in, err := r.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		long := strings.Repeat("0123456789", 10_000)
		go func() {
			_, _ = io.WriteString(c, long)
			_, below := netio.UserOf(c)
			for _, b := range []byte("\x00\x00\x00\x02be\x00\x00\x00\x00\x00\x00\x00\x05hind.\x80\x00\x00\x00") {
				_, _ = below.Write([]byte{b})
			}
		}()
		got, err := io.ReadAll(in)
		if string(got) != long+"behind." || err == nil || !strings.Contains(err.Error(), "2147483648 bytes") {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// The engine keeps its contract on connections behind a login.
func TestPortableBehindLogin(t *testing.T) {
	netiotest.Test(t, netio.NewPortable, func(t *testing.T) (net.Conn, net.Conn) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		asking := netio.NewTLSListener(l, netio.TLSOptions{Users: alice})
		defer asking.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		peer, err := netio.LogIn(t.Context(), c, netio.Credentials{User: "alice", Password: "pwd"})
		if err != nil {
			t.Fatal(err)
		}
		own, err := asking.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return own, peer
	})
}
