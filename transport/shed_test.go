package transport_test

import (
	"testing"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// A message that is given up at any byte behind its head is used up to its last byte, however its rest comes, and the next one is read.
func TestShedAnywhere(t *testing.T) {
	eachWire(t, func(t *testing.T, w transport.Wire) {
		messages := corpus(w)
		next := messages[0]
		want := feed(t, newSplitter(t, w, wire.Limits{}), next)[0]
		shed := 0
		for i, m := range messages {
			if len(m) > 3000 {
				m = m[:len(m):len(m)]
			}
			stream := append(m[:len(m):len(m)], next...)
			for cut := 1; cut < len(m); cut += 1 + len(m)/300 {
				s := newSplitter(t, w, wire.Limits{}).(transport.Shedder)
				if _, used, _, err := s.Split(stream[:cut]); used != 0 || err != nil {
					t.Fatalf("message %d cut at %d: used %d, %v", i, cut, used, err)
				}
				known, ok := s.Peek(stream[:cut])
				if !ok {
					continue // the head is not there
				}
				if known.Head.Type == 0 || known.Wire != w {
					t.Fatalf("message %d: %+v", i, known)
				}
				at := shedAll(t, s, stream, cut, 1+cut%7)
				if at != len(m) {
					t.Fatalf("message %d of %d bytes, given up at %d: %d were used", i, len(m), cut, at)
				}
				if got := feed(t, s, stream[at:]); len(got) != 1 || got[0] != want {
					t.Fatalf("message %d given up at %d: behind it %q, want %q", i, cut, got, want)
				}
				shed++
			}
		}
		if shed < 1000 {
			t.Errorf("%d messages were given up", shed)
		}
	})
}

// shedAll gives up the message at the start of stream, of which cut bytes have come; more come step by step. It returns how many were used.
func shedAll(t *testing.T, s transport.Shedder, stream []byte, cut, step int) (at int) {
	t.Helper()
	for come := cut; ; come = min(come+step, len(stream)) {
		used, done, err := s.Shed(stream[at:come])
		if at += used; err != nil {
			t.Fatalf("at %d: %v", at, err)
		}
		if done {
			return at
		}
		if come == len(stream) && used == 0 {
			t.Fatalf("not done at the end of the stream, %d used", at)
		}
		if come-at > 16 {
			t.Fatalf("%d bytes are kept", come-at)
		}
	}
}
