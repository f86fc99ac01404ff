package voids

import (
	"errors"
	"reflect"
	"testing"
)

var whole = Message{
	From: 1, Number: 2, EchoFrom: 3, EchoNumber: 4, Ack: 5, Head: 9, Base: 6, First: 7, IDs: []ID{{1}, {15: 2}}, Asks: true, Followed: true, Bye: true,
}

// A message comes out as it went in; one that is cut or longer, or whose numbers cannot be, does not.
func TestMessage(t *testing.T) {
	b := whole.Append(nil)
	if got, err := Parse(b); err != nil || !reflect.DeepEqual(*got, whole) {
		t.Errorf("%+v, %v", got, err)
	}
	empty := Message{From: 1, Base: 1}
	if got, err := Parse(empty.Append(nil)); err != nil || !reflect.DeepEqual(*got, empty) {
		t.Errorf("without IDs: %+v, %v", got, err)
	}
	for n := range b {
		if n == headBytes+16 {
			continue // a shorter message
		}
		if _, err := Parse(b[:n]); !errors.Is(err, ErrForm) {
			t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
	for name, change := range map[string]func(m *Message){
		"an ID more": func(m *Message) { m.Head, m.IDs = 100, make([]ID, MaxIDs+1) }, "no sender": func(m *Message) { m.From = 0 },
		"a number beyond a century": func(m *Message) { m.Number = 1 << 63 }, "an echo beyond one": func(m *Message) { m.EchoNumber = 1 << 63 },
		"more acknowledged than there can be": func(m *Message) { m.Ack = 1 << 63 }, "no base": func(m *Message) { m.Base = 0 },
		"a base beyond the head": func(m *Message) { m.Base = 11 }, "a first before the base": func(m *Message) { m.First = 5 },
		"IDs beyond the head": func(m *Message) { m.First = 9 }, "a first beyond the head": func(m *Message) { m.First = 1<<64 - 1 },
		"a head beyond all": func(m *Message) { m.Head = 1 << 63 },
	} {
		m := whole
		change(&m)
		if _, err := Parse(m.Append(nil)); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b[len(magic)] = 8
	if _, err := Parse(b); !errors.Is(err, ErrForm) {
		t.Errorf("an unknown flag: %v", err)
	}
	if MaxBytes+32 > 1200 {
		t.Errorf("a message has up to %d bytes", MaxBytes)
	}
}

// Parse takes whatever comes: it neither panics nor allocates much, and what it takes goes out as it came in.
func FuzzParse(f *testing.F) {
	f.Add(whole.Append(nil))
	f.Add([]byte(magic))
	f.Add((&Message{From: 1, Base: 1}).Append(nil))
	f.Add((&Message{From: 1, Base: 1, First: 1, Head: MaxIDs, IDs: make([]ID, MaxIDs)}).Append(nil))
	f.Add((&Message{From: 1, Base: 1, First: 1, Head: MaxIDs + 1, IDs: make([]ID, MaxIDs+1)}).Append(nil))
	f.Add(append(whole.Append(nil), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if len(m.IDs) > MaxIDs || !reflect.DeepEqual(m.Append(nil), b) {
			t.Errorf("%d IDs, %x of %x", len(m.IDs), m.Append(nil), b)
		}
	})
}

// A ledger takes whatever Parse takes, from a peer, and goes on to say what can be true.
func FuzzReceive(f *testing.F) {
	f.Add(whole.Append(nil), whole.Append(nil))
	f.Add((&Message{From: 1, EchoFrom: 3, Base: 1, First: 1, Head: 1, IDs: make([]ID, 1)}).Append(nil), (&Message{From: 1, EchoFrom: 3, Base: 1 << 61, Head: 1 << 61}).Append(nil))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		l := pair()
		for _, b := range [][]byte{one, two} {
			if m, err := Parse(b); err == nil {
				l.Receive(0, m, begin)
			}
			l.Tell([]ID{{1}})
			for _, o := range l.Step(begin) {
				if _, err := Parse(o.Message.Append(nil)); err != nil {
					t.Errorf("says %+v", o.Message)
				}
			}
		}
	})
}
