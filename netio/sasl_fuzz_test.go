package netio

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// said is a connection whose peer says what it has to say at once, read in bites, and hears nothing.
type said struct {
	net.Conn
	words io.Reader
	bite  int
}

func (s *said) Read(p []byte) (int, error)      { return s.words.Read(p[:min(len(p), s.bite)]) }
func (s *said) Write(p []byte) (int, error)     { return len(p), nil }
func (s *said) Close() error                    { return nil }
func (s *said) SetDeadline(time.Time) error     { return nil }
func (s *said) SetReadDeadline(time.Time) error { return nil }

// Whatever a caller says: nobody gets in but with the right words, and what stands in the pieces behind them is the same however it comes.
func FuzzLogin(f *testing.F) {
	const start = "\x01\x00\x00\x00\x05PLAIN"
	for _, words := range []string{
		start + "\x02\x00\x00\x00\x0a\x00alice\x00pwd\x00\x00\x00\x02be\x00\x00\x00\x00\x00\x00\x00\x04hind\xff\xff\xff\xff",
		start + "\x02\x00\x00\x00\x00\x02\x00\x00\x00\x0falice\x00alice\x00pwd\x00\x00\x00\x02b",
		start + "\x02\x00\x00\x00\x0a\x00alice\x00pwx", start + "\x03\x00\x00\x00\x00", "\x01\xff\xff\xff\xff", "\x80\x01\x00\x01",
	} {
		f.Add([]byte(words), uint8(1))
	}
	f.Fuzz(func(t *testing.T, words []byte, bite uint8) {
		try := func(bite int) (user, behind, why string) {
			c := &said{words: bytes.NewReader(words), bite: bite}
			user, err := greetSASL(context.Background(), c, func(who Credentials) bool { return who == Credentials{"alice", "pwd"} })
			if err != nil {
				return "", "", err.Error()
			}
			got, err := io.ReadAll(&pieces{Conn: c})
			if err != nil {
				why = err.Error()
			}
			return user, string(got), why
		}
		user, behind, why := try(len(words) + 1)
		if user2, behind2, why2 := try(1 + int(bite)); user2 != user || behind2 != behind || why2 != why {
			t.Errorf("in bites of %d: %q %q %q; at once: %q %q %q", 1+int(bite), user2, behind2, why2, user, behind, why)
		}
		if user != "" && (user != "alice" || !bytes.Contains(words, []byte("alice\x00pwd"))) {
			t.Errorf("%q got in", user)
		}
		if len(behind) > len(words) {
			t.Errorf("%d bytes out of %d", len(behind), len(words))
		}
	})
}
