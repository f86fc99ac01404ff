package dns

import (
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/thriftloom/thriftloom/cluster/resolve"
)

// Whatever a server answers, it is read without a panic, and is an answer with something in it or none.
func FuzzRead(f *testing.F) {
	for _, text := range [][]string{
		{"users.internal. 60 IN A 10.0.0.1", "users.internal. 30 IN A 10.0.0.2"}, {"users.internal. 60 IN AAAA fd00::1"},
		{"users.internal. 60 IN CNAME a.internal.", "a.internal. 5 IN CNAME users.internal."},
		{"users.internal. 60 IN SRV 0 5 6000 a.internal."}, {},
	} {
		m := new(dns.Msg).SetQuestion("users.internal.", dns.TypeA)
		for _, t := range text {
			rr, err := dns.NewRR(t)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer, m.Extra = append(m.Answer, rr), append(m.Extra, rr)
		}
		data, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(dns.Msg)
		if m.Unpack(data) != nil {
			return
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV} {
			found, err := read(m, "users.internal.", kind)
			n := len(found.addresses) + len(found.services)
			if (err == nil) != (n > 0) || err != nil && !errors.Is(err, resolve.ErrNone) || found.ttl < 0 {
				t.Errorf("%d records for %v, %v", n, found.ttl, err)
			}
			for _, ip := range found.addresses {
				if !ip.IsValid() {
					t.Error("an address that is none")
				}
			}
			weights := newScale(first(found.services))
			for _, s := range first(found.services) {
				if w := weights.of(s); w < 0 || w > maxWeight {
					t.Errorf("weight %d comes to %d", s.Weight, w)
				}
			}
		}
	})
}
