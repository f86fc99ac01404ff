package lease

import (
	"errors"
	"reflect"
	"testing"
)

var whole = Message{
	Name: "gw-1", From: 1, Number: 2, EchoFrom: 3, EchoNumber: 4, Boss: 5, Term: 6, HoldMillis: 7, Bye: true, Lease: true, Wanted: true, Ack: 8,
	Report: []GroupReport{
		{ID: 9, Waiting: 10, Endpoints: []EndpointReport{{11, 12, 13, 14, 15, true}, {16, 17, 18, 19, 20, false}}}, {ID: 21},
	},
	OrderTerm: 22, Order: 23, Limits: []GroupLimits{{ID: 24, Endpoints: []EndpointLimit{{25, 26}}}, {ID: 27}},
}

// A message comes out of a datagram as it went in; one that is cut, longer, sealed with another key or changed by one bit does not.
func TestMessage(t *testing.T) {
	b := whole.Append(nil)
	if got, err := Parse(b); err != nil || !reflect.DeepEqual(*got, whole) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range b {
		if _, err := Parse(b[:n]); !errors.Is(err, ErrForm) {
			t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err := Parse(append(b, 0)); !errors.Is(err, ErrForm) {
		t.Errorf("a byte more: %v", err)
	}
	sealed := Seal([]byte("key"), b)
	if got, err := Unseal([]byte("key"), sealed); err != nil || !reflect.DeepEqual(got, whole.Append(nil)) {
		t.Errorf("unsealed: %v", err)
	}
	if _, err := Unseal([]byte("other"), sealed); !errors.Is(err, ErrSeal) {
		t.Errorf("another key: %v", err)
	}
	for i := range sealed {
		sealed[i] ^= 1
		if _, err := Unseal([]byte("key"), sealed); !errors.Is(err, ErrSeal) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		sealed[i] ^= 1
	}
	if _, err := Unseal(nil, nil); !errors.Is(err, ErrSeal) {
		t.Errorf("nothing: %v", err)
	}
}

// What a full message takes fits into a datagram.
func TestMessageFits(t *testing.T) {
	report, limits := GroupReport{}, GroupLimits{}
	m := Message{Name: string(make([]byte, MaxNameBytes)), From: 1}
	for range MaxEndpoints { // each in an upstream of its own takes most
		report.Endpoints, limits.Endpoints = make([]EndpointReport, 1), nil
		m.Report = append(m.Report, report)
	}
	if n := len(Seal(nil, m.Append(nil))); n > MaxBytes {
		t.Errorf("a report of %d bytes", n)
	}
	m.Report = nil
	for range MaxEndpoints {
		limits.Endpoints = make([]EndpointLimit, 1)
		m.Limits = append(m.Limits, limits)
	}
	if n := len(Seal(nil, m.Append(nil))); n > MaxBytes {
		t.Errorf("an order of %d bytes", n)
	}
}

// Parse takes whatever comes: it neither panics nor allocates much, and what it takes goes out as it came in.
func FuzzParse(f *testing.F) {
	f.Add(whole.Append(nil))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(m.Append(nil))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v, then %+v, %v", m, again, err)
		}
	})
}
