package view

import (
	"errors"
	"reflect"
	"testing"
)

var whole = Message{From: 1, Number: 2, Words: []Word{{ID: 0xfedcba987654, Calls: MaxCalls}, {ID: 1, Calls: 0}}}

// A message comes out as it went in; one that is cut or longer does not.
func TestMessage(t *testing.T) {
	b := whole.Append(nil)
	if got, err := Parse(b); err != nil || !reflect.DeepEqual(*got, whole) {
		t.Errorf("%+v, %v", got, err)
	}
	empty := Message{From: 1}
	if got, err := Parse(empty.Append(nil)); err != nil || !reflect.DeepEqual(*got, empty) {
		t.Errorf("without words: %+v, %v", got, err)
	}
	for n := range b {
		if n == headBytes || n == headBytes+wordBytes {
			continue // a shorter message
		}
		if _, err := Parse(b[:n]); !errors.Is(err, ErrForm) {
			t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
	long := Message{From: 1, Words: make([]Word, MaxWords+1)}
	for name, b := range map[string][]byte{
		"a byte more": append(b, 0), "a word more": long.Append(nil), "no sender": (&Message{Number: 1}).Append(nil),
		"a number beyond a century": (&Message{From: 1, Number: 1 << 63}).Append(nil), "a lease": []byte("TLG\x01"),
	} {
		if _, err := Parse(b); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Parse takes whatever comes: it neither panics nor allocates much, and what it takes goes out as it came in.
func FuzzParse(f *testing.F) {
	f.Add(whole.Append(nil))
	f.Add([]byte(magic))
	f.Add((&Message{From: 1, Words: make([]Word, MaxWords)}).Append(nil))
	f.Add((&Message{From: 1, Words: make([]Word, MaxWords+1)}).Append(nil))
	f.Add(append(whole.Append(nil), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if len(m.Words) > MaxWords || !reflect.DeepEqual(m.Append(nil), b) {
			t.Errorf("%d words, %x of %x", len(m.Words), m.Append(nil), b)
		}
	})
}
